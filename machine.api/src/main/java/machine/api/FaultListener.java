// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/** A listener for refused device accesses. */
@FunctionalInterface
@ConsumerType
public interface FaultListener {
    /**
     * Called on the device's thread, inside the access: must be quick, must not block and must not call
     * {@link Bus#sync}. What it throws is logged; the device and other listeners do not notice.
     */
    void fault(Fault fault);
}
