// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.ref.WeakReference;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.locks.LockSupport;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.swap.Swap;

@Timeout(60)
class ReportsTest {
    private final Reports reports = new Reports();

    private static Swap report(String container, long micros, long refused, String failure) {
        return new Swap(Instant.EPOCH, container, Swap.Backend.IOMMU, "a", "b", 2, 16, 3, 2, 1000 * micros, 5, refused,
            7, failure);
    }

    @Test
    @DisplayName("none: nothing was held back, nothing refused")
    void none() {
        assertArrayEquals(new long[0], reports.blockedMicros());
        assertEquals(0, reports.refusals("one").accesses());
        assertNull(reports.refusals("one").shortest());
    }

    @Test
    @DisplayName("sums over all, refusals by container with the shortest wait, times in order")
    void sums() {
        reports.add(report("one", 30, 0, ""));
        reports.add(report("one", 20, 4, ""));
        Swap shortest = report("one", 10, 2, "it failed");
        reports.add(shortest);
        reports.add(report("two", 5, 1, ""));
        reports.add(report("two", 0, 0, ""));
        assertEquals(5, reports.count());
        assertEquals(1, reports.failed());
        assertEquals(80, reports.mappings());
        assertEquals(25, reports.stalled());
        assertEquals(7, reports.refused());
        assertEquals(35, reports.carried());
        assertEquals(new Reports.Refusals(6, shortest), reports.refusals("one"));
        assertEquals(1, reports.refusals("two").accesses());
        assertArrayEquals(new long[] {5, 10, 20, 30}, reports.blockedMicros());
    }

    @Test
    @DisplayName("a day of reports: as many times are kept as before, the longest among them, and the quantiles are "
        + "right to some parts of a hundred")
    void many() {
        int count = 500_000;
        for (int i = 0; i < count; i++) {
            // Each of 1..count once, in no order: 7919 is prime to it.
            reports.add(report("one", i * 7919L % count + 1, 0, ""));
        }
        long[] micros = reports.blockedMicros();
        assertEquals(Reports.SAMPLE, micros.length);
        assertEquals(count, micros[micros.length - 1]);
        assertEquals(0.5, Verdict.quantile(micros, 0.5) / (double) count, 0.05);
        assertEquals(0.99, Verdict.quantile(micros, 0.99) / (double) count, 0.01);
        assertEquals(count, reports.count());
    }

    @Test
    @DisplayName("no report is kept but one for each container")
    void notKept() {
        List<WeakReference<Swap>> given = new ArrayList<>();
        for (int i = 0; i < 2 * Reports.SAMPLE; i++) {
            Swap report = report(i % 2 == 0 ? "one" : "two", 1 + i, i == 7 || i == 4000 ? 1 : 0, "");
            given.add(new WeakReference<>(report));
            reports.add(report);
        }
        long start = System.nanoTime();
        long kept = given.size();
        while (kept > 2 && System.nanoTime() - start < 20_000_000_000L) {
            System.gc();
            LockSupport.parkNanos(1_000_000);
            kept = given.stream().filter(reference -> reference.get() != null).count();
        }
        assertTrue(kept <= 2, kept + " are kept");
        assertEquals(8, reports.refusals("two").shortest().blockedNanos() / 1000);
    }
}
