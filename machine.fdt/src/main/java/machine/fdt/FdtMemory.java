// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node.Range;

/** The memory of a board, and the free parts of it. */
final class FdtMemory {
    private static final long PAGE = 4096;
    private static final long DEFAULT = 8L << 30;
    /** Bytes; what is smaller between registers is not taken for memory that nobody has mentioned. */
    private static final long LEAST = 64L << 20;
    /** Bytes, as machine.acpi has it: the page directory of a machine's memory is proportional to it. */
    private static final long MOST = 1L << 40;
    /** The bus looks through them one by one. */
    private static final int MOST_PIECES = 64;
    /** Low memory that is the firmware's and is not handed out. */
    private static final Range FIRMWARE = new Range(0, 16L << 20);
    /** The address space of the cores of these chips: 36 bits. */
    private static final Range REACHED = new Range(0, 1L << 36);

    /** A range, and who has it. */
    private record Place(Range range, String who) {
    }

    private final List<Place> taken;
    /** Of {@link #taken}: whole pages, in order. */
    private final List<Range> windows;
    private final List<Range> pieces;
    private final List<Range> free;

    /**
     * @param option what the user says, refused if it is not as it should be; empty: what the tree says, as far as it
     *     can be had; if that is nothing, what a boot loader would have found: 8 GiB at 0, as far as they are clear of
     *     registers
     * @param reserved the tree's memory reservations
     * @param warnings gets a line for each piece of the tree's that cannot be had
     * @throws ErrnoException EINVAL for an option that is refused, too much memory, or none
     */
    FdtMemory(DeviceTree tree, List<Range> option, List<Range> reserved, Warnings warnings) {
        taken = taken(tree);
        windows = sorted(taken.stream().map(place -> outward(place.range)).toList());
        List<Range> said = option.isEmpty() ? said(tree, warnings) : checked(option);
        pieces = said.isEmpty() ? assumed() : said;
        limit(pieces);
        free = subtract(pieces, sorted(Stream.of(List.of(FIRMWARE), reserved, tree.reserved()).flatMap(List::stream)
            .filter(range -> range.size() > 0).map(FdtMemory::outward).toList()));
    }

    List<Range> pieces() {
        return pieces;
    }

    List<Range> free() {
        return free;
    }

    /** Everything in the address space that is not memory: registers, and what PCI controllers pass on. */
    private static List<Place> taken(DeviceTree tree) {
        List<Place> taken = new ArrayList<>();
        for (DeviceTree.TreeNode node : tree.nodes()) {
            if (!DeviceTree.isMemory(node) && !DeviceTree.inReservedMemory(node)) {
                node.registers().forEach(range -> taken.add(new Place(range, node.path())));
            }
            if (DeviceTree.isPcie(node)) {
                tree.outbound(node).forEach(range -> taken.add(new Place(range, node.path())));
            }
        }
        taken.removeIf(place -> place.range.size() <= 0);
        return taken;
    }

    /**
     * {@return the tree's memory: whole pages, once, clear of registers, as in Linux (early_init_dt_add_memory_arch,
     * memblock_add)}
     */
    private List<Range> said(DeviceTree tree, Warnings warnings) {
        List<Place> places = new ArrayList<>();
        for (DeviceTree.TreeNode node : tree.nodes()) {
            if (DeviceTree.isMemory(node)) {
                tree.memory(node).stream().filter(range -> range.size() > 0)
                    .forEach(range -> places.add(new Place(range, node.path())));
            }
        }
        places.sort(Comparator.comparingLong(place -> place.range.physical()));
        List<Range> joined = new ArrayList<>();
        for (Place place : places) {
            Range range = inward(place.range);
            if (!range.equals(place.range)) {
                warnings.add("device tree, %s: memory 0x%x+0x%x: no whole 4 KiB pages; 0x%x+0x%x counts", place.who,
                    place.range.physical(), place.range.size(), range.physical(), range.size());
            }
            Range last = joined.isEmpty() ? null : joined.get(joined.size() - 1);
            if (range.size() == 0) {
                continue;
            }
            if (last != null && touch(last, range)) {
                warnings.add("device tree, %s: memory 0x%x+0x%x overlaps 0x%x+0x%x; what both have counts once",
                    place.who, range.physical(), range.size(), last.physical(), last.size());
                long end = Math.max(last.physical() + last.size(), range.physical() + range.size());
                joined.set(joined.size() - 1, new Range(last.physical(), end - last.physical()));
            } else {
                joined.add(range);
            }
        }
        limit(joined);
        joined.forEach(range -> touching(range).forEach(place -> warnings.add(
            "device tree: memory 0x%x+0x%x lies over 0x%x+0x%x of %s; there is no memory", range.physical(),
            range.size(), place.range.physical(), place.range.size(), place.who)));
        return subtract(joined, windows);
    }

    /** {@return the memory of the user's option, whose faults the user can correct} */
    private List<Range> checked(List<Range> option) {
        List<Range> ranges = sorted(option);
        limit(ranges);
        Range before = null;
        for (Range range : ranges) {
            if (((range.physical() | range.size()) & PAGE - 1) != 0) {
                throw refused(ranges, "memory 0x%x+0x%x: no whole 4 KiB pages", range.physical(), range.size());
            }
            if (before != null && touch(before, range)) {
                throw refused(ranges, "memory 0x%x+0x%x and 0x%x+0x%x overlap", before.physical(), before.size(),
                    range.physical(), range.size());
            }
            List<Place> touched = touching(range);
            if (!touched.isEmpty()) {
                Place place = touched.get(0);
                throw refused(ranges, "memory 0x%x+0x%x touches 0x%x+0x%x of %s", range.physical(), range.size(),
                    place.range.physical(), place.range.size(), place.who);
            }
            before = range;
        }
        return ranges;
    }

    private List<Range> assumed() {
        List<Range> found = large(new Range(0, DEFAULT));
        if (found.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL,
                "the device tree says no memory, and below 0x%x there are registers everywhere%s",
                DEFAULT, say(large(REACHED)));
        }
        return found;
    }

    /** The larger pieces of a range that are clear of registers. */
    private List<Range> large(Range range) {
        return subtract(List.of(range), windows).stream().filter(piece -> piece.size() >= LEAST).limit(MOST_PIECES)
            .toList();
    }

    private void limit(List<Range> ranges) {
        // Sizes are below 2^52 each; a tree has too few cells for so many that they wrap around.
        long total = ranges.stream().mapToLong(Range::size).sum();
        if (ranges.size() > MOST_PIECES || total > MOST) {
            throw new ErrnoException(Errno.EINVAL, "memory: %d pieces of 0x%x bytes together; at most %d of 0x%x%s",
                ranges.size(), total, MOST_PIECES, MOST, say(large(new Range(0, DEFAULT))));
        }
    }

    /** With what can be said instead: the same, whole pages, once, clear of registers. */
    private ErrnoException refused(List<Range> ranges, String format, Object... arguments) {
        List<Range> clear = new ArrayList<>();
        long end = 0;
        for (Range range : ranges) {
            Range whole = inward(range);
            long start = Math.max(end, whole.physical());
            end = Math.max(end, whole.physical() + whole.size());
            if (start < end) {
                clear.add(new Range(start, end - start));
            }
        }
        return new ErrnoException(Errno.EINVAL, "%s%s", String.format(format, arguments),
            say(subtract(clear, windows)));
    }

    /** A value of the option that is taken; nothing where there is none. */
    private static String say(List<Range> pieces) {
        long total = pieces.stream().mapToLong(Range::size).sum();
        return pieces.isEmpty() || pieces.size() > MOST_PIECES || total > MOST ? ""
            : pieces.stream().map(piece -> String.format("0x%x+0x%x", piece.physical(), piece.size()))
                .collect(Collectors.joining(",", "; say memory=", ""));
    }

    private List<Place> touching(Range range) {
        return taken.stream().filter(place -> touch(range, outward(place.range))).toList();
    }

    private static boolean touch(Range a, Range b) {
        return a.physical() < b.physical() + b.size() && b.physical() < a.physical() + a.size();
    }

    private static Range outward(Range range) {
        long start = range.physical() & -PAGE;
        return new Range(start, (range.physical() + range.size() + PAGE - 1 & -PAGE) - start);
    }

    private static Range inward(Range range) {
        long start = range.physical() + PAGE - 1 & -PAGE;
        return new Range(start, Math.max(0, (range.physical() + range.size() & -PAGE) - start));
    }

    private static List<Range> sorted(List<Range> ranges) {
        return ranges.stream().sorted(Comparator.comparingLong(Range::physical)).toList();
    }

    /** @param holes in order; they may overlap */
    private static List<Range> subtract(List<Range> from, List<Range> holes) {
        List<Range> left = new ArrayList<>();
        for (Range range : from) {
            long at = range.physical();
            long end = range.physical() + range.size();
            for (Range hole : holes) {
                if (hole.physical() > at) {
                    long stop = Math.min(end, hole.physical());
                    if (at < stop) {
                        left.add(new Range(at, stop - at));
                    }
                }
                at = Math.max(at, hole.physical() + hole.size());
            }
            if (at < end) {
                left.add(new Range(at, end - at));
            }
        }
        return left;
    }
}
