// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/**
 * A wire from a device to an input of the interrupt controller. The machine remembers its level, so that a controller
 * that is attached later finds asserted what still is.
 */
@ConsumerType
@FunctionalInterface
public interface InterruptLine {
    /** Drives the wire; repeating a level changes nothing. Called on the device's thread; does not block. */
    void set(boolean asserted);
}
