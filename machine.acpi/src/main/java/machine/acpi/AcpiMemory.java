// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import machine.acpi.DmarTable.Drhd;
import machine.acpi.DmarTable.Rmrr;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node.Range;
import machine.api.Ram;

/**
 * Where there is memory, and what of it is free.
 *
 * <p>Firmware keeps the RMRRs: they are never free, and where one lies outside the memory there is memory of its own for
 * it. The lowest 16 MiB (real mode's megabyte, and what ISA DMA reaches) are never free either.
 */
final class AcpiMemory {
    private static final long LOW = 16L << 20;
    /** Of RAM, and of RMRRs outside of it: the page directory of {@link Ram} is proportional to it. */
    private static final long MAX = 1L << 40;

    private final List<Range> pieces;
    private final List<Range> free;

    AcpiMemory(DmarTable table, List<Range> memory) {
        List<Range> ram = sorted(memory);
        check(table, ram);
        List<Range> kept = joined(table);
        pieces = new ArrayList<>(ram);
        long outside = 0;
        for (Range piece : subtract(kept, ram)) {
            pieces.add(piece);
            outside += piece.size();
            if (outside > MAX) {
                throw DmarReader.malformed(48, "RMRRs of more than 0x%x bytes outside of memory", MAX);
            }
        }
        free = subtract(subtract(ram, List.of(new Range(0, LOW))), kept);
        checkWindows(table);
    }

    List<Ram> pieces() {
        return pieces.stream().map(piece -> new Ram(piece.physical(), piece.size())).toList();
    }

    List<Range> free() {
        return free;
    }

    private static void check(DmarTable table, List<Range> ram) {
        long total = 0;
        long end = 0;
        for (Range piece : ram) {
            if (piece.physical() < end) {
                throw new ErrnoException(Errno.EINVAL, "option memory: 0x%x+0x%x overlaps the piece before", piece.physical(),
                    piece.size());
            }
            end = piece.physical() + piece.size();
            total += piece.size();
        }
        if (total > MAX || end - 1 >>> Math.min(table.addressWidth(), 52) != 0) {
            throw new ErrnoException(Errno.EINVAL, "option memory: 0x%x bytes up to 0x%x; at most 0x%x within the DMAR's %d bits",
                total, end - 1, MAX, table.addressWidth());
        }
    }

    /** No two register windows may meet, nor a window and memory. */
    private void checkWindows(DmarTable table) {
        List<Range> windows = new ArrayList<>(List.of(AcpiMachine.LAPIC));
        for (Drhd drhd : table.all(Drhd.class).toList()) {
            windows.add(new Range(drhd.base(), drhd.size()));
        }
        List<Range> all = new ArrayList<>(windows);
        all.addAll(pieces);
        all = sorted(all);
        for (int i = 1; i < all.size(); i++) {
            Range below = all.get(i - 1);
            Range above = all.get(i);
            if (below.physical() + below.size() > above.physical()) {
                throw new ErrnoException(Errno.EINVAL,
                    "0x%x+0x%x overlaps 0x%x+0x%x: DRHD registers, local APICs, RMRRs and memory exclude each other; see option memory",
                    below.physical(), below.size(), above.physical(), above.size());
            }
        }
    }

    /** The RMRRs, those that overlap or touch as one. */
    private static List<Range> joined(DmarTable table) {
        List<Range> joined = new ArrayList<>();
        for (Range range : sorted(table.all(Rmrr.class).map(AcpiMemory::range).toList())) {
            Range last = joined.isEmpty() ? new Range(-1, 0) : joined.get(joined.size() - 1);
            long end = last.physical() + last.size();
            if (last.physical() < 0 || range.physical() > end) {
                joined.add(range);
            } else {
                long stop = Math.max(end, range.physical() + range.size());
                joined.set(joined.size() - 1, new Range(last.physical(), stop - last.physical()));
            }
        }
        return joined;
    }

    static Range range(Rmrr rmrr) {
        return new Range(rmrr.base(), rmrr.limit() - rmrr.base() + 1);
    }

    private static List<Range> sorted(List<Range> ranges) {
        return ranges.stream().sorted(Comparator.comparingLong(Range::physical)).toList();
    }

    /** Both sorted and free of overlap; so is the result. */
    private static List<Range> subtract(List<Range> from, List<Range> what) {
        List<Range> left = new ArrayList<>();
        int next = 0;
        for (Range range : from) {
            long at = range.physical();
            long end = range.physical() + range.size();
            while (next < what.size() && what.get(next).physical() + what.get(next).size() <= at) {
                next++;
            }
            for (int i = next; i < what.size() && what.get(i).physical() < end; i++) {
                if (what.get(i).physical() > at) {
                    left.add(new Range(at, what.get(i).physical() - at));
                }
                at = Math.max(at, what.get(i).physical() + what.get(i).size());
            }
            if (at < end) {
                left.add(new Range(at, end - at));
            }
        }
        return left;
    }
}
