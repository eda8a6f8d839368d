// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;

/**
 * The page of 4 KiB that each source id has used last for reads and for writes, in front of all else: one for each of
 * its threads, as long as threads' numbers differ in their low bits. There is one generation for the unit, which every
 * invalidation moves when it is done; what was looked up under an older one is not served. So a hit asks neither
 * context, nor domain, nor table, nor whether the unit is enabled.
 *
 * <p>A page comes here when it is used twice in a row, so that a device which uses each page once pays a store, no
 * more.
 *
 * <p>Source ids may share a place; the key tells them apart. A writer takes the key away, counts the stamp up, writes,
 * and puts the key there last: a reader that finds its key between two equal stamps has read what one writer wrote.
 * Lock-free, never waits; allocates when something is kept in a place for the first time.
 */
final class RecentPages {
    /** No entry. No answer is negative. */
    static final long MISS = -1;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int SOURCES = 256;
    private static final int THREADS = 8;
    /** An entry's words stand in the middle of so many, on cache lines that no other entry has. */
    private static final int WORDS = 32;
    private static final int STAMP = 12;
    /** Generation and source id; zero is no entry. */
    private static final int KEY = 13;
    private static final int TAG = 14;
    /** Physical address less device address. */
    private static final int DISTANCE = 15;
    /** The tag of the page that was used last, here or not. */
    private static final int CANDIDATE = 16;
    /** 1 while somebody writes. */
    private static final int WRITING = 17;
    private static final long[] NOTHING = new long[WORDS];
    /** Above the source id's bits. */
    private static final long GENERATION = 1L << 16;

    private final long[][] entries = new long[SOURCES * THREADS * 2][];
    private volatile long generation = GENERATION;

    RecentPages() {
        Arrays.fill(entries, NOTHING);
    }

    /** {@return to be read before anything is looked up that is handed to {@link #used}} */
    long generation() {
        return generation;
    }

    /** Nothing that is here is served any more. The end of every invalidation. */
    synchronized void nextGeneration() {
        generation += GENERATION;
    }

    /** {@return the physical address, or {@link #MISS}} */
    long find(int source, long iova, int access) {
        long now = generation;
        if (source >>> 16 != 0) {
            return MISS;
        }
        long[] entry = entries[place(source, access)];
        long stamp = (long) WORD.getAcquire(entry, STAMP);
        if ((long) WORD.getAcquire(entry, KEY) == (now | source)
            && (long) WORD.getOpaque(entry, TAG) == tag(iova, access)) {
            long distance = (long) WORD.getOpaque(entry, DISTANCE);
            VarHandle.acquireFence();
            if ((long) WORD.getOpaque(entry, STAMP) == stamp) {
                return iova + distance;
            }
        }
        return MISS;
    }

    /**
     * An address was looked up. If its page was the one before, too, it is served from now on.
     *
     * @param access what its page permits and was asked for
     * @param distance physical address less device address
     * @param looked the {@link #generation} before anything of this was looked up
     */
    void used(int source, long iova, int access, long distance, long looked) {
        int place = place(source, access);
        long[] entry = entries[place];
        if (entry == NOTHING) {
            // Zeroes are no entry, so a thread that sees it early sees nothing wrong.
            entry = new long[WORDS];
            entries[place] = entry;
        }
        long tag = tag(iova, access);
        if ((long) WORD.getOpaque(entry, CANDIDATE) != tag) {
            WORD.setOpaque(entry, CANDIDATE, tag);
            return;
        }
        if (!WORD.compareAndSet(entry, WRITING, 0L, 1L)) {
            return;
        }
        WORD.setOpaque(entry, KEY, 0L);
        VarHandle.storeStoreFence();
        WORD.setOpaque(entry, STAMP, (long) WORD.getOpaque(entry, STAMP) + 1);
        VarHandle.storeStoreFence();
        WORD.setOpaque(entry, TAG, tag);
        WORD.setOpaque(entry, DISTANCE, distance);
        WORD.setRelease(entry, KEY, looked | source);
        WORD.setRelease(entry, WRITING, 0L);
    }

    private static int place(int source, int access) {
        int thread = (int) Thread.currentThread().getId() & THREADS - 1;
        return ((source ^ source >>> 8) & SOURCES - 1) << 4 | thread << 1 | access & 1;
    }

    private static long tag(long iova, int access) {
        return iova & -4096 | access;
    }
}
