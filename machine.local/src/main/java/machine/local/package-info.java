// SPDX-License-Identifier: Apache-2.0
/**
 * A machine in this process: what {@code machine.*} bundles, which read descriptions, make machines of. Nobody else
 * imports it: hardware models, drivers and devices know {@code machine.api} alone.
 *
 * <p>{@link machine.local.LocalMachine} is the wiring, {@link machine.local.PhysicalBus} and {@link machine.local.Ram}
 * the address space. {@link machine.local.LocalMemory}, {@link machine.local.LocalCpu} and
 * {@link machine.local.LocalHolds} are of use to machines of other processes, too: memory is handed out, handlers run
 * and bundles stand by in this one.
 *
 * <pre>
 *  List&lt;Node.Range&gt; memory = List.of(new Node.Range(0, 1L &lt;&lt; 30));
 *  LocalMachine machine = new LocalMachine(new Board("bench", memory, memory, List.of(), List.of(), 1, List.of()));
 *  try (DmaPort port = machine.openPort(new Requester(193, "/iommu", 0))) {
 *      port.write(0x1000, 4, 0xcafebabeL);          // Refusal.BLOCKED: no unit is attached yet
 *  }
 * </pre>
 */
@Export
@Version("1.0.0")
package machine.local;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
