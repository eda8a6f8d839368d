// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import irq.api.InterruptController;
import vfio.api.Container;
import vfio.container.irq.MsiSender;
import vfio.container.irq.Relay;
import vfio.container.irq.Route;
import vfio.container.state.ContainerLock;

/** The container that a group is in, as its devices see it. */
public interface Owner extends Container {
    /** {@return what guards a device's interrupts, too} */
    ContainerLock lock();

    /** A device has come to, or gone from, one of the groups. The caller holds the topology lock. */
    void requestersChanged();

    // For a caller that holds the lock.

    /**
     * @throws machine.api.ErrnoException EINVAL if the container is closed or has no IOMMU set, EAGAIN if it is not
     *     ACTIVE
     */
    void requireActive();

    /** {@return the interrupt controller; null while there is none} */
    InterruptController controller();

    /**
     * Gives a device its interrupt.
     *
     * @throws machine.api.ErrnoException what keeps it from a vector
     */
    Route enable(MsiSender device, Relay relay);

    /** Takes an interrupt away. */
    void disable(Route route);
}
