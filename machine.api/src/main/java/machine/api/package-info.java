// SPDX-License-Identifier: Apache-2.0
/**
 * The contract of a machine that devices, IOMMUs and interrupt controllers are plugged into: a physical bus with memory
 * and register windows, the DMA ports of its devices, the interrupt pins of its cores, and the hardware nodes that
 * describe it. Contracts and values only: a machine in this process is {@code machine.local}'s, one in another is
 * {@code machine.qemu}'s.
 *
 * <p>Everything a device does is a memory access, a message-signalled interrupt too. This package names the first stop
 * of that road and the two places where it can end:
 * <pre>
 *  DmaPort.write ─► TranslationUnit.translate ─► address ─┬─► memory
 *  (device side)    (a unit of iommu.*)          (machine)└─► Mmio.write ─► Cpu.pin ─► driver ─► EventFd.signal
 *                                                             (a unit of irq.*)        (irq.*)   (vfio.*)
 * </pre>
 * {@link machine.api.Bus} is the cores' way to the same memory and the same windows: the drivers'.
 *
 * <p><b>Who implements, who uses.</b> A machine source ({@code machine.fdt}, {@code machine.acpi}) has
 * {@code machine.local} make a {@link machine.api.Machine}, which is published with one {@link machine.api.Node}
 * service per hardware node. The <em>unit</em> half of a provider ({@code iommu.pamu.unit}, {@code irq.mpic.unit})
 * attaches a {@link machine.api.Unit} to its node. The <em>driver</em> half waits for the node's {@code machine.ready}
 * property and then reaches the hardware through {@link machine.api.Bus} alone. A device model ({@code device.edu})
 * opens a {@link machine.api.DmaPort} and offers itself as {@link machine.api.PciFunction}.
 *
 * <p><b>Bytes and values.</b> The bus carries bytes. Where a method carries a value, byte lane <i>i</i> (bits
 * 8i+7..8i) is the byte at {@code address + i}: the little-endian reading, whatever the machine. A big-endian unit or
 * driver converts once, at its own boundary, and says so there.
 *
 * <p><b>Threads.</b> Everything on the road may be called by any number of device threads at once, never blocks and
 * never allocates. Everything else may be called by any thread and may block.
 */
@Export
@Version("1.0.0")
package machine.api;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
