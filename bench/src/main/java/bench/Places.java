// SPDX-License-Identifier: Apache-2.0
package bench;

/**
 * The choice of the next of n places. The same arithmetic for the road and for its yardstick, so that it cancels out of
 * the ratio; each place depends on the answer before, so that latencies add up and do not overlap.
 */
final class Places {
    /** Accesses in one call of a benchmark method. */
    static final int BATCH = 256;
    /** The offsets of blocks to copy wrap around after this many bytes. */
    static final int TURN = 4096;

    private Places() {
    }

    /** {@return the next state of the generator}
     * @param answer not negative, which only the caller knows */
    static long step(long state, long answer) {
        return state * 6364136223846793005L + 1442695040888963407L + (answer >>> 63);
    }

    /** {@return a place in 0..n - 1, n at most 2^31 - 1} */
    static int place(long state, int n) {
        return (int) ((state >>> 33) * n >>> 31);
    }

    /**
     * {@return where the next block to copy begins} How fast a processor copies depends on how source and destination
     * lie to lines and to pages, by a factor of two, and the heap puts the source anywhere: each copy takes another
     * place, so all get the same mixture.
     */
    static int turn(int start) {
        return start + 72 & TURN - 1;
    }
}
