// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;

/**
 * Counts the accesses of one port that are between their translation and their last byte, so that a driver can wait
 * for those that may still use what it has just taken away.
 *
 * <p>Two phases, each with a count of accesses begun and of accesses ended (the scheme of sleepable RCU). New accesses
 * join the current phase. {@link #drain} waits for the leftovers of the other phase, turns the phase, and waits for the
 * one it turned away from; accesses that begin later are in the new phase and cannot delay it. An access that read the
 * phase before the turn but counted itself after the wait has not translated yet when the wait ends, so it sees the
 * tables as they are then.
 *
 * <p>Each count has a cache line pair of its own. {@link #enter} and {@link #exit} are lock-free.
 */
final class InFlight {
    private static final VarHandle COUNT = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int LINE = 16;
    private static final int BEGUN = LINE;
    private static final int ENDED = 3 * LINE;

    private final long[] counts = new long[6 * LINE];
    private volatile int phase;

    /** {@return the phase to hand to {@link #exit}} */
    int enter() {
        int joined = phase;
        join(joined);
        return joined;
    }

    /** The second half of {@link #enter}: the phase may have turned since it was read. */
    void join(int read) {
        COUNT.getAndAdd(counts, BEGUN + read * LINE, 1L);
    }

    void exit(int joined) {
        COUNT.getAndAdd(counts, ENDED + joined * LINE, 1L);
    }

    synchronized void drain() {
        int now = phase;
        await(1 - now);
        phase = 1 - now;
        await(now);
    }

    private void await(int which) {
        for (int spins = 0; !empty(which); spins++) {
            if (spins < 1_000) {
                Thread.onSpinWait();
            } else {
                LockSupport.parkNanos(20_000);
            }
        }
    }

    /**
     * Ended is read first: an access that ends in between can only make the phase look busier than it is. Begun is read
     * by an atomic addition of nothing, so that the additions of {@link #enter} come either before it, and are seen, or
     * after it, and then see the tables as the drainer left them; a mere read would not order the two.
     */
    private boolean empty(int which) {
        long ended = (long) COUNT.getVolatile(counts, ENDED + which * LINE);
        return (long) COUNT.getAndAdd(counts, BEGUN + which * LINE, 0L) == ended;
    }
}
