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
 * <p><b>Rules for a provider.</b>
 * <ul>
 * <li>A fresh domain maps nothing: every access of an attached requester is refused. A detached requester is refused
 *     too, never bypassed.
 * <li>When {@link iommu.api.IommuDomain#unmap} returns, nothing in flight uses the old translation
 *     ({@link machine.api.Bus#sync}).
 * <li>It says which requesters sit behind its hardware ({@link iommu.api.Iommu#serves}) and attaches no others. All it
 *     has to know of one is in the {@link machine.api.Requester} it is given: nobody asks the machine's slots.
 * <li>A method that throws an {@link machine.api.ErrnoException} has left the domain as it was. After anything else, an
 *     error or a mistake, the container closes the domain, and opens and fills another.
 * <li>An attribute of its own has a name that begins with the bundle's, and {@link iommu.api.Iommu#attribute} makes a
 *     value of what another revision of the bundle had set.
 * <li>Methods may be called by any thread; a provider serialises them itself.
 * </ul>
 * A provider is a service {@link iommu.api.Iommu} with the properties {@value iommu.api.Iommu#KIND}, the hardware, and
 * {@value iommu.api.Iommu#TYPE}, what users of VFIO ask for.
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
