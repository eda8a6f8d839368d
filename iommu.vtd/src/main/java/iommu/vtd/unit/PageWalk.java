// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import machine.api.Bus;

/**
 * The walk through second-level tables, entries of 8 bytes, little-endian as all of x86. Part of stop 2 of the road, on
 * the branch that the IOTLB does not know. Stateless; reads memory only.
 *
 * <pre>
 *  63 62 61..52 51..........12 11  10..8  7   6..2  1 0
 *   ig TM  ig    address       SNP  ig    PS   ig   W R      present = R or W
 * </pre>
 */
final class PageWalk {
    /** In the answer: the page's size as a shift stands in bits 6:2. */
    private static final int SHIFT = 2;
    private static final long ADDRESS = 0x000f_ffff_ffff_f000L;
    private static final long PAGE_SIZE = 1 << 7;

    private final Bus bus;
    private final long[] tableReserved = new long[6];
    private final long[] leafReserved = new long[6];

    PageWalk(Bus bus, VtdSettings settings) {
        this.bus = bus;
        VtdCapabilities capabilities = settings.capabilities();
        long common = -1L << settings.hostWidth() & ADDRESS | (capabilities.deviceTlb() ? 0 : 1L << 62);
        long snoop = 1L << 11;
        long leaf = common | (capabilities.snoopControl() ? 0 : snoop);
        for (int level = 1; level <= 5; level++) {
            // TM and SNP are fields of leaves.
            tableReserved[level] = common | snoop | 1L << 62;
            leafReserved[level] = leaf | PAGE_SIZE;
        }
        leafReserved[1] = leaf;
        if ((capabilities.superpages() & 1) != 0) {
            leafReserved[2] = leaf | 0x1f_f000;
        }
        if ((capabilities.superpages() & 2) != 0) {
            leafReserved[3] = leaf | 0x3fff_f000;
        }
    }

    /**
     * VT-d: for each level read the entry, check permission, then reserved bits.
     *
     * @param access the permission needed; {@link machine.api.Access} has the bits of an entry
     * @return address of the page, permissions in bits 1:0, size in 6:2, see {@link #shift}; or, negative, what
     *     {@link #reason} and {@link #mapped} take apart
     */
    long walk(Context context, long iova, int access) {
        long table = context.table;
        int permitted = 3;
        for (int level = context.levels; ; level--) {
            int shift = 3 + 9 * level;
            long entry = bus.read(table + (iova >>> shift & 0x1ff) * 8, 8);
            if (entry == -1) {
                return failure(level == context.levels ? Reason.CONTEXT_INVALID : Reason.PAGE_TABLE_ACCESS, false);
            }
            permitted &= (int) entry;
            if ((permitted & access) == 0) {
                return failure(access == 2 ? Reason.WRITE : Reason.READ, (entry & 3) != 0);
            }
            boolean leaf = level == 1 || (entry & PAGE_SIZE) != 0;
            if ((entry & (leaf ? leafReserved[level] : tableReserved[level])) != 0) {
                return failure(Reason.PAGE_TABLE_RESERVED, true);
            }
            if (leaf) {
                return entry & ADDRESS | (long) shift << SHIFT | permitted;
            }
            table = entry & ADDRESS;
        }
    }

    static int shift(long found) {
        return (int) (found >>> SHIFT & 0x1f);
    }

    static int reason(long failure) {
        return (int) -failure >>> 1;
    }

    static boolean mapped(long failure) {
        return (-failure & 1) != 0;
    }

    private static long failure(int reason, boolean mapped) {
        return -(reason << 1 | (mapped ? 1 : 0));
    }
}
