// SPDX-License-Identifier: Apache-2.0
package stress;

import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The race of an access and a drain: the access is counted and waited for, or sees the change. The result: memory after
 * the drain, and at the end.
 */
final class Drain {
    private Drain() {
    }

    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "saw the change")
    @Outcome(id = "-1, -1", expect = Expect.ACCEPTABLE, desc = "was before, or was waited for")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a write landed after Bus.sync had returned")
    public static class OfSync {
        private final Bench bench = Bench.fresh();

        @Actor
        public void device() {
            bench.write();
        }

        @Actor
        public void drainer(II_Result result) {
            bench.withdraw();
            result.r1 = bench.memory();
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = bench.memory();
        }
    }

    /** Phases turn twice: an access may read the one and be counted when the other is current. */
    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "saw the change")
    @Outcome(id = "-1, -1", expect = Expect.ACCEPTABLE, desc = "was before, or was waited for")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a write landed after Bus.sync had returned")
    public static class OfSecondSync {
        private final Bench bench = Bench.fresh();

        @Actor
        public void device() {
            bench.write();
        }

        @Actor
        public void drainer(II_Result result) {
            bench.sync();
            bench.withdraw();
            result.r1 = bench.memory();
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = bench.memory();
        }
    }

    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "met the gate")
    @Outcome(id = "-1, -1", expect = Expect.ACCEPTABLE, desc = "was before, or was waited for")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a write landed after Gate.shut had returned")
    public static class OfGate {
        private final Bench bench = Bench.fresh();

        @Actor
        public void device() {
            bench.write();
        }

        @Actor
        public void swapper(II_Result result) {
            bench.gate.shut(0);
            result.r1 = bench.memory();
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = bench.memory();
        }
    }
}
