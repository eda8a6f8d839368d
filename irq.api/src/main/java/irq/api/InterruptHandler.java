// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ConsumerType;

/** The code that runs when an interrupt has arrived: the last stop but one of the road, before the eventfd. */
@FunctionalInterface
@ConsumerType
public interface InterruptHandler {
    /**
     * Called on the thread that raised the interrupt, which may be a device's, inside its access: must be quick, must
     * not block, must not map or unmap. What it throws is reported and does not disturb other interrupts.
     */
    void interrupt();
}
