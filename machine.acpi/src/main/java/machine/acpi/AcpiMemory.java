// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import machine.acpi.DmarTable.Drhd;
import machine.acpi.DmarTable.Rmrr;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node.Range;

/**
 * The memory of a machine, and the free parts of it.
 *
 * <p>Firmware keeps the RMRRs: they are never free, and where one lies outside the memory there is memory of its own
 * for it. The lowest 16 MiB (real mode's megabyte, and what ISA DMA reaches) are never free either.
 */
final class AcpiMemory {
    private static final long LOW = 16L << 20;
    /** Of RAM, and of RMRRs outside of it: the page directory of a machine's memory is proportional to it. */
    private static final long MAX = 1L << 40;

    private static final List<Range> DEFAULT = List.of(new Range(0, 2L << 30), new Range(4L << 30, 2L << 30));

    private final List<Range> pieces;
    private final List<Range> free;

    /**
     * @param memory what the user says; empty: {@code 0+2G,0x100000000+2G}, as far as it is inside the host address
     *     width and clear of registers
     * @param warnings gets a line for each RMRR that cannot be had as memory
     */
    AcpiMemory(DmarTable table, List<Range> memory, List<String> warnings) {
        List<Range> windows = windows(table);
        List<Range> ram = sorted(memory);
        if (ram.isEmpty()) {
            long end = 1L << Math.min(table.addressWidth(), 52);
            ram = subtract(subtract(DEFAULT, List.of(new Range(end, (1L << 52) - end + 1))), windows);
        } else {
            check(table, ram, windows);
        }
        List<Range> kept = joined(table);
        pieces = new ArrayList<>(ram);
        long outside = 0;
        List<Range> firmwares = subtract(subtract(kept, ram), windows);
        for (Range piece : firmwares) {
            if (piece.size() > MAX - outside) {
                warnings.add(String.format(
                    "DMAR: RMRRs of more than 0x%x bytes outside of memory; there is no memory at 0x%x+0x%x", MAX,
                    piece.physical(), piece.size()));
            } else {
                pieces.add(piece);
                outside += piece.size();
            }
        }
        for (Range window : windows) {
            table.all(Rmrr.class).filter(rmrr -> touch(range(rmrr), window))
                .forEach(rmrr -> warnings.add(DmarReader.at(rmrr.offset(),
                "RMRR 0x%x..0x%x lies over the registers at 0x%x+0x%x; there is no memory", rmrr.base(),
                    rmrr.limit(), window.physical(),
                window.size())));
        }
        free = subtract(subtract(ram, List.of(new Range(0, LOW))), kept);
    }

    List<Range> pieces() {
        return pieces;
    }

    List<Range> free() {
        return free;
    }

    private static void check(DmarTable table, List<Range> ram, List<Range> windows) {
        long total = 0;
        long end = 0;
        for (Range piece : ram) {
            if (piece.physical() < end) {
                throw new ErrnoException(Errno.EINVAL, "option memory: 0x%x+0x%x overlaps the piece before",
                    piece.physical(), piece.size());
            }
            end = piece.physical() + piece.size();
            total += piece.size();
        }
        if (total > MAX || end - 1 >>> Math.min(table.addressWidth(), 52) != 0) {
            throw new ErrnoException(Errno.EINVAL,
                "option memory: 0x%x bytes up to 0x%x; at most 0x%x within the DMAR's %d bits",
                total, end - 1, MAX, table.addressWidth());
        }
        for (Range piece : ram) {
            for (Range window : windows) {
                if (touch(piece, window)) {
                    throw new ErrnoException(Errno.EINVAL,
                        "option memory: 0x%x+0x%x overlaps the registers at 0x%x+0x%x%s", piece.physical(),
                        piece.size(), window.physical(), window.size(), clear(subtract(ram, windows)));
                }
            }
        }
    }

    /** {@return the memory that is clear of registers, to be said instead} */
    private static String clear(List<Range> left) {
        return left.isEmpty() ? "; nothing of it is clear of registers"
            : left.stream().map(piece -> String.format("0x%x+0x%x", piece.physical(), piece.size()))
                .collect(Collectors.joining(",", "; say memory=", ""));
    }

    private static boolean touch(Range a, Range b) {
        return a.physical() < b.physical() + b.size() && b.physical() < a.physical() + a.size();
    }

    /** {@return the register windows in order; no two may meet} */
    private static List<Range> windows(DmarTable table) {
        List<Range> windows = new ArrayList<>(List.of(AcpiMachine.LAPIC));
        for (Drhd drhd : table.all(Drhd.class).toList()) {
            Range window = new Range(drhd.base(), drhd.size());
            for (Range other : windows) {
                if (touch(window, other)) {
                    throw DmarReader.malformed(drhd.offset(),
                        "DRHD registers 0x%x+0x%x overlap %s at 0x%x+0x%x; have the firmware corrected",
                        window.physical(), window.size(),
                        other == AcpiMachine.LAPIC ? "the local APICs" : "another unit's", other.physical(),
                        other.size());
                }
            }
            windows.add(window);
        }
        return sorted(windows);
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
