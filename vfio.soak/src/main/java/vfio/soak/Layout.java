// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

/**
 * The layout of a container's device addresses: equal slots, each a window where translation is windowed.
 *
 * <pre>
 *   | 0 mapped | 1 never | 2 mapped | 3 never | …        | churn … | MSI banks … |  outside
 *   '----------------- first half ------------------'    third quarter  last quarter
 * </pre>
 *
 * The memory behind the mapped slots lies like this, too: behind each of them is one that no device may touch. The
 * physical addresses that equal these device addresses are memory that no device may touch either: it tells if
 * translation is ever bypassed.
 *
 * @param start first device address, a multiple of twice the size
 * @param span bytes of a slot, a power of two
 * @param slots their number, a power of two from 16
 */
record Layout(long start, int span, int slots) {
    /** Bytes of a slot: small enough that a windowed aperture of many is cheap to fill and to compare. */
    static final int SPAN = 0x10000;
    private static final int PAGED = 64;

    /** {@return how many slots there are: as many as windows, where there are windows} */
    static int slots(boolean windowed, int maxWindows) {
        return windowed ? Math.min(PAGED, Integer.highestOneBit(maxWindows)) : PAGED;
    }

    long size() {
        return (long) span * slots;
    }

    long end() {
        return start + size();
    }

    long iova(int slot) {
        return start + (long) slot * span;
    }

    /** {@return the slot of an address, negative or too large outside} */
    int slot(long iova) {
        return (int) Math.max(-1, Math.min(slots, Math.floorDiv(iova - start, span)));
    }

    /** {@return how many slots are mapped all the time: every other one from 0 on} */
    int steady() {
        return slots / 4;
    }

    boolean steady(int slot) {
        return slot >= 0 && slot < slots / 2 && slot % 2 == 0;
    }

    /** {@return whether nothing is ever mapped there} */
    boolean never(int slot) {
        return slot < 0 || slot >= slots || slot < slots / 2 && slot % 2 == 1;
    }

    int firstChurn() {
        return slots / 2;
    }

    int churn() {
        return slots / 4;
    }

    boolean churn(int slot) {
        return slot >= firstChurn() && slot < firstBank();
    }

    /** {@return the first slot for MSI banks; all behind it are for them, too} */
    int firstBank() {
        return slots / 2 + slots / 4;
    }
}
