// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.function.BooleanSupplier;
import java.util.function.Function;
import machine.api.InterruptInputs;
import machine.api.PolledLine;

/**
 * One input of an interrupt controller with all the wires that end there: asserted while any of them is. Levels reach
 * the controller in order and only when they change.
 *
 * <p>The lock is held while the controller takes note of a level, which is short and calls nobody; it is not held while
 * the controller drives the cores, because a handler that runs then lowers this very pin, or waits for a thread that
 * does.
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

    /** {@return one more wire} */
    PolledLine line(BooleanSupplier level) {
        return new Line(level);
    }

    private final class Line implements PolledLine {
        private final BooleanSupplier level;
        // Guarded by the pin.
        private boolean last;
        private boolean closed;

        Line(BooleanSupplier level) {
            this.level = level;
        }

        @Override
        public void update() {
            follow(false);
        }

        @Override
        public void close() {
            follow(true);
        }

        private void follow(boolean end) {
            InterruptInputs to;
            synchronized (InterruptPin.this) {
                closed |= end;
                // Asked under the lock, so that a level which is out of date by now is never the last one noted.
                boolean asserted = !closed && ask(level, last);
                if (last == asserted) {
                    return;
                }
                last = asserted;
                driven += asserted ? 1 : -1;
                to = note();
            }
            settle(to);
        }
    }

    /** A device that cannot say its level leaves its wire as it is. */
    private boolean ask(BooleanSupplier level, boolean before) {
        try {
            return level.getAsBoolean();
        } catch (Throwable e) {
            ForeignCode.failed("the level of a wire to input " + input + " of " + controller, level, e);
            return before;
        }
    }

    private void settle(InterruptInputs to) {
        try {
            to.settle();
        } catch (Throwable e) {
            ForeignCode.failed("driving the pins of " + controller, to, e);
        }
    }

    /** Tells a controller that has just been attached, if there is something to tell. */
    void replay() {
        InterruptInputs to;
        synchronized (this) {
            told = false;
            to = note();
        }
        settle(to);
    }

    /** The controller is looked up under the lock: one attached just now gets the level by this, or by replay. */
    private InterruptInputs note() {
        if (driven > 0 == told) {
            return InterruptInputs.NONE;
        }
        InterruptInputs to = inputs.apply(controller);
        told = !told;
        try {
            to.set(input, told);
        } catch (Throwable e) {
            ForeignCode.failed("input " + input + " of " + controller, to, e);
        }
        return to;
    }
}
