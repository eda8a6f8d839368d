// SPDX-License-Identifier: Apache-2.0
/**
 * The implementation of VFIO, which sees both sides, the IOMMU's domains and the interrupt controller's doorbells.
 * Control path only.
 *
 * <p>{@link vfio.container.VfioService} knows what is there and tells the containers what comes and goes;
 * {@link vfio.container.VfioContainer} has a method for each of VFIO's ioctls. The parts that do the work are packages,
 * and point one way: each may call those to its right, none those to its left, and {@code swap} and {@code device} do
 * not know each other (decision 31; a test in launcher holds the arrows).
 *
 * <pre>
 *  vfio.container ─► swap   ─► irq ─► dma ─► state ─► host
 *                 └► device ─┘
 * </pre>
 *
 * <p>What a part needs from above is handed to it as a small interface: {@link vfio.container.host.Host} (what is there
 * and what is allowed), {@link vfio.container.dma.Members} (who is attached), {@link vfio.container.dma.Doorbells}
 * (where banks are), {@link vfio.container.irq.MsiSender} and {@link vfio.container.irq.Pin} (a device's interrupts),
 * {@link vfio.container.device.Owner} (a device's container), {@link vfio.container.state.ContainerLock.Owner} (what is
 * due when the lock is released).
 */
package vfio.container;
