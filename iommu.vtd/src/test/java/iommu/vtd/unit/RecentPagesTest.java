// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Access;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class RecentPagesTest {
    private static final int SOURCE = 0x0102;
    /** Has the same place. */
    private static final int NEIGHBOUR = 0x0003;

    private final RecentPages pages = new RecentPages();

    private void keep(int source, long iova, int access, long distance) {
        long looked = pages.generation();
        pages.used(source, iova, access, distance, looked);
        pages.used(source, iova, access, distance, looked);
    }

    @Test
    @DisplayName("a page is served when it was used twice in a row, all of it and nothing beside it")
    void twice() {
        pages.used(SOURCE, 0x5678, Access.READ, 0x1000, pages.generation());
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5678, Access.READ));
        pages.used(SOURCE, 0x6000, Access.READ, 0x1000, pages.generation());
        pages.used(SOURCE, 0x5678, Access.READ, 0x1000, pages.generation());
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5678, Access.READ), "not in a row");
        pages.used(SOURCE, 0x5000, Access.READ, 0x1000, pages.generation());
        assertEquals(0x6000, pages.find(SOURCE, 0x5000, Access.READ));
        assertEquals(0x6fff, pages.find(SOURCE, 0x5fff, Access.READ));
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x4fff, Access.READ));
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x6000, Access.READ));
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000L | 1L << 56, Access.READ));
    }

    @Test
    @DisplayName("what was permitted for reads is not for writes; each has a page of its own")
    void permissions() {
        keep(SOURCE, 0x5000, Access.READ, 0x1000);
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000, Access.WRITE));
        keep(SOURCE, 0x7000, Access.WRITE, 0x2000);
        assertEquals(0x6000, pages.find(SOURCE, 0x5000, Access.READ));
        assertEquals(0x9000, pages.find(SOURCE, 0x7000, Access.WRITE));
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000, Access.READ_WRITE));
    }

    @Test
    @DisplayName("VT-d 3.4: a page is its source id's alone, also where two share a place, and nobody's who has none")
    void sources() {
        keep(SOURCE, 0x5000, Access.READ, 0x1000);
        assertEquals(RecentPages.MISS, pages.find(NEIGHBOUR, 0x5000, Access.READ));
        for (int bit = 1; bit != 0; bit <<= 1) {
            assertEquals((SOURCE & bit) != 0 ? 0x6000 : RecentPages.MISS, pages.find(SOURCE | bit, 0x5000, Access.READ),
                "source id 0x" + Integer.toHexString(SOURCE | bit));
        }
        keep(NEIGHBOUR, 0x5000, Access.READ, 0x3000);
        assertEquals(0x8000, pages.find(NEIGHBOUR, 0x5000, Access.READ));
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000, Access.READ));
    }

    @Test
    @DisplayName("VT-d 4: what was looked up before an invalidation is not served after it, whenever it comes here")
    void generations() {
        keep(SOURCE, 0x5000, Access.READ, 0x1000);
        long before = pages.generation();
        pages.nextGeneration();
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000, Access.READ));
        pages.used(SOURCE, 0x5000, Access.READ, 0x1000, before);
        assertEquals(RecentPages.MISS, pages.find(SOURCE, 0x5000, Access.READ), "looked up before");
        pages.used(SOURCE, 0x5000, Access.READ, 0x2000, pages.generation());
        assertEquals(0x7000, pages.find(SOURCE, 0x5000, Access.READ));
    }

    @Test
    @Timeout(60)
    @DisplayName("threads and source ids that share a place never see half of each other's pages")
    void sharedPlace() throws InterruptedException {
        AtomicLong hits = new AtomicLong();
        AtomicReference<String> wrong = new AtomicReference<>();
        List<Thread> threads = new ArrayList<>();
        long bits = -1;
        while (threads.size() < 3) {
            int source = threads.size() == 2 ? NEIGHBOUR : SOURCE;
            Thread thread = new Thread(() -> use(source, hits, wrong));
            // A place is chosen by the low bits of a thread's number.
            if (bits < 0 || (thread.getId() & 7) == bits) {
                bits = thread.getId() & 7;
                threads.add(thread);
            }
        }
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(null, wrong.get());
        assertTrue(hits.get() > 0, "nothing was ever served");
    }

    private void use(int source, AtomicLong hits, AtomicReference<String> wrong) {
        for (int i = 0; i < 300_000 && wrong.get() == null; i++) {
            long iova = (i & 3L) << 12;
            long distance = source << 20 | iova << 8;
            keep(source, iova, Access.READ, distance);
            for (long page = 0; page < 4; page++) {
                long found = pages.find(source, page << 12, Access.READ);
                if (found != RecentPages.MISS) {
                    hits.incrementAndGet();
                    long right = (page << 12) + (source << 20 | page << 20);
                    if (found != right) {
                        wrong.compareAndSet(null,
                            String.format("0x%x of 0x%x: 0x%x instead of 0x%x", page << 12, source, found, right));
                    }
                }
            }
        }
    }
}
