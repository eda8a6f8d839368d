// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicBoolean;

/**
 * The cache of translations of one page size, looked into by {@link VtdUnit#translate} before it walks.
 *
 * <p>Sets of four entries in one array of longs; an entry is stamp, tag, value, epoch. The stamp is odd while somebody
 * writes the entry; a reader accepts what it read if the stamp was even and is still the same. Readers never wait and
 * allocate nothing; a walker that finds the entry being written does not cache; only an invalidation waits for a
 * writer, which is a handful of instructions. The array starts small and is replaced by an empty one four times its
 * size when it has thrown out as many entries as it has.
 */
final class Iotlb {
    /** No entry. No value is negative. */
    static final long MISS = -1;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int WAYS = 4;
    private static final int WORDS = 4;
    private static final int SET = WAYS * WORDS;
    private static final int TAG = 1;
    private static final int VALUE = 2;
    private static final int EPOCH = 3;
    private static final long VALID = 1L << 63;
    private static final int SMALLEST = 1 << 10;

    private final int largest;
    private final AtomicBoolean growing = new AtomicBoolean();
    private volatile long[] entries;
    private int thrownOut;

    /** @param largest number of entries to grow to, a power of two */
    Iotlb(int largest) {
        this.largest = largest;
    }

    /**
     * @param page the device address shifted by the page size
     * @return what {@link #put} was given, or {@link #MISS}
     */
    long find(long page, DomainTag domain) {
        long[] now = entries;
        if (now == null) {
            return MISS;
        }
        long tag = tag(page, domain.id);
        int first = set(now, page, domain.id);
        for (int at = first; at < first + SET; at += WORDS) {
            if ((long) WORD.getOpaque(now, at + TAG) == tag) {
                long stamp = (long) WORD.getAcquire(now, at);
                long found = (long) WORD.getOpaque(now, at + TAG);
                long value = (long) WORD.getOpaque(now, at + VALUE);
                long epoch = (long) WORD.getOpaque(now, at + EPOCH);
                VarHandle.acquireFence();
                if ((stamp & 1) == 0 && found == tag && (long) WORD.getOpaque(now, at) == stamp
                    && epoch == domain.epoch) {
                    return value;
                }
            }
        }
        return MISS;
    }

    /**
     * Caches what a walk has found.
     *
     * @param value not negative
     * @param epoch the domain's epoch before the walk
     * @param cuts the domain's cuts before the walk
     */
    void put(long page, DomainTag domain, long value, long epoch, long cuts) {
        long[] now = entries;
        if (now == null) {
            now = grow(null);
        }
        long tag = tag(page, domain.id);
        int at = victim(now, set(now, page, domain.id), tag);
        long stamp = (long) WORD.getAcquire(now, at);
        if ((stamp & 1) != 0 || !WORD.compareAndSet(now, at, stamp, stamp + 1)) {
            return;
        }
        // Either this look sees the cut, or the cut sees the odd stamp.
        VarHandle.fullFence();
        boolean current = domain.cuts == cuts;
        WORD.setOpaque(now, at + TAG, current ? tag : 0L);
        WORD.setOpaque(now, at + VALUE, value);
        WORD.setOpaque(now, at + EPOCH, epoch);
        WORD.setRelease(now, at, stamp + 2);
    }

    /** Removes a page. The caller has counted the cut. When this returns no later look finds it. */
    void remove(long page, int domain) {
        long[] now = entries;
        if (now == null) {
            return;
        }
        long tag = tag(page, domain);
        int first = set(now, page, domain);
        for (int at = first; at < first + SET; at += WORDS) {
            while (!removed(now, at, tag)) {
                Thread.onSpinWait();
            }
        }
    }

    /** {@return entries there is room for now} */
    int capacity() {
        long[] now = entries;
        return now == null ? 0 : now.length / WORDS;
    }

    private static boolean removed(long[] now, int at, long tag) {
        long stamp = (long) WORD.getVolatile(now, at);
        if ((stamp & 1) != 0) {
            return false;
        }
        if ((long) WORD.getOpaque(now, at + TAG) != tag) {
            VarHandle.acquireFence();
            return (long) WORD.getOpaque(now, at) == stamp;
        }
        if (!WORD.compareAndSet(now, at, stamp, stamp + 1)) {
            return false;
        }
        VarHandle.storeStoreFence();
        WORD.setOpaque(now, at + TAG, 0L);
        WORD.setRelease(now, at, stamp + 2);
        return true;
    }

    private int victim(long[] now, int first, long tag) {
        int free = -1;
        long stamps = 0;
        for (int at = first; at < first + SET; at += WORDS) {
            long there = (long) WORD.getOpaque(now, at + TAG);
            if (there == tag) {
                return at;
            }
            if (there == 0) {
                free = at;
            }
            stamps += (long) WORD.getOpaque(now, at);
        }
        if (free >= 0) {
            return free;
        }
        if (++thrownOut > now.length / WORDS && now.length / WORDS < largest) {
            grow(now);
        }
        // Each write counts a stamp up by two, so the ways of a set take turns, in whatever rhythm the sets do.
        return first + ((int) (stamps >>> 1) & WAYS - 1) * WORDS;
    }

    /** Once per size: the one place where a device's thread allocates. A second thread goes on with the old array. */
    private long[] grow(long[] old) {
        int size = old == null ? Math.min(SMALLEST, largest) : Math.min(old.length / WORDS * 4, largest);
        if (!growing.compareAndSet(false, true)) {
            long[] now = entries;
            return now != null ? now : new long[SET];
        }
        try {
            if (entries == old) {
                thrownOut = 0;
                entries = new long[size * WORDS];
            }
            return entries;
        } finally {
            growing.set(false);
        }
    }

    private static long tag(long page, int domain) {
        return VALID | page << 16 | domain;
    }

    /** Neighbouring pages lie in neighbouring sets: a contiguous range as large as the cache fits into it. */
    private static int set(long[] now, long page, int domain) {
        int sets = now.length / SET;
        return ((int) (page ^ page >>> 18 ^ domain * 0x9e3bL) & sets - 1) * SET;
    }
}
