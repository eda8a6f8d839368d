// SPDX-License-Identifier: Apache-2.0
/**
 * Translation of device addresses: what an IOMMU type offers to the container. Provided by the driver half of an IOMMU
 * bundle such as {@code iommu.pamu}; used by {@code vfio.container}.
 *
 * <p>This is the control path: domains, mappings, attributes. The data path, what happens when a device accesses
 * memory, is {@link machine.api.TranslationUnit}, offered to the machine by the <em>unit</em> half of the same bundle.
 * The two halves meet only in the machine's memory and registers; a driver works as well with hardware that is
 * elsewhere.
 *
 * <p><b>What a provider promises.</b> The container relies on each of these; most are said again where they belong.
 *
 * <p><i>The service.</i>
 * <ol>
 * <li>A provider is a service {@link iommu.api.Iommu} with the properties {@value iommu.api.Iommu#KIND}, a text, the
 *     hardware; and {@value iommu.api.Iommu#TYPE}, what users of VFIO ask for, the same names as
 *     {@link iommu.api.IommuCapabilities#types}. Rules of unmapping and dirty pages follow from a type, never from a
 *     name.
 * <li>One service object drives all instances of its hardware on the machine. A container takes one provider for all
 *     its devices, and goes with the first that {@linkplain iommu.api.Iommu#serves serves} them.
 * <li>The object is the same for everybody: singleton scope, since providers are told apart by identity.
 * <li>It takes hold of hardware when its component is activated, not in its constructor, and of the node first
 *     ({@link machine.api.Machine#holds}); then it registers the service.
 * <li>{@link iommu.api.Iommu#capabilities} and {@link iommu.api.Iommu#serves} answer the same for as long as the
 *     service lives. All it has to know of a requester is in the {@link machine.api.Requester} it is given: nobody asks
 *     the machine's slots.
 * <li>When the driver ends, its hardware refuses every access; nothing in flight uses its tables any more; all memory
 *     it has taken is given back, unless the hardware does not confirm; and no thread of it is left. From then on
 *     {@link iommu.api.Iommu#open} is ENODEV, and domains that were open are dead: all they do is to be closed.
 * <li>An attribute of its own has a name that begins with the bundle's, and {@link iommu.api.Iommu#attribute} makes a
 *     value of what another revision of the bundle had set.
 * </ol>
 *
 * <p><i>A domain.</i>
 * <ol start="8">
 * <li>A fresh domain maps nothing: every access of an attached requester is refused. A detached requester is refused
 *     too, never bypassed. Hardware that was just attached refuses everything until its driver has set it up.
 * <li>A method that throws an {@link machine.api.ErrnoException} has left the domain as it was, at whichever page it
 *     failed. After anything else, an error or a mistake, the container closes the domain, and opens and fills another.
 * <li>Several domains are open at once, and may map the same memory.
 * <li>When {@link iommu.api.IommuDomain#unmap} returns, nothing in flight uses the old translation
 *     ({@link machine.api.Bus#sync}), and the range can be mapped again at once. Doorbells go like memory, and count.
 * <li>Windows are unmapped one by one, if the caller likes; a window is never cut. Pages are unmapped as they were
 *     mapped, or in parts where the hardware can do that.
 * <li>{@link iommu.api.IommuDomain#lookup} answers from the hardware's tables, not from memory of what was written:
 *     before anybody is attached, as after; and while {@link iommu.api.Enable} is off, as if it were on. The address is
 *     exact to the byte; the wrong access, or nothing there, is a negative {@link machine.api.Refusal}; a doorbell
 *     answers WRITE alone.
 * <li>{@link iommu.api.IommuDomain#get} answers for every class that {@link iommu.api.IommuDomain#set} has taken, with
 *     an equal value. A windowed domain always answers for {@link iommu.api.Geometry} and {@link iommu.api.Windows},
 *     with 0 before they are set. An attribute that setting another has undone says so. No attribute is mandatory but
 *     these two.
 * <li>{@link iommu.api.IommuDomain#close} blocks, unmaps, and gives everything back; may be called again, on any thread
 *     and on another than the one that opened it; and does nothing when the driver has ended, since what were the
 *     tables may be somebody else's memory.
 * <li>Methods may be called by any thread; a provider serialises them itself.
 * </ol>
 *
 * <p><i>Violations.</i>
 * <ol start="17">
 * <li>{@link iommu.api.Iommu#violations} may be called inside an access, by the handler of a wire; so it waits for no
 *     lock that is held while somebody waits for accesses ({@link machine.api.Bus#sync}). It is also polled, with or
 *     without wires.
 * <li>What it returns, oldest first, is cleared, of all instances; the wire is low then, until the next refused access.
 * <li>{@link iommu.api.Violation#unit} is the path of the instance's node, as in {@link machine.api.Requester#unit}.
 * </ol>
 *
 * <p><i>The unit</i>, if the hardware is a model: see {@link machine.api.TranslationUnit}, {@link machine.api.Unit} and
 * {@link machine.api.Mmio}.
 *
 * <pre>
 *  IommuDomain domain = iommu.open();
 *  domain.set(new Geometry(0, 512L &lt;&lt; 20));
 *  domain.set(new Windows(8));
 *  domain.map(0, buffer, 0, 64L &lt;&lt; 20, Access.READ_WRITE);
 *  domain.attach(slot.requester(0, 0));
 * </pre>
 */
@Export
@Version("1.0.0")
package iommu.api;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
