// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.util.Random;
import java.util.TreeSet;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Container;
import vfio.api.Mapping;
import vfio.container.host.IommuProvider;

/**
 * Random maps and unmaps against an array with one cell a page (or window): which mapping it belongs to and where its
 * memory is.
 */
@Timeout(60)
class LedgerModelTest {
    private static final int CELLS = 64;
    private static final long SEED = Long.getLong("gantry.seed", System.nanoTime());

    /** Number of the mapping whose cell it is; 0 for none. For a windowed type, a cut makes two mappings. */
    private final int[] owner = new int[CELLS];
    private final long[] physical = new long[CELLS];
    private final int[] access = new int[CELLS];
    private int next = 1;

    @ParameterizedTest(name = "{0}")
    @DisplayName("map, unmap, lookup, ledger and memory agree with a naive oracle under each type's unmap rule")
    @ValueSource(strings = {"type1", "type1v2", "pamu"})
    void model(String type) {
        System.out.println("LedgerModelTest " + type + " -Dgantry.seed=" + SEED);
        Random random = new Random(SEED);
        Board board = type.equals("pamu") ? Board.pamu() : Board.type1();
        Container container = board.vfio.openContainer("model");
        container.addGroup(board.vfio.group(1));
        container.setIommu(type);
        long cell = 0x1000;
        if (type.equals("pamu")) {
            container.set(new Geometry(0, CELLS * cell));
            container.set(new Windows(CELLS));
        }
        DmaBuffer memory = board.memory(0x80000);
        for (int step = 0; step < 3_000; step++) {
            int at = random.nextInt(CELLS);
            int count = 1 + random.nextInt(random.nextInt(10) == 0 ? CELLS - at : Math.min(6, CELLS - at));
            if (random.nextInt(3) > 0) {
                int offset = random.nextInt(0x80 - count + 1);
                int bits = 1 + random.nextInt(3);
                map(container, memory, at, count, offset, bits);
            } else {
                unmap(container, type, at, count);
            }
            if (step % 50 == 0) {
                compare(container, type);
                swapNow(board, container, type, random);
            }
        }
        compare(container, type);
        container.close();
        long available = board.machine.memory().available();
        memory.close();
        assertEquals(available + 0x80000, board.machine.memory().available(), "each hold was given up once");
    }

    private static void swapNow(Board board, Container container, String type, Random random) {
        if (random.nextInt(5) == 0) {
            String kind = type.equals("pamu") ? type : "type1";
            board.vfio.iommus().stream().map(IommuProvider::iommu).toList().forEach(board.vfio::removeIommu);
            board.vfio.addIommu(board.newIommu(), kind);
            assertEquals("", container.reason());
        }
    }

    private void map(Container container, DmaBuffer memory, int at, int count, int offset, int bits) {
        boolean free = true;
        for (int i = at; i < at + count; i++) {
            free &= owner[i] == 0;
        }
        try {
            container.map(at * 0x1000L, memory, offset * 0x1000L, count * 0x1000L, bits);
            assertEquals(true, free, "mapped over a mapping");
            for (int i = at; i < at + count; i++) {
                owner[i] = next;
                physical[i] = memory.physical((offset + i - at) * 0x1000L);
                access[i] = bits;
            }
            next++;
        } catch (ErrnoException e) {
            assertEquals(Errno.EEXIST, e.errno(), e.getMessage());
            assertEquals(false, free, e.getMessage());
        }
    }

    private void unmap(Container container, String type, int at, int count) {
        boolean[] gone = new boolean[CELLS];
        boolean cuts = cutBefore(at) || cutBefore(at + count);
        for (int i = at; i < at + count; i++) {
            gone[i] = owner[i] != 0;
        }
        boolean refused = type.equals("type1v2") && cuts;
        if (type.equals("type1")) {
            // A start inside a mapping unmaps nothing; a mapping whose first cell is covered goes as a whole.
            boolean nothing = cutBefore(at);
            for (int i = 0; i < CELLS; i++) {
                boolean whole = i > 0 && owner[i] != 0 && owner[i] == owner[i - 1] && gone[i - 1];
                gone[i] = !nothing && (gone[i] || whole);
            }
        }
        long expected = 0;
        for (boolean cell : gone) {
            expected += cell ? 0x1000 : 0;
        }
        try {
            assertEquals(expected, container.unmap(at * 0x1000L, count * 0x1000L));
            assertEquals(false, refused, "cut a mapping");
        } catch (ErrnoException e) {
            assertEquals(true, refused, e.getMessage());
            return;
        }
        if (type.equals("pamu") && at + count < CELLS && cutBefore(at + count)) {
            // What is left behind the cut is a mapping of its own.
            int rest = owner[at + count];
            for (int i = at + count; i < CELLS && owner[i] == rest; i++) {
                owner[i] = next;
            }
            next++;
        }
        for (int i = 0; i < CELLS; i++) {
            owner[i] = gone[i] ? 0 : owner[i];
        }
    }

    private boolean cutBefore(int cell) {
        return cell > 0 && cell < CELLS && owner[cell] != 0 && owner[cell] == owner[cell - 1];
    }

    private void compare(Container container, String type) {
        TreeSet<Integer> mappings = new TreeSet<>();
        long bytes = 0;
        for (int i = 0; i < CELLS; i++) {
            for (int bit : new int[] {Access.READ, Access.WRITE}) {
                long expected = owner[i] == 0 ? Refusal.UNMAPPED
                    : (access[i] & bit) == 0 ? Refusal.DENIED : physical[i] + 0xabc;
                assertEquals(expected, container.lookup(i * 0x1000L + 0xabc, bit), type + " cell " + i);
            }
            if (owner[i] != 0) {
                mappings.add(owner[i]);
                bytes += 0x1000;
            }
        }
        assertEquals(mappings.size(), container.mappings().size());
        assertEquals(bytes, container.mappings().stream().mapToLong(Mapping::length).sum());
    }
}
