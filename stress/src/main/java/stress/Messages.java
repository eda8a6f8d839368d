// SPDX-License-Identifier: Apache-2.0
package stress;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.III_Result;

/**
 * The race of a message and a gate (P5): the message either arrives or is kept. The result: delivered, rung, kept too
 * late.
 */
final class Messages {
    private Messages() {
    }

    @JCStressTest
    @State
    @Outcome(id = "0, 1, 0", expect = Expect.ACCEPTABLE, desc = "passed")
    @Outcome(id = "1, 0, 0", expect = Expect.ACCEPTABLE, desc = "kept, and delivered when the gate was open")
    @Outcome(expect = Expect.FORBIDDEN, desc = "lost, or twice, or kept when nobody delivers any more")
    public static class OfShut {
        private final Bench bench = Bench.fresh();

        @Actor
        public void device() {
            bench.ring();
        }

        @Actor
        public void swapper(III_Result result) {
            bench.gate.shut(0);
            bench.gate.open();
            result.r1 = bench.kept.getAndSet(0);
        }

        @Arbiter
        public void end(III_Result result) {
            result.r2 = bench.rung();
            result.r3 = bench.kept.get();
        }
    }

    /** As while the interrupt controller is away: shut, then shut for messages alone, then open. */
    @JCStressTest
    @State
    @Outcome(id = "0, 1, 0", expect = Expect.ACCEPTABLE, desc = "passed")
    @Outcome(id = "1, 0, 0", expect = Expect.ACCEPTABLE, desc = "kept, and delivered when the gate was open")
    @Outcome(expect = Expect.FORBIDDEN, desc = "lost, or twice, or kept when nobody delivers any more")
    public static class OfKeeping {
        private final Bench bench = Bench.fresh();

        @Actor
        public void device() {
            bench.ring();
        }

        @Actor
        public void swapper(III_Result result) {
            bench.gate.shut(0);
            bench.keepMessages();
            bench.gate.open();
            result.r1 = bench.kept.getAndSet(0);
        }

        @Arbiter
        public void end(III_Result result) {
            result.r2 = bench.rung();
            result.r3 = bench.kept.get();
        }
    }
}
