// SPDX-License-Identifier: Apache-2.0
package iommu.type1.unit;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;

/**
 * The pages that each source id has used last, in front of all else: one for each of its threads, as long as threads' numbers
 * differ in their low bits. There is one generation for the unit, which every invalidation moves when it is done; what was looked up
 * under an older one is not served. So a hit asks neither context, nor domain, nor table, nor whether the unit is enabled.
 *
 * <p>A page comes here when it is used twice in a row, so that a device which uses each page once pays a store, no more.
 *
 * <p>An entry is stamp, page, distance, generation, on a cache line pair of its own; the stamp is as in {@link Iotlb}: odd while somebody
 * writes, and a reader accepts what it read if it was even and is still the same. Lock-free, never waits; allocates when a source
 * id first speaks.
 */
final class RecentPages {
    /** No entry. No answer is negative. */
    static final long MISS = -1;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
    private static final int THREADS = 8;
    private static final int LINE = 16;
    /** First device address; below bit 12 the permissions, and the size as a shift in bits 7:2. */
    private static final int PAGE = 1;
    private static final int DISTANCE = 2;
    private static final int GENERATION = 3;
    /** The page that was used last, here or not, in the form of {@link #PAGE}. */
    private static final int CANDIDATE = 4;
    private static final int SHIFT = 2;

    /** By source id. Zeroes are no entry, so a thread that sees one early sees nothing wrong. */
    private final long[][] pages = new long[1 << 16][];
    private volatile long generation = 1;

    /** {@return to be read before anything is looked up that is handed to {@link #keep}} */
    long generation() {
        return generation;
    }

    /** Nothing that is here is served any more. The end of every invalidation. */
    synchronized void nextGeneration() {
        generation++;
    }

    /** {@return the physical address, or {@link #MISS}} */
    long find(int source, long iova, int access) {
        long now = generation;
        if (source < 0 || source >= pages.length) {
            return MISS;
        }
        long[] words = pages[source];
        if (words == null) {
            return MISS;
        }
        int at = place();
        long stamp = (long) WORD.getAcquire(words, at);
        long page = (long) WORD.getOpaque(words, at + PAGE);
        // This first: who uses each page once is to be through soon.
        if ((iova ^ page) >>> (page >>> SHIFT & 0x3f) != 0) {
            return MISS;
        }
        long distance = (long) WORD.getOpaque(words, at + DISTANCE);
        if ((long) WORD.getOpaque(words, at + GENERATION) == now && (page & access) == access) {
            VarHandle.acquireFence();
            if ((stamp & 1) == 0 && (long) WORD.getOpaque(words, at) == stamp) {
                return iova + distance;
            }
        }
        return MISS;
    }

    /**
     * {@return a page in one word}
     *
     * @param first its first device address
     * @param shift log2 of its size
     * @param permitted access bits
     */
    static long page(long first, int shift, int permitted) {
        return first | (long) shift << SHIFT | permitted;
    }

    /** A page was used. {@return whether it was the one before, too, and is worth keeping} */
    boolean again(int source, long page) {
        long[] words = pages[source];
        if (words == null) {
            words = new long[(THREADS + 1) * LINE];
            pages[source] = words;
        }
        int at = place() + CANDIDATE;
        if ((long) WORD.getOpaque(words, at) == page) {
            return true;
        }
        WORD.setOpaque(words, at, page);
        return false;
    }

    /**
     * After {@link #again}: the page is served from now on.
     *
     * @param distance physical address less device address
     * @param looked the {@link #generation} before anything of this was looked up
     */
    void keep(int source, long page, long distance, long looked) {
        long[] words = pages[source];
        int at = place();
        long stamp = (long) WORD.getAcquire(words, at);
        if ((stamp & 1) != 0 || !WORD.compareAndSet(words, at, stamp, stamp + 1)) {
            return;
        }
        VarHandle.storeStoreFence();
        WORD.setOpaque(words, at + PAGE, page);
        WORD.setOpaque(words, at + DISTANCE, distance);
        WORD.setOpaque(words, at + GENERATION, looked);
        WORD.setRelease(words, at, stamp + 2);
    }

    private static int place() {
        return (int) (Thread.currentThread().getId() & THREADS - 1) * LINE + LINE;
    }
}
