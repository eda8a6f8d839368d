// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.Function;

/**
 * One input of an interrupt controller with all the wires that end there: asserted while any of them is. Levels reach the
 * controller in order and only when they change.
 *
 * <p>The lock is held while the controller takes note of a level, which is short and calls nobody; it is not held while
 * the controller drives the cores, because a handler that runs then lowers this very pin, or waits for a thread that does.
 */
final class InterruptPin {
    private final String controller;
    private final int input;
    private final Function<String, InterruptInputs> inputs;
    // Guarded by this.
    private int driven;
    private boolean told;

    InterruptPin(String controller, int input, Function<String, InterruptInputs> inputs) {
        this.controller = controller;
        this.input = input;
        this.inputs = inputs;
    }

    String controller() {
        return controller;
    }

    InterruptLine line() {
        AtomicBoolean level = new AtomicBoolean();
        return asserted -> {
            if (level.compareAndSet(!asserted, asserted)) {
                deliver(asserted ? 1 : -1);
            }
        };
    }

    /** Tells a controller that has just been attached, if there is something to tell. */
    void replay() {
        synchronized (this) {
            told = false;
        }
        deliver(0);
    }

    private void deliver(int change) {
        InterruptInputs to;
        synchronized (this) {
            driven += change;
            if (driven > 0 == told) {
                return;
            }
            // Looked up here: a controller attached just now either is told by this, or asks again by replay.
            to = inputs.apply(controller);
            to.set(input, !told);
            told = !told;
        }
        to.settle();
    }
}
