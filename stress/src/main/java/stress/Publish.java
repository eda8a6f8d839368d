// SPDX-License-Identifier: Apache-2.0
package stress;

import machine.api.Bus;
import machine.api.Refusal;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The race of an access and a map (P1): a device sees a whole mapping or none. The result: whether it passed, and
 * memory.
 */
final class Publish {
    private Publish() {
    }

    /** A PAMU without a valid window does not know the requester. */
    private static int status(int status) {
        return status == Bus.OK ? 1 : status == Refusal.UNMAPPED || status == Refusal.NO_REQUESTER ? 0 : status;
    }

    /** The valid bit is written last. */
    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "not mapped yet")
    @Outcome(id = "1, -1", expect = Expect.ACCEPTABLE, desc = "mapped")
    @Outcome(expect = Expect.FORBIDDEN, desc = "half an entry was used")
    public static class OfPamu {
        private final Road road = Road.pamu();
        private final int place = road.place();

        @Actor
        public void user() {
            road.map(place);
        }

        @Actor
        public void device(II_Result result) {
            result.r1 = status(road.write(place));
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = road.memory(place);
            road.unmap(place);
            road.erase(place);
        }
    }

    /** Tables are linked when they are filled, and a walk that began before leaves nothing behind that hides them. */
    @JCStressTest
    @State
    @Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "not mapped yet")
    @Outcome(id = "1, -1", expect = Expect.ACCEPTABLE, desc = "mapped")
    @Outcome(expect = Expect.FORBIDDEN, desc = "half a walk was used")
    public static class OfVtd {
        private final Road road = Road.vtd();
        private final int place = road.place();

        @Actor
        public void user() {
            road.map(place);
        }

        @Actor
        public void device(II_Result result) {
            result.r1 = status(road.write(place));
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = road.memory(place);
            road.unmap(place);
            road.erase(place);
        }
    }
}
