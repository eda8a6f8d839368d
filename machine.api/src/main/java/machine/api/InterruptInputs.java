// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/** The input pins of an interrupt controller's unit. */
@FunctionalInterface
@ConsumerType
public interface InterruptInputs {
    /** No inputs at all. */
    InterruptInputs NONE = (input, asserted) -> {
    };

    /**
     * Takes note of a level. Called on the device's thread when the wire's level changes, and for every asserted wire
     * when the controller is attached. Must not block and must not drive a core's pin: that is for {@link #settle}.
     *
     * @param input the controller's own number of the input
     * @param asserted whether the wire is active (polarity is already taken off)
     */
    void set(int input, boolean asserted);

    /**
     * Drives the cores' pins as they should be by now, which may run interrupt handlers. Called after {@link #set}, by
     * any number of threads at once.
     */
    default void settle() {
    }
}
