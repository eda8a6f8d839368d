// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import irq.mpic.Board;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.TreeMap;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Random sequences against a slow and plain model: lists and loops, one event after the other. */
@Timeout(60)
class MpicModelTest {
    private static final int CORES = 2;
    private static final int[] SOURCES = {3, 11, 16, 24, 0xb1, 0xe0, 0xe1, 0xe7, 0xf7};
    private static final int FIRST_IPI = 0x1000;

    /** What software and devices did, and what they should see. */
    private static final class Naive {
        private final TreeMap<Integer, Integer> vpr = new TreeMap<>();
        private final TreeMap<Integer, Integer> idr = new TreeMap<>();
        private final TreeMap<Integer, Boolean> line = new TreeMap<>();
        private final TreeMap<Integer, Boolean> edge = new TreeMap<>();
        private final TreeMap<Integer, Integer> msir = new TreeMap<>();
        private final boolean[][] ipi = new boolean[4][CORES];
        private final int[] ctpr = {15, 15};
        private final List<List<int[]>> inService = List.of(new ArrayList<>(), new ArrayList<>());
        private int mode;
        private int svr;

        Naive() {
            for (int source : SOURCES) {
                line.put(source, false);
                msir.put(source, 0);
            }
            reset();
        }

        void reset() {
            for (int source : SOURCES) {
                vpr.put(source, source < 16 ? 0x80000000 : 0x80800000);
                idr.put(source, 1);
                edge.put(source, false);
            }
            for (int i = 0; i < 4; i++) {
                vpr.put(FIRST_IPI + i, 0x80000000);
                ipi[i] = new boolean[CORES];
            }
            for (int core = 0; core < CORES; core++) {
                ctpr[core] = 15;
                inService.get(core).clear();
            }
            mode = 0;
            svr = 0xffff;
        }

        boolean level(int source) {
            return source >= 16 || (vpr.get(source) & 1 << 22) != 0;
        }

        boolean pending(int source) {
            return level(source) ? line.get(source) || msir.get(source) != 0 : edge.get(source);
        }

        int offered(int core) {
            int best = -1;
            int highest = 0;
            for (int key : vpr.keySet()) {
                boolean asks = key >= FIRST_IPI ? ipi[key - FIRST_IPI][core]
                    : pending(key) && (idr.get(key) >> core & 1) != 0;
                int priority = vpr.get(key) >> 16 & 15;
                if (asks && vpr.get(key) >= 0 && priority > highest) {
                    highest = priority;
                    best = key;
                }
            }
            int limit = ctpr[core];
            for (int[] served : inService.get(core)) {
                limit = Math.max(limit, served[1]);
            }
            return mode != 0 && highest > limit ? best : -1;
        }

        int acknowledge(int core) {
            int key = offered(core);
            if (key < 0) {
                return svr;
            }
            if (key >= FIRST_IPI) {
                ipi[key - FIRST_IPI][core] = false;
            } else {
                edge.put(key, false);
            }
            inService.get(core).add(new int[] {key, vpr.get(key) >> 16 & 15});
            return vpr.get(key) & 0xffff;
        }

        void end(int core) {
            inService.get(core).stream().max((a, b) -> Integer.compare(a[1], b[1]))
                .ifPresent(inService.get(core)::remove);
        }

        int readVpr(int key) {
            boolean requested = false;
            if (key >= FIRST_IPI) {
                for (boolean waits : ipi[key - FIRST_IPI]) {
                    requested |= waits;
                }
            } else {
                requested = pending(key);
            }
            boolean active = requested && vpr.get(key) >= 0;
            for (List<int[]> core : inService) {
                active |= core.stream().anyMatch(served -> served[0] == key);
            }
            return vpr.get(key) | (active ? 1 << 30 : 0);
        }
    }

    @Test
    @DisplayName("MPIC 2 to 5: random operations look the same as in a plain model")
    void random() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("MpicModelTest: -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        for (int run = 0; run < 40; run++) {
            Board board = new Board(CORES, Board.threeBanks());
            Naive naive = new Naive();
            for (int step = 0; step < 1500; step++) {
                step(random, board, naive, "seed " + seed + ", run " + run + ", step " + step);
            }
        }
    }

    private static void step(Random random, Board board, Naive naive, String where) {
        int source = SOURCES[random.nextInt(SOURCES.length)];
        int core = random.nextInt(CORES);
        int dice = random.nextInt(100);
        String what;
        if (dice < 14) {
            int value = (random.nextInt(5) == 0 ? 1 << 31 : 0) | random.nextInt(4) << 22 | random.nextInt(16) << 16
                | random.nextInt(0x10000);
            what = "vpr " + source;
            board.put(0x10000 + 0x20 * source, value);
            naive.vpr.put(source, value & (source < 16 ? 0x80cfffff : 0x808fffff));
            if (naive.level(source)) {
                naive.edge.put(source, false);
            }
        } else if (dice < 18) {
            int cores = random.nextInt(4);
            what = "idr " + source;
            board.put(0x10010 + 0x20 * source, cores);
            naive.idr.put(source, cores);
        } else if (dice < 35 && source >= 0xe0) {
            int bit = random.nextInt(32);
            what = "ring " + source;
            board.ring(Board.CCSR + 0x44140 + 0x1000 * (source - 0xe0 >> 3), (source & 7) << 5 | bit);
            naive.msir.merge(source, 1 << bit, (a, b) -> a | b);
        } else if (dice < 45 && source >= 0xe0) {
            what = "msir " + source;
            int bank = source - 0xe0 >> 3;
            assertEquals(naive.msir.put(source, 0), board.get(0x1600 + 0x200 * bank + 0x10 * (source & 7)), where);
        } else if (dice < 45) {
            boolean up = random.nextBoolean();
            what = "line " + source;
            board.mpic.set(source, up);
            board.mpic.settle();
            if (up && !naive.line.get(source) && !naive.level(source)) {
                naive.edge.put(source, true);
            }
            naive.line.put(source, up);
        } else if (dice < 52) {
            int priority = random.nextInt(10) == 0 ? random.nextInt(16) : random.nextInt(4);
            what = "ctpr";
            board.put(0x20080 + 0x1000 * core, priority);
            naive.ctpr[core] = priority;
        } else if (dice < 56) {
            int number = random.nextInt(4);
            int value = random.nextInt(16) << 16 | random.nextInt(0x10000);
            what = "ipivpr";
            board.put(0x10a0 + 0x10 * number, value);
            naive.vpr.put(FIRST_IPI + number, value);
        } else if (dice < 60) {
            int number = random.nextInt(4);
            int cores = random.nextInt(4);
            what = "ipi";
            board.put(0x20040 + 0x1000 * core + 0x10 * number, cores);
            for (int to = 0; to < CORES; to++) {
                naive.ipi[number][to] |= (cores >> to & 1) != 0;
            }
        } else if (dice < 80) {
            what = "iack";
            assertEquals(naive.acknowledge(core), board.acknowledge(core), where);
        } else if (dice < 96) {
            what = "eoi";
            board.end(core);
            naive.end(core);
        } else if (dice < 97 && random.nextInt(10) == 0) {
            what = "reset";
            board.put(0x1020, 0x80000000);
            naive.reset();
        } else {
            what = "mode";
            naive.mode = random.nextInt(8) == 0 ? 0 : 0x20000000;
            naive.svr = random.nextInt(0x10000);
            board.put(0x1020, naive.mode);
            board.put(0x10e0, naive.svr);
        }
        for (int each = 0; each < CORES; each++) {
            assertEquals(naive.offered(each) >= 0, board.pin(each), where + ", pin " + each + " after " + what);
        }
        assertEquals(naive.readVpr(source), board.get(0x10000 + 0x20 * source), where + ", vpr after " + what);
    }
}
