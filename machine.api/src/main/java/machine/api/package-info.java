// SPDX-License-Identifier: Apache-2.0
/**
 * The machine that devices, IOMMUs and interrupt controllers are plugged into: a physical bus with memory and register
 * windows, the DMA ports of its devices, the interrupt pins of its cores, and the hardware nodes that describe it.
 *
 * <p>Everything a device does is a memory access, a message-signalled interrupt too. This package holds the first stop
 * of that road and the two places where it can end:
 * <pre>
 *  DmaPort.write ─► TranslationUnit.translate ─► Bus.write ─┬─► Ram
 *  (device side)    (a unit of iommu.*)          (machine)  └─► Mmio.write ─► Cpu.pin ─► driver ─► EventFd.signal
 *                                                               (a unit of irq.*)        (irq.*)   (vfio.*)
 * </pre>
 *
 * <p><b>Who implements, who uses.</b> A machine source ({@code machine.fdt}, {@code machine.acpi}) makes a
 * {@link machine.api.LocalMachine} and publishes it as {@link machine.api.Machine} with one {@link machine.api.Node}
 * service per hardware node. The <em>unit</em> half of a provider ({@code iommu.pamu.unit}, {@code irq.mpic.unit})
 * attaches a {@link machine.api.Unit} to its node. The <em>driver</em> half waits for the node's {@code machine.ready}
 * property and then reaches the hardware through {@link machine.api.Bus} alone. A device model
 * ({@code device.edu}) opens a {@link machine.api.DmaPort} and offers itself as {@link machine.api.PciFunction}.
 *
 * <p><b>Bytes and values.</b> The bus carries bytes. Where a method carries a value, byte lane <i>i</i> (bits
 * 8i+7..8i) is the byte at {@code address + i}: the little-endian reading, whatever the machine. A big-endian unit or
 * driver converts once, at its own boundary, and says so there.
 *
 * <p><b>Threads.</b> Everything on the road may be called by any number of device threads at once, never blocks and
 * never allocates. Everything else may be called by any thread and may block.
 *
 * <pre>
 *  PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 1L &lt;&lt; 30)));
 *  LocalMachine machine = new LocalMachine("bench board", bus, List.of(), List.of(), List.of(), 1);
 *  try (DmaPort port = machine.openPort(new Requester(193, "/iommu", 0))) {
 *      port.write(0x1000, 4, 0xcafebabeL);          // Refusal.BLOCKED: no unit is attached yet
 *  }
 * </pre>
 */
@Export
@Version("1.0.0")
package machine.api;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
