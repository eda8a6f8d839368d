// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/** A read of one register narrower than a word, or not at its start. */
final class Lanes {
    private Lanes() {
    }

    /**
     * {@return the {@code size} bytes at the offset, of a register whose four byte lanes are given; lanes beyond read
     * as zero}
     */
    static long read(int register, long offset, int size) {
        long lanes = (register & 0xffff_ffffL) >>> (8 * (offset & 3));
        return size >= 4 ? lanes : lanes & (1L << (8 * size)) - 1;
    }
}
