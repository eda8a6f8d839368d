// SPDX-License-Identifier: Apache-2.0
package stress;

import java.util.concurrent.TimeUnit;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Arbiter;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;
import org.openjdk.jcstress.infra.results.I_Result;
import vfio.container.irq.LocalEventFd;

/** The race of signals and reads (P5): an eventfd loses no signal and counts none twice, and wakes its reader. */
final class Signals {
    private Signals() {
    }

    @JCStressTest
    @State
    @Outcome(id = {"0, 2", "1, 1", "2, 0"}, expect = Expect.ACCEPTABLE, desc = "two in all")
    @Outcome(expect = Expect.FORBIDDEN, desc = "a signal was lost or counted twice")
    public static class OfPoll {
        private final LocalEventFd eventFd = new LocalEventFd(0);

        @Actor
        public void device() {
            eventFd.signal();
            eventFd.signal();
        }

        @Actor
        public void reader(II_Result result) {
            result.r1 = (int) eventFd.poll();
        }

        @Arbiter
        public void end(II_Result result) {
            result.r2 = (int) eventFd.poll();
        }
    }

    @JCStressTest
    @State
    @Outcome(id = "1", expect = Expect.ACCEPTABLE, desc = "woken")
    @Outcome(expect = Expect.FORBIDDEN, desc = "slept through a signal")
    public static class OfRead {
        private final LocalEventFd eventFd = new LocalEventFd(0);

        @Actor
        public void device() {
            eventFd.signal();
        }

        @Actor
        public void reader(I_Result result) {
            try {
                long begun = System.nanoTime();
                result.r1 = (int) eventFd.read(10, TimeUnit.SECONDS);
                // Who sleeps through it finds it all the same when the time is over, but then the trial does not count
                // any more.
                if (System.nanoTime() - begun > TimeUnit.SECONDS.toNanos(9)) {
                    throw new IllegalStateException("slept through a signal");
                }
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }
    }
}
