// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.pamu.table.BigEndian;
import iommu.pamu.table.OperationMapping;
import iommu.pamu.table.Paace;
import java.util.BitSet;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Refusal;

/**
 * The three tables in one naturally aligned block of memory: PPAACT at 0, SPAACT at 0x20000, OMT at 0x40000; and the
 * pools of SPAACT entries and of drafts. All PAMUs of the chip share them.
 *
 * <p>Drafts are primary entries behind the PPAACT's limit (PPLA, exclusive), up to the SPAACT: no LIODN selects them,
 * so the hardware refuses a requester with such a number before it reads one, and the driver reads them as it reads the
 * others.
 *
 * <p>Written in the order the hardware needs: on the way up the pair with V last, on the way down first; see
 * {@link iommu.pamu.table.Paace}. Primary entries' first pairs are written under {@link #primaries} only, because a
 * violation handler may clear V at any time.
 */
final class PamuTables {
    /** Entries of the PPAACT: LIODNs 0..0x4ff. */
    static final int PRIMARIES = 0x500;
    /** Drafts: numbers from {@link #PRIMARIES} on. */
    static final int DRAFTS = 0x300;
    /** Entries of the SPAACT. */
    static final int SECONDARIES = 0x800;

    /** Guards the first pair of every primary entry. Never held while calling out, except to memory. */
    final Object primaries = new Object();

    private static final long SECONDARY_OFFSET = 0x20000;
    private static final long OPERATIONS_OFFSET = 0x40000;
    private static final int USED = (int) OPERATIONS_OFFSET + OperationMapping.ENTRIES * OperationMapping.BYTES;
    private static final long BLOCK = 0x80000;

    private final DmaBuffer block;
    private final BigEndian memory;
    private final long base;
    private final BitSet taken = new BitSet(SECONDARIES);
    private final BitSet drafts = new BitSet(DRAFTS);

    /** @throws ErrnoException ENOMEM if there is no such block */
    PamuTables(Machine machine) {
        block = machine.memory().allocate(BLOCK, BLOCK, DmaMemory.Layout.CONTIGUOUS);
        memory = new BigEndian(machine.bus());
        base = block.physical(0);
        block.write(0, new byte[USED], 0, USED);
        byte[] operations = OperationMapping.contents();
        block.write(OPERATIONS_OFFSET, operations, 0, operations.length);
    }

    /** Gives the memory back. */
    void close() {
        block.close();
    }

    long primaryBase() {
        return base;
    }

    long primaryLimit() {
        return base + (long) PRIMARIES * Paace.BYTES;
    }

    long secondaryBase() {
        return base + SECONDARY_OFFSET;
    }

    long secondaryLimit() {
        return secondaryBase() + (long) SECONDARIES * Paace.BYTES;
    }

    long operationsBase() {
        return base + OPERATIONS_OFFSET;
    }

    long operationsLimit() {
        return base + USED;
    }

    /** {@return the physical address of a LIODN's or draft's entry} */
    long primary(int liodn) {
        return base + (long) liodn * Paace.BYTES;
    }

    /** {@return the physical address of a SPAACT entry} */
    long secondary(int index) {
        return secondaryBase() + (long) index * Paace.BYTES;
    }

    /** Writes one pair of an entry; V is not in it, or nobody looks at the entry. */
    void pair(long entry, int offset, long value) {
        memory.pair(entry + offset, value);
    }

    /** {@return words 0 and 1 of an entry} */
    long first(long entry) {
        return pair(entry, Paace.ADDRESS);
    }

    /** {@return one pair of an entry} */
    long pair(long entry, int offset) {
        return memory.pair(entry + offset);
    }

    /**
     * {@return the number of a draft, now taken; its entry is all zeroes}
     *
     * @throws ErrnoException ENOSPC if all are taken
     */
    synchronized int takeDraft() {
        int draft = drafts.nextClearBit(0);
        if (draft == DRAFTS) {
            throw new ErrnoException(Errno.ENOSPC, "all 0x%x domains of the PAMUs are open; close one", DRAFTS);
        }
        drafts.set(draft);
        return PRIMARIES + draft;
    }

    /** Returns a draft, its entry all zeroes. */
    synchronized void giveDraft(int number) {
        drafts.clear(number - PRIMARIES);
    }

    /** {@return the first of so many adjacent free SPAACT entries, now taken; -1 if there are none} */
    synchronized int take(int count) {
        if (count == 0) {
            return 0;
        }
        for (int start = taken.nextClearBit(0); start + count <= SECONDARIES; ) {
            int end = taken.nextSetBit(start);
            if (end < 0 || end - start >= count) {
                taken.set(start, start + count);
                return start;
            }
            start = taken.nextClearBit(end);
        }
        return -1;
    }

    /**
     * Exchanges ranges of one length for ranges of another, all or none.
     *
     * @param ranges first indexes; overwritten with the new ones
     * @throws ErrnoException ENOSPC if there is no room; nothing has changed
     */
    synchronized void exchange(int[] ranges, int oldCount, int newCount) {
        for (int range : ranges) {
            give(range, oldCount);
        }
        int[] fresh = new int[ranges.length];
        for (int i = 0; i < ranges.length; i++) {
            fresh[i] = take(newCount);
            if (fresh[i] < 0) {
                for (int j = 0; j < i; j++) {
                    give(fresh[j], newCount);
                }
                for (int range : ranges) {
                    taken.set(range, range + oldCount);
                }
                throw full(newCount);
            }
        }
        System.arraycopy(fresh, 0, ranges, 0, ranges.length);
    }

    /** Returns entries to the pool. The caller has seen to it that no lookup uses them. */
    synchronized void give(int first, int count) {
        taken.clear(first, first + count);
    }

    /** {@return how many SPAACT entries are not taken} */
    synchronized int free() {
        return SECONDARIES - taken.cardinality();
    }

    ErrnoException full(int count) {
        return new ErrnoException(Errno.ENOSPC,
            "no 0x%x adjacent entries in the SPAACT (0x%x of 0x%x free); use fewer windows or detach a requester",
            count, free(), SECONDARIES);
    }

    /**
     * {@return what a device with that LIODN, or with that draft's entries, would reach, by the words in memory}
     *
     * @param shut V of the primary entry is down on purpose: read the others as if it were up
     */
    long lookup(int liodn, long iova, int access, boolean shut) {
        long entry = primary(liodn);
        long first = first(entry);
        int word1 = (int) first;
        if ((word1 & Paace.VALID) == 0 && !shut) {
            return Refusal.NO_REQUESTER;
        }
        int size = Paace.sizeField(word1);
        long offset = iova - (first & Paace.BASE);
        if (offset >>> size >>> 1 != 0) {
            return Refusal.OUTSIDE;
        }
        if ((word1 & Paace.MULTIPLE) != 0) {
            int window = size - Paace.windowCountCode((int) memory.pair(entry + Paace.ATTRIBUTES)) - 1;
            long index = offset >>> window >>> 1;
            offset -= index << window << 1;
            if (index > 0) {
                long at = (memory.pair(entry + Paace.INDEX) >>> 32) + index - 1;
                if (at >= SECONDARIES) {
                    return Refusal.MALFORMED;
                }
                entry = secondary((int) at);
                word1 = (int) first(entry);
                if ((word1 & Paace.VALID) == 0) {
                    return Refusal.UNMAPPED;
                }
                if ((word1 & Paace.SECONDARY) == 0 || Paace.liodn(word1) != liodn) {
                    return Refusal.MALFORMED;
                }
            }
            size = Paace.sizeField((int) memory.pair(entry + Paace.TRANSLATED));
            if (offset >>> size >>> 1 != 0) {
                return Refusal.UNMAPPED;
            }
        }
        int permitted = Paace.access(word1);
        if ((permitted & access) != access) {
            return permitted == 0 ? Refusal.UNMAPPED : Refusal.DENIED;
        }
        return (memory.pair(entry + Paace.TRANSLATED) & Paace.BASE) + offset;
    }
}
