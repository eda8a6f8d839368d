// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;

/**
 * The second-level tables of one domain, in the machine's memory: 512 entries of 8 bytes, little-endian. The entries
 * are the truth; beside each table only its number of used entries and its children are remembered, so that an empty
 * table is known without reading it. Not thread-safe.
 *
 * <p>Whatever is thrown in the middle of a change, for want of memory too, the tables can be changed further: what is
 * taken away afterwards is away. Taking whole leaves away needs no memory, of the machine's or of Java's.
 *
 * <p>Cost of a change: the tables on the way, whatever else is mapped.
 */
final class PageTables {
    private static final int PAGE = 4096;
    private static final int ENTRIES = 512;
    private static final long ADDRESS = 0x000f_ffff_ffff_f000L;
    private static final long PS = 1 << 7;
    /** Two ends, at each of which a page of 1 GiB and one of 2 MiB is split. */
    private static final int MOST_SPLITS = 4;
    private static final byte[] ZEROES = new byte[PAGE];

    /** A table and what is under it. */
    private static final class Table {
        final DmaBuffer memory;
        final long physical;
        /** Null in a table of leaves only. */
        Table[] children;
        /**
         * Entries in use; after a store that threw, at least those: no table with an entry in use is taken for an empty
         * one.
         */
        int used;
        /** The next one of those that an unmap has taken out. */
        Table next;

        Table(DmaBuffer memory) {
            this.memory = memory;
            this.physical = memory.physical(0);
        }

        Table child(int index) {
            return children == null ? null : children[index];
        }
    }

    /** The result of an unmap: the ranges to invalidate, and the tables to give back afterwards. */
    static final class Unmapped {
        /** Memory of a mapping that came to nothing, held for it; null if there is none. */
        DmaBuffer held;
        /** Bytes of mappings removed. */
        long bytes;
        /** First address whose cached translation is stale. */
        long first = Long.MAX_VALUE;
        /** Last such address. */
        long last = -1;
        private Table tables;
        private boolean split;
        private long dueFirst;
        private long dueLast = -1;

        /** There may be something between the two addresses, inclusive, that is still to be taken away. */
        void due(long from, long to) {
            dueFirst = from;
            dueLast = to;
        }

        boolean isDue() {
            return dueLast >= 0;
        }

        boolean changed() {
            return last >= 0 || tables != null;
        }

        /** {@return whether only leaf entries have changed} */
        boolean leaves() {
            return tables == null && !split;
        }

        private void touched(long start, long size) {
            first = Math.min(first, start);
            last = Math.max(last, start + size - 1);
        }

        private void take(Table table) {
            table.next = tables;
            tables = table;
        }

        /** Gives back what nothing points to. Only after every unit has forgotten it and nothing in flight uses it. */
        void release() {
            while (tables != null) {
                Table table = tables;
                tables = table.next;
                table.memory.close();
            }
            if (held != null) {
                DmaBuffer memory = held;
                held = null;
                memory.release();
            }
        }
    }

    private final Bus bus;
    private final DmaMemory pool;
    private final int levels;
    private final long pageSizes;
    private final Table root;
    private final byte[] run = new byte[PAGE];
    private final List<Table> spare = new ArrayList<>(MOST_SPLITS);

    /**
     * @param levels 3 to 5
     * @param pageSizes bit n: leaves of 2^n bytes are allowed
     * @throws ErrnoException ENOMEM if there is no memory for the root
     */
    PageTables(Bus bus, DmaMemory pool, int levels, long pageSizes) {
        this.bus = bus;
        this.pool = pool;
        this.levels = levels;
        this.pageSizes = pageSizes;
        this.root = allocate();
    }

    int levels() {
        return levels;
    }

    /** {@return physical address of the root table} */
    long root() {
        return root.physical;
    }

    /** {@return whether anything is mapped between the two addresses, inclusive} */
    boolean mapped(long first, long last) {
        return mapped(root, levels, 0, first, last);
    }

    /**
     * Enters a mapping where nothing is mapped. On an error part of it has been entered: the caller removes the range.
     *
     * @param superpages whether leaves above 4 KiB are made
     * @throws ErrnoException ENOMEM
     */
    void enter(long iova, long physical, long length, int access, boolean superpages) {
        enter(root, levels, iova, physical, length, access, superpages ? pageSizes : 1L << 12);
    }

    /** {@return the first superpage the range would cut in two; -1 if there is none} */
    long cut(long first, long last) {
        int low = leafShift(first);
        if (low > 12 && (first & (1L << low) - 1) != 0) {
            return first & -1L << low;
        }
        int high = leafShift(last);
        return high > 12 && (last + 1 & (1L << high) - 1) != 0 ? last & -1L << high : -1;
    }

    /**
     * Removes everything in the range; superpages that stick out are split.
     *
     * @param removal collects the changes, even if an access throws half way
     * @throws ErrnoException ENOMEM if there is no memory to split; nothing has changed then
     */
    void remove(long first, long last, Unmapped removal) {
        try {
            reserve(first, last);
            remove(root, levels, 0, first, last, removal);
        } finally {
            while (!spare.isEmpty()) {
                spare.remove(spare.size() - 1).memory.close();
            }
        }
    }

    /** Removes what is due; if something is thrown in the middle, it still is. */
    void remove(Unmapped removal) {
        remove(removal.dueFirst, removal.dueLast, removal);
        removal.dueLast = -1;
    }

    /** {@return what the tables say} */
    long lookup(long iova, int access) {
        if (iova >>> 12 + 9 * levels != 0) {
            return Refusal.OUTSIDE;
        }
        long table = root.physical;
        for (int level = levels; ; level--) {
            long entry = bus.read(table + index(level, iova) * 8L, 8);
            if ((entry & 3) == 0) {
                return Refusal.UNMAPPED;
            }
            if ((entry & access) == 0) {
                return Refusal.DENIED;
            }
            if (level == 1 || (entry & PS) != 0) {
                return (entry & ADDRESS) + (iova & span(level) - 1);
            }
            table = entry & ADDRESS;
        }
    }

    /** Gives all tables back. Only when no unit knows them any more. */
    void release() {
        release(root);
    }

    private void release(Table table) {
        if (table.children != null) {
            for (Table child : table.children) {
                if (child != null) {
                    release(child);
                }
            }
        }
        table.memory.close();
    }

    private boolean mapped(Table table, int level, long base, long first, long last) {
        long span = span(level);
        int from = index(level, Math.max(first, base));
        int to = index(level, Math.min(last, base + span * ENTRIES - 1));
        if (level == 1) {
            bus.read(table.physical + from * 8L, run, 0, (to - from + 1) * 8);
        }
        for (int i = from; i <= to; i++) {
            Table child = table.child(i);
            long start = base + i * span;
            if (child != null) {
                if (first <= start && last >= start + span - 1 || mapped(child, level - 1, start, first, last)) {
                    return true;
                }
            } else if (level == 1 ? used(i - from) : read(table, i) != 0) {
                return true;
            }
        }
        return false;
    }

    private void enter(Table table, int level, long iova, long physical, long length, int access, long sizes) {
        long span = span(level);
        boolean leaves = (sizes & span) != 0;
        while (length > 0) {
            int index = index(level, iova);
            long step = Math.min(length, span - (iova & span - 1));
            if (leaves && step == span && (physical & span - 1) == 0) {
                table.used++;
                try {
                    write(table, index, physical | access | (level > 1 ? PS : 0));
                } catch (Throwable e) {
                    if (read(table, index) == 0) {
                        table.used--;
                    }
                    throw e;
                }
            } else {
                Table child = table.child(index);
                if (child == null) {
                    grow(table);
                    child = allocate();
                    table.children[index] = child;
                    table.used++;
                }
                if (child.used == 0) {
                    link(table, index, child);
                }
                enter(child, level - 1, iova, physical, step, access, sizes);
            }
            iova += step;
            physical += step;
            length -= step;
        }
    }

    private void remove(Table table, int level, long base, long first, long last, Unmapped removal) {
        long span = span(level);
        int from = index(level, Math.max(first, base));
        int to = index(level, Math.min(last, base + span * ENTRIES - 1));
        for (int i = from; i <= to && table.used > 0; i++) {
            long start = base + i * span;
            Table child = table.child(i);
            if (child == null) {
                long entry = read(table, i);
                if (entry == 0) {
                    continue;
                }
                removal.touched(start, span);
                if (first <= start && last >= start + span - 1) {
                    try {
                        write(table, i, 0);
                    } catch (Throwable e) {
                        if (read(table, i) == 0) {
                            table.used--;
                        }
                        throw e;
                    }
                    table.used--;
                    removal.bytes += span;
                    continue;
                }
                removal.split = true;
                child = split(table, level, i, entry);
            }
            remove(child, level - 1, start, first, last, removal);
            if (child.used == 0) {
                try {
                    write(table, i, 0);
                } catch (Throwable e) {
                    if (read(table, i) == 0) {
                        unlinked(table, i, removal);
                    }
                    throw e;
                }
                unlinked(table, i, removal);
            }
        }
    }

    private static void unlinked(Table table, int index, Unmapped removal) {
        removal.take(table.children[index]);
        table.children[index] = null;
        table.used--;
    }

    /** Replaces a leaf by a table that says the same, in one write: the translation never lapses. */
    private Table split(Table table, int level, int index, long leaf) {
        grow(table);
        Table child = spare.remove(spare.size() - 1);
        long span = span(level - 1);
        long entry = level == 2 ? leaf & ~PS : leaf;
        ByteBuffer entries = ByteBuffer.wrap(run).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < ENTRIES; i++) {
            entries.putLong(i * 8, entry + i * span);
        }
        try {
            child.memory.write(0, run, 0, PAGE);
            child.used = ENTRIES;
            table.children[index] = child;
            link(table, index, child);
        } catch (Throwable e) {
            if (read(table, index) == leaf) {
                table.children[index] = null;
                spare.add(child);
            }
            throw e;
        }
        return child;
    }

    /** Takes the memory that splitting at both ends may need, before anything is changed. */
    private void reserve(long first, long last) {
        int low = leafShift(first);
        int high = leafShift(last);
        int needed = 0;
        for (int shift = 30; shift > 12; shift -= 9) {
            boolean cutsLow = low >= shift && (first & (1L << shift) - 1) != 0;
            boolean cutsHigh = high >= shift && (last + 1 & (1L << shift) - 1) != 0;
            boolean same = cutsLow && cutsHigh && first >>> shift == last >>> shift;
            needed += same || cutsLow != cutsHigh ? 1 : cutsLow ? 2 : 0;
        }
        for (int i = 0; i < needed; i++) {
            spare.add(allocate());
        }
    }

    /** {@return log2 of the size of the leaf that maps the address; 0 if none does} */
    private int leafShift(long iova) {
        Table table = root;
        for (int level = levels; ; level--) {
            Table child = table.child(index(level, iova));
            if (child == null) {
                return read(table, index(level, iova)) == 0 ? 0 : 3 + 9 * level;
            }
            table = child;
        }
    }

    private Table allocate() {
        DmaBuffer memory = pool.allocate(PAGE, PAGE, DmaMemory.Layout.CONTIGUOUS);
        try {
            memory.write(0, ZEROES, 0, PAGE);
            return new Table(memory);
        } catch (Throwable e) {
            memory.close();
            throw e;
        }
    }

    private static void grow(Table table) {
        if (table.children == null) {
            table.children = new Table[ENTRIES];
        }
    }

    private void link(Table table, int index, Table child) {
        write(table, index, child.physical | Access.READ_WRITE);
    }

    /** Eight bytes at once: a unit that walks sees the old or the new entry. */
    private void write(Table table, int index, long entry) {
        if (bus.write(table.physical + index * 8L, 8, entry) != Bus.OK) {
            throw new ErrnoException(Errno.EIO, "no memory answers at page table 0x%x", table.physical);
        }
    }

    private long read(Table table, int index) {
        return bus.read(table.physical + index * 8L, 8);
    }

    private boolean used(int number) {
        int any = 0;
        for (int i = 0; i < 8; i++) {
            any |= run[number * 8 + i];
        }
        return any != 0;
    }

    private static int index(int level, long iova) {
        return (int) (iova >>> 3 + 9 * level) & ENTRIES - 1;
    }

    private static long span(int level) {
        return 1L << 3 + 9 * level;
    }
}
