// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.Arrays;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import vfio.api.swap.Swap;

/**
 * The statistics of all swap reports. Reports themselves are not kept, since their number is unbounded: sums, one
 * report per container, and a sample of the times DMA was held back. Any thread.
 */
final class Reports {
    /**
     * Size of the sample of times. Each time has the same chance to be in it (reservoir sampling); the longest is
     * always kept.
     */
    static final int SAMPLE = 4096;

    /**
     * What was refused to one container.
     *
     * @param accesses that were refused
     * @param shortest of the reports with a refusal the one where DMA was held back for the shortest time; null if
     *     there is none
     */
    record Refusals(long accesses, Swap shortest) {
        private static final Refusals NONE = new Refusals(0, null);

        private Refusals with(Swap report) {
            boolean shorter = report.refused() > 0
                && (shortest == null || report.blockedNanos() < shortest.blockedNanos());
            return new Refusals(accesses + report.refused(), shorter ? report : shortest);
        }
    }

    /** The same numbers of the same reports keep the same sample. */
    private final SplittableRandom dice = new SplittableRandom(1);

    // Guarded by this.
    private final Map<String, Refusals> refusals = new TreeMap<>();
    private final long[] sample = new long[SAMPLE];
    private long blocked;
    private long longest;
    private long count;
    private long failed;
    private long mappings;
    private long stalled;
    private long refused;
    private long carried;

    synchronized void add(Swap report) {
        count++;
        failed += report.done() ? 0 : 1;
        mappings += report.mappings();
        stalled += report.stalled();
        refused += report.refused();
        carried += report.carried();
        refusals.merge(report.container(), Refusals.NONE.with(report), (before, one) -> before.with(report));
        if (report.blockedNanos() > 0) {
            sample(TimeUnit.NANOSECONDS.toMicros(report.blockedNanos()));
        }
    }

    private void sample(long micros) {
        longest = Math.max(longest, micros);
        blocked++;
        long place = blocked <= SAMPLE ? blocked - 1 : dice.nextLong(blocked);
        if (place < SAMPLE) {
            sample[(int) place] = micros;
        }
    }

    /** {@return what was refused to a container} */
    synchronized Refusals refusals(String container) {
        return refusals.getOrDefault(container, Refusals.NONE);
    }

    /**
     * {@return for how long DMA was held back, in microseconds, by ascending length: one entry a report where it was,
     * or a sample of them; the longest is among them}
     */
    synchronized long[] blockedMicros() {
        long[] micros = Arrays.copyOf(sample, (int) Math.min(blocked, SAMPLE));
        Arrays.sort(micros);
        if (micros.length > 0) {
            micros[micros.length - 1] = longest;
        }
        return micros;
    }

    /** {@return how many there were} */
    synchronized long count() {
        return count;
    }

    /** {@return how many of them tell of a swap that was not done} */
    synchronized long failed() {
        return failed;
    }

    /** {@return mappings that were replayed} */
    synchronized long mappings() {
        return mappings;
    }

    /** {@return accesses that waited} */
    synchronized long stalled() {
        return stalled;
    }

    /** {@return accesses that were refused after they had waited} */
    synchronized long refused() {
        return refused;
    }

    /** {@return messages that were kept until they could be delivered} */
    synchronized long carried() {
        return carried;
    }
}
