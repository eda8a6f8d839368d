// SPDX-License-Identifier: Apache-2.0
/**
 * Interrupt controllers and their MSI doorbells. Provided by the driver half of an interrupt-controller bundle such as
 * {@code irq.mpic}; used by {@code vfio.container}.
 *
 * <p>An MSI is a memory write to a <em>doorbell</em>. Doorbells come in <em>banks</em>: one 4 KiB page (or range) of
 * physical address space each, with a number of vectors behind it. This package says which banks exist, hands out their
 * vectors and composes the message for one. Through which device address a device reaches the bank's page is not
 * known here: that is decided by the container and its MSI strategy.
 *
 * <p><b>Two halves</b> as everywhere: the unit (registers, pending bits, the pin of the core) is attached to the
 * machine and is the data path; the driver programs it through the bus and is this contract.
 *
 * <p><b>Threads.</b> Any thread may call; an {@link irq.api.InterruptHandler} runs on the thread that raised the
 * interrupt, see there.
 *
 * <pre>
 *  MsiDoorbells doorbells = controller.doorbells();
 *  MsiVector vector = doorbells.allocate(new MsiRequest(requester, List.of(0, 1, 2), eventFd::signal));
 *  MsiMessage message = doorbells.compose(vector);      // data, and the offset in the bank's page
 * </pre>
 */
@Export
@Version("1.0.0")
package irq.api;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
