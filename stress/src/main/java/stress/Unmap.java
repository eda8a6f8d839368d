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
 * The race of an access and an unmap (P3): when unmap returns, memory does not change any more. The result: memory
 * then, and at the end.
 */
final class Unmap {
    private Unmap() {
    }

    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "the device came too late")
    @Outcome(id = "-1, -1", expect = Expect.ACCEPTABLE, desc = "the device was before, or was waited for")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a write landed after unmap had returned")
    public static class OfPamu {
        private final Road road = Road.pamu();
        private final int place = road.mapped();

        @Actor
        public void device() {
            road.write(place);
        }

        @Actor
        public void user(II_Result result) {
            road.unmap(place);
            result.r1 = road.memory(place);
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = road.memory(place);
            road.erase(place);
        }
    }

    /** The translation is in the IOTLB when it is taken away. */
    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "the device came too late")
    @Outcome(id = "-1, -1", expect = Expect.ACCEPTABLE, desc = "the device was before, or was waited for")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a write landed after unmap had returned")
    public static class OfVtd {
        private final Road road = Road.vtd();
        private final int place = road.mapped();

        @Actor
        public void device() {
            road.write(place);
        }

        @Actor
        public void user(II_Result result) {
            road.unmap(place);
            result.r1 = road.memory(place);
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = road.memory(place);
            road.erase(place);
        }
    }
}
