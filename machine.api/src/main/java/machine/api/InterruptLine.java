// SPDX-License-Identifier: Apache-2.0
package machine.api;

/**
 * A wire from a device to an input of the interrupt controller. The machine remembers its level, so that a controller
 * that is attached later finds asserted what still is.
 */
@FunctionalInterface
public interface InterruptLine {
    /** Drives the wire; repeating a level changes nothing. Called on the device's thread; does not block. */
    void set(boolean asserted);
}
