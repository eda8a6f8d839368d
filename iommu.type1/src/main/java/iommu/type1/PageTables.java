// SPDX-License-Identifier: Apache-2.0
package iommu.type1;

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
 * The second-level tables of one domain, in the machine's memory: 512 entries of 8 bytes, little-endian. The entries are the
 * truth; beside each table only its number of used entries and its children are remembered, so that an empty table is
 * known without reading it. Not thread-safe.
 *
 * <p>Cost of a change: the tables on the way, whatever else is mapped.
 */
final class PageTables {
    private static final int PAGE = 4096;
    private static final int ENTRIES = 512;
    private static final long ADDRESS = 0x000f_ffff_ffff_f000L;
    private static final long PS = 1 << 7;
    private static final byte[] ZEROES = new byte[PAGE];

    /** A table and what is under it. */
    private static final class Table {
        final DmaBuffer memory;
        final long physical;
        /** Null in a table of leaves only. */
        Table[] children;
        int used;

        Table(DmaBuffer memory) {
            this.memory = memory;
            this.physical = memory.physical(0);
        }

        Table child(int index) {
            return children == null ? null : children[index];
        }
    }

    /** What an unmap has changed: what to invalidate, and which tables to give back afterwards. */
    static final class Removal {
        /** Bytes of mappings removed. */
        long bytes;
        /** First address whose cached translation is stale. */
        long first = Long.MAX_VALUE;
        /** Last such address. */
        long last = -1;
        private final List<Table> tables = new ArrayList<>();
        private boolean split;

        boolean changed() {
            return last >= 0 || !tables.isEmpty();
        }

        /** {@return whether only leaf entries have changed} */
        boolean leaves() {
            return tables.isEmpty() && !split;
        }

        private void touched(long start, long size) {
            first = Math.min(first, start);
            last = Math.max(last, start + size - 1);
        }

        /** Gives back the tables nothing points to. Only after the unit has forgotten them and nothing in flight reads them. */
        void release() {
            tables.forEach(table -> table.memory.close());
            tables.clear();
        }
    }

    private final Bus bus;
    private final DmaMemory pool;
    private final int levels;
    private final long pageSizes;
    private final Table root;
    private final byte[] run = new byte[PAGE];
    private List<Table> spare = List.of();

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
     * @throws ErrnoException ENOMEM if there is no memory to split; nothing has changed then
     */
    Removal remove(long first, long last) {
        reserve(first, last);
        Removal removal = new Removal();
        remove(root, levels, 0, first, last, removal);
        spare.forEach(table -> table.memory.close());
        spare = List.of();
        return removal;
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
            } else if (level == 1 ? used(i - from) : bus.read(table.physical + i * 8L, 8) != 0) {
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
                write(table, index, physical | access | (level > 1 ? PS : 0));
                table.used++;
            } else {
                Table child = table.child(index);
                if (child == null) {
                    child = allocate();
                    link(table, index, child);
                    table.used++;
                }
                enter(child, level - 1, iova, physical, step, access, sizes);
            }
            iova += step;
            physical += step;
            length -= step;
        }
    }

    private void remove(Table table, int level, long base, long first, long last, Removal removal) {
        long span = span(level);
        int from = index(level, Math.max(first, base));
        int to = index(level, Math.min(last, base + span * ENTRIES - 1));
        for (int i = from; i <= to && table.used > 0; i++) {
            long start = base + i * span;
            Table child = table.child(i);
            if (child == null) {
                long entry = bus.read(table.physical + i * 8L, 8);
                if (entry == 0) {
                    continue;
                }
                removal.touched(start, span);
                if (first <= start && last >= start + span - 1) {
                    write(table, i, 0);
                    table.used--;
                    removal.bytes += span;
                    continue;
                }
                child = split(table, level, i, entry);
                removal.split = true;
            }
            remove(child, level - 1, start, first, last, removal);
            if (child.used == 0) {
                write(table, i, 0);
                table.children[i] = null;
                table.used--;
                removal.tables.add(child);
            }
        }
    }

    /** Replaces a leaf by a table that says the same, in one write: the translation never lapses. */
    private Table split(Table table, int level, int index, long leaf) {
        Table child = spare.remove(spare.size() - 1);
        long span = span(level - 1);
        long entry = level == 2 ? leaf & ~PS : leaf;
        ByteBuffer entries = ByteBuffer.wrap(run).order(ByteOrder.LITTLE_ENDIAN);
        for (int i = 0; i < ENTRIES; i++) {
            entries.putLong(i * 8, entry + i * span);
        }
        child.memory.write(0, run, 0, PAGE);
        child.used = ENTRIES;
        link(table, index, child);
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
        if (needed == 0) {
            return;
        }
        spare = new ArrayList<>();
        try {
            for (int i = 0; i < needed; i++) {
                spare.add(allocate());
            }
        } catch (ErrnoException e) {
            spare.forEach(table -> table.memory.close());
            spare = List.of();
            throw e;
        }
    }

    /** {@return log2 of the size of the leaf that maps the address; 0 if none does} */
    private int leafShift(long iova) {
        Table table = root;
        for (int level = levels; ; level--) {
            Table child = table.child(index(level, iova));
            if (child == null) {
                return bus.read(table.physical + index(level, iova) * 8L, 8) == 0 ? 0 : 3 + 9 * level;
            }
            table = child;
        }
    }

    private Table allocate() {
        DmaBuffer memory = pool.allocate(PAGE, PAGE, DmaMemory.Layout.CONTIGUOUS);
        memory.write(0, ZEROES, 0, PAGE);
        return new Table(memory);
    }

    private void link(Table table, int index, Table child) {
        if (table.children == null) {
            table.children = new Table[ENTRIES];
        }
        table.children[index] = child;
        write(table, index, child.physical | Access.READ_WRITE);
    }

    /** Eight bytes at once: a unit that walks sees the old or the new entry. */
    private void write(Table table, int index, long entry) {
        if (bus.write(table.physical + index * 8L, 8, entry) != Bus.OK) {
            throw new ErrnoException(Errno.EIO, "no memory answers at page table 0x%x", table.physical);
        }
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
