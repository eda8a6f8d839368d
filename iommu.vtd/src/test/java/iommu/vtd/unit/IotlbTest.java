// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** One thread; what concurrent ones see is in {@link InvalidationRaceTest}. */
class IotlbTest {
    private final DomainTag domain = new DomainTag(5);
    private final DomainTag other = new DomainTag(6);

    private static void put(Iotlb cache, long page, DomainTag of, long value) {
        cache.put(page, of, value, of.epoch, of.cuts);
    }

    private int found(Iotlb cache, long first, long step, int count) {
        int found = 0;
        for (int i = 0; i < count; i++) {
            long value = cache.find(first + i * step, domain);
            if (value != Iotlb.MISS) {
                assertEquals(first + i * step << 12, value, "another page's");
                found++;
            }
        }
        return found;
    }

    @Test
    @DisplayName("IOTLB: a page is found under its own domain only, with what was cached last")
    void find() {
        Iotlb cache = new Iotlb(64);
        assertEquals(Iotlb.MISS, cache.find(0x40201, domain));
        cache.remove(0x40201, 5);
        assertEquals(0, cache.capacity());
        put(cache, 0x40201, domain, 0x7000003);
        put(cache, 0x40201, other, 0x8000003);
        assertEquals(0x7000003, cache.find(0x40201, domain));
        assertEquals(0x8000003, cache.find(0x40201, other));
        assertEquals(Iotlb.MISS, cache.find(0x40202, domain));
        put(cache, 0x40201, domain, 0x9000003);
        assertEquals(0x9000003, cache.find(0x40201, domain));
        put(cache, 0, domain, 0);
        assertEquals(0, cache.find(0, domain), "page 0, absent in caching mode");
        put(cache, 0x1fff_ffff_ffffL, domain, 0x1003);
        assertEquals(0x1003, cache.find(0x1fff_ffff_ffffL, domain), "the last page of 57 bits");
    }

    @Test
    @DisplayName("IOTLB: a set has four ways: a fifth page throws out one, one that is there again none")
    void ways() {
        Iotlb cache = new Iotlb(64);
        for (int i = 0; i < 4; i++) {
            put(cache, 0x10 * i, domain, 0x10L * i << 12);
        }
        assertEquals(4, found(cache, 0, 0x10, 4));
        for (int i = 0; i < 8; i++) {
            put(cache, 0x10, domain, 0x10 << 12);
        }
        assertEquals(4, found(cache, 0, 0x10, 4));
        put(cache, 0x40, domain, 0x40 << 12);
        assertEquals(4, found(cache, 0, 0x10, 5));
        assertEquals(0x40 << 12, cache.find(0x40, domain));
        cache.remove(0x40, 5);
        assertEquals(3, found(cache, 0, 0x10, 5));
        put(cache, 0x50, domain, 0x50 << 12);
        assertEquals(4, found(cache, 0, 0x10, 6), "the free way is taken first");
        assertEquals(1, found(cache, 1, 0x10, 1) + found(cache, 0x50, 0x10, 1));
        // All that come one after another are thrown out in turn.
        for (int i = 0; i < 4; i++) {
            put(cache, 0x1000 + 0x100 * i, domain, 0x1000L + 0x100 * i << 12);
        }
        assertEquals(4, found(cache, 0x1000, 0x100, 4));
    }

    @Test
    @DisplayName("IOTLB: removing takes one page of one domain")
    void remove() {
        Iotlb cache = new Iotlb(64);
        put(cache, 1, domain, 0x1000);
        put(cache, 2, domain, 0x2000);
        put(cache, 1, other, 0x3000);
        cache.remove(1, 5);
        assertEquals(Iotlb.MISS, cache.find(1, domain));
        assertEquals(0x2000, cache.find(2, domain));
        assertEquals(0x3000, cache.find(1, other));
        put(cache, 1, domain, 0x4000);
        assertEquals(0x4000, cache.find(1, domain));
    }

    @Test
    @DisplayName("IOTLB: what a walk found that began before an invalidation of the domain, or of a page of it, is "
        + "not served")
    void tooLate() {
        Iotlb cache = new Iotlb(64);
        long epoch = domain.epoch;
        long cuts = domain.cuts;
        put(cache, 1, domain, 0x1000);
        domain.invalidate();
        assertEquals(Iotlb.MISS, cache.find(1, domain));
        cache.put(2, domain, 0x2000, epoch, cuts);
        assertEquals(Iotlb.MISS, cache.find(2, domain));
        put(cache, 2, domain, 0x2000);
        assertEquals(0x2000, cache.find(2, domain));
        domain.cut();
        assertEquals(0x2000, cache.find(2, domain), "another page may have been cut out");
        cache.put(3, domain, 0x3000, domain.epoch, cuts);
        assertEquals(Iotlb.MISS, cache.find(3, domain));
        put(cache, 3, domain, 0x3000);
        assertEquals(0x3000, cache.find(3, domain));
    }

    @Test
    @DisplayName("IOTLB: a contiguous range as large as the cache fits into it; it grows by four when it has thrown "
        + "out as many as it has")
    void growth() {
        Iotlb cache = new Iotlb(1 << 13);
        for (int page = 0; page < 1024; page++) {
            put(cache, 0x777_0000 + page, domain, 0x777_0000L + page << 12);
        }
        assertEquals(1024, cache.capacity());
        assertEquals(1024, found(cache, 0x777_0000, 1, 1024));
        for (int page = 0; page < 1024; page++) {
            put(cache, 0x888_0000 + page, domain, 0x888_0000L + page << 12);
        }
        assertEquals(1024, cache.capacity());
        put(cache, 0x999_0000, domain, 0x999_0000L << 12);
        assertEquals(4096, cache.capacity());
        for (int round = 0; round < 2; round++) {
            for (int page = 0; page < 4096; page++) {
                put(cache, 0x777_0000 + 0x1_0000 * round + page, domain, 0x777_0000L + 0x1_0000 * round + page << 12);
            }
        }
        assertEquals(4096, cache.capacity());
        put(cache, 0x999_0000, domain, 0x999_0000L << 12);
        assertEquals(1 << 13, cache.capacity(), "not beyond the largest");
        for (int page = 0; page < 1 << 15; page++) {
            put(cache, page, domain, (long) page << 12);
        }
        assertEquals(1 << 13, cache.capacity());
        assertEquals(1 << 13, found(cache, 0, 1, 1 << 15));
        assertEquals(1 << 13, found(cache, (1 << 15) - (1 << 13), 1, 1 << 13));
        Iotlb small = new Iotlb(64);
        for (int page = 0; page < 1024; page++) {
            put(small, page, domain, (long) page << 12);
        }
        assertEquals(64, small.capacity());
    }
}
