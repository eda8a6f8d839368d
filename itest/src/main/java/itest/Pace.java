// SPDX-License-Identifier: Apache-2.0
package itest;

import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;

/** The factor by which this machine is slower than an idle one. */
final class Pace {
    /** The time {@link #work} takes on an idle machine. */
    private static final long EXPECTED_NANOS = 400_000_000L;
    private static final int ROUNDS = 200_000_000;
    private static final int SLOWEST = 10;

    private Pace() {
    }

    /**
     * {@return a factor, at least 1 where it is measured} Without one that is asked for it is what one piece of work
     * takes on every processor at once: a machine that is slow or has other things to do is given more.
     *
     * @param asked the property {@code gantry.patience}, or null
     */
    static double of(String asked) {
        if (asked != null && !asked.isBlank()) {
            return Double.parseDouble(asked);
        }
        long begin = System.nanoTime();
        long sum = IntStream.range(0, Runtime.getRuntime().availableProcessors()).parallel().mapToLong(i -> work(i + 1))
            .sum();
        double factor = Math.min(SLOWEST, Math.max(1, (double) (System.nanoTime() - begin) / EXPECTED_NANOS));
        System.err.printf("%.1f times as long as on an idle machine may everything take (%x)%n", factor, sum);
        return factor;
    }

    /** A condition on the far side of a thread, of a service event or of a process. */
    interface Condition {
        boolean holds() throws Exception;
    }

    /** Fails if it does not hold within that many seconds. */
    static void await(String what, long seconds, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!condition.holds()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("not within " + seconds + " s: " + what);
            }
            Thread.sleep(5);
        }
    }

    /** Nothing that a compiler can leave out: xorshift. */
    private static long work(long seed) {
        long state = seed;
        for (int i = 0; i < ROUNDS; i++) {
            state ^= state << 13;
            state ^= state >>> 7;
            state ^= state << 17;
        }
        return state;
    }
}
