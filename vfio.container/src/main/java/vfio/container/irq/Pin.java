// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import irq.api.InterruptController;

/** The interrupt pin of an open device, over a swap of the controller. Guarded by the container's lock. */
public interface Pin {
    /** The interrupt controller is gone: the pin's wire is given back, what it was for stays. */
    void suspend();

    /** There is a controller again. */
    void restore(InterruptController controller);
}
