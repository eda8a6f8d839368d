// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import irq.apic.Board;
import java.util.Random;
import java.util.TreeSet;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** One local APIC against a naive oracle made of sets, over random sequences. Repeat one with {@code -Dgantry.seed}. */
class LapicModelTest {
    /** The rules of the fact sheet's section 7, as slowly as they can be written. */
    private static final class Oracle {
        final TreeSet<Integer> requested = new TreeSet<>();
        final TreeSet<Integer> inService = new TreeSet<>();
        final TreeSet<Integer> level = new TreeSet<>();
        boolean enabled;
        int spurious = 0xff;
        int task;
        boolean illegal;

        int priority() {
            int serving = inService.isEmpty() ? 0 : inService.last();
            return task / 16 >= serving / 16 ? task : serving / 16 * 16;
        }

        boolean offered() {
            return enabled && !requested.isEmpty() && requested.last() / 16 > priority() / 16;
        }

        void message(int vector, boolean levelTriggered) {
            if (!enabled) {
                return;
            }
            if (vector < 16) {
                illegal = true;
                return;
            }
            requested.add(vector);
            if (levelTriggered) {
                level.add(vector);
            } else {
                level.remove(vector);
            }
        }

        int acknowledge() {
            if (!offered()) {
                return spurious;
            }
            int vector = requested.pollLast();
            inService.add(vector);
            return vector;
        }

        int word(TreeSet<Integer> set, int index) {
            int word = 0;
            for (int vector : set.subSet(32 * index, 32 * index + 32)) {
                word |= 1 << vector - 32 * index;
            }
            return word;
        }
    }

    @Test
    @DisplayName("7: IRR, ISR, TMR, PPR and the pin agree with the oracle after every step")
    void agrees() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("LapicModelTest: -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        for (int round = 0; round < 40; round++) {
            run(random, new Board(1), new Oracle(), "seed " + seed + " round " + round + " step ");
        }
    }

    private static void run(Random random, Board board, Oracle oracle, String where) {
        int spread = random.nextBoolean() ? 256 : 40;
        for (int step = 0; step < 500; step++) {
            int vector = random.nextInt(spread);
            switch (random.nextInt(10)) {
                case 0, 1, 2, 3 -> {
                    boolean level = random.nextInt(4) == 0;
                    board.ring(0xfee00000, vector | (level ? 0xc000 : random.nextBoolean() ? 0x4000 : 0));
                    oracle.message(vector, level);
                }
                case 4, 5, 6 -> assertEquals(oracle.acknowledge(), board.get(0, 0x3f0), where + step);
                case 7, 8 -> {
                    board.put(0, 0xb0, 0);
                    oracle.inService.pollLast();
                }
                default -> {
                    if (random.nextInt(4) != 0) {
                        oracle.task = vector;
                        board.put(0, 0x80, vector);
                    } else {
                        oracle.enabled = random.nextInt(5) != 0;
                        oracle.spurious = random.nextInt(256);
                        board.put(0, 0xf0, (oracle.enabled ? 0x100 : 0) | oracle.spurious);
                    }
                }
            }
            compare(board, oracle, where + step);
        }
        board.put(0, 0x280, 0);
        assertEquals(oracle.illegal ? 1 << 6 : 0, board.get(0, 0x280), where + "end");
    }

    private static void compare(Board board, Oracle oracle, String where) {
        assertEquals(oracle.offered(), board.pin(0), where);
        assertEquals(oracle.priority(), board.get(0, 0xa0), where);
        for (int i = 0; i < 8; i++) {
            assertEquals(oracle.word(oracle.inService, i), board.get(0, 0x100 + 16 * i), where);
            assertEquals(oracle.word(oracle.level, i), board.get(0, 0x180 + 16 * i), where);
            assertEquals(oracle.word(oracle.requested, i), board.get(0, 0x200 + 16 * i), where);
        }
    }
}
