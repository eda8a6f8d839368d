// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.time.Duration;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.openjdk.jcstress.annotations.Actor;
import org.openjdk.jcstress.annotations.Expect;
import org.openjdk.jcstress.annotations.JCStressTest;
import org.openjdk.jcstress.annotations.Outcome;
import org.openjdk.jcstress.annotations.State;
import org.openjdk.jcstress.infra.results.II_Result;

/**
 * The race of the counts alone, in their own package: the effect of a missing fence lasts some nanoseconds, and behind
 * a port it is too rare. The result: whether the access saw the entry, then whether the drainer saw the access done.
 */
@JCStressTest
@State
@Outcome(id = "1, 1", expect = Expect.ACCEPTABLE, desc = "used the entry, and was waited for")
@Outcome(id = "0, 0", expect = Expect.ACCEPTABLE, desc = "came too late")
@Outcome(id = "0, 1", expect = Expect.ACCEPTABLE, desc = "came too late")
@Outcome(expect = Expect.FORBIDDEN, desc = "used the entry, and drain returned before it was done")
public class InFlightRace {
    private static final int SLOTS = 256;
    /** Used again and again: a thread's first access is another one than those that follow. */
    private static final InFlight[] ALL = Stream.generate(() -> new InFlight(1, "a device")).limit(SLOTS)
        .toArray(InFlight[]::new);
    private static final AtomicInteger NEXT = new AtomicInteger();

    private final InFlight inFlight = ALL[NEXT.getAndIncrement() & SLOTS - 1];
    private final AtomicInteger entry = new AtomicInteger(1);
    private final AtomicInteger done = new AtomicInteger();

    @Actor
    public void device(II_Result result) {
        int entered = inFlight.enter();
        try {
            result.r1 = entry.getAcquire();
            done.setRelease(1);
        } finally {
            inFlight.exit(entered);
        }
    }

    @Actor
    public void drainer(II_Result result) {
        entry.setRelease(0);
        inFlight.drain(new InFlight.Patience(Duration.ofMinutes(1)));
        result.r2 = done.getAcquire();
    }
}
