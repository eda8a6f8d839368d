// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.qemu.MpicTwins.Board;
import machine.qemu.process.Installed;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Our MPIC against QEMU's: random steps on both, registers and pins compared after each. Fixed seeds, and one that is
 * new each time and can be given with {@code -Dgantry.seed}.
 */
@Installed
@Timeout(300)
class MpicDifferentialTest {
    private static final int[] SEEDS = {1, 2013};
    private static final long FRESH = Long.getLong("gantry.seed", System.nanoTime() & 0xffff_ffffL);
    private static final int LENGTH = 500;
    private static final int TRIES = Integer.getInteger("gantry.tries", 400);

    @DisplayName("MPIC 4.2 and 2.0: fixed seeds look the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fixed(Board board) {
        for (int seed : SEEDS) {
            random(board, seed, board == Board.PPCE500 ? 5000 : 1500);
        }
    }

    @DisplayName("MPIC 4.2 and 2.0: a new seed looks the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fresh(Board board) {
        System.out.println("MpicDifferentialTest, " + board + ": -Dgantry.seed=" + FRESH);
        random(board, FRESH, board == Board.PPCE500 ? 10_000 : 3000);
    }

    private static void random(Board board, long seed, int steps) {
        int taken = 0;
        for (int sequence = 0; taken < steps; sequence++) {
            List<MpicStep> list = sequence(board, new Random(seed * 1_000_003 + sequence));
            int watched = sequence % board.cores;
            MpicTwins.Result result = MpicTwins.run(board, watched, list);
            taken += result.taken();
            if (result.difference() != null) {
                report(board, watched, list, "seed " + seed + ", sequence " + sequence, result.difference());
            }
        }
    }

    private static void report(Board board, int watched, List<MpicStep> list, String where, String first) {
        List<MpicStep> least = Minimiser.minimise(list,
            part -> MpicTwins.run(board, watched, part).difference() != null, TRIES);
        String last = MpicTwins.run(board, watched, least).difference();
        fail(String.format("%s, %s: %s%n%d of its %d steps suffice, %s:%n%s", board, where, first, least.size(),
            list.size(), last, paste(board, watched, least)));
    }

    private static String paste(Board board, int watched, List<MpicStep> steps) {
        StringBuilder text = new StringBuilder("        same(Board." + board + ", " + watched);
        steps.forEach(step -> text.append(",\n            ").append("MpicStep.").append(step));
        return text.append(");").toString();
    }

    private static List<MpicStep> sequence(Board board, Random random) {
        List<MpicStep> steps = new ArrayList<>();
        int[] sources = random.ints(6, 0, MpicTwins.SOURCES.length).map(i -> MpicTwins.SOURCES[i]).toArray();
        for (int core = 0; core < board.cores; core++) {
            steps.add(MpicStep.ctpr(core, random.nextInt(3)));
        }
        for (int source : sources) {
            steps.add(vpr(random, source, 0));
        }
        while (steps.size() < LENGTH) {
            steps.add(step(board, random, sources[random.nextInt(sources.length)], random.nextInt(board.cores)));
        }
        steps.add(MpicStep.all());
        return steps;
    }

    private static MpicStep step(Board board, Random random, int source, int core) {
        int dice = random.nextInt(1000);
        int msi = source >= 0xe0 ? source - 0xe0 : -1;
        if (dice < 250) {
            return msi < 0 ? MpicStep.wire(source, random.nextInt(2))
                : dice < 130 ? MpicStep.ring(msi, random.nextInt(32)) : MpicStep.msir(msi);
        }
        if (dice < 450) {
            return MpicStep.iack(core);
        }
        if (dice < 610) {
            return MpicStep.eoi(core);
        }
        if (dice < 680) {
            return MpicStep.ctpr(core, random.nextInt(4) == 0 ? random.nextInt(16) : random.nextInt(4));
        }
        if (dice < 760) {
            return vpr(random, source, random.nextInt(5) == 0 ? 1 : 0);
        }
        if (dice < 820) {
            return MpicStep.mask(source, random.nextInt(3) == 0 ? 1 : 0);
        }
        if (dice < 860) {
            return MpicStep.idr(source, destination(board, random));
        }
        if (dice < 885) {
            return MpicStep.ilr(source, random.nextInt(4) % 3);
        }
        if (dice < 925) {
            return MpicStep.ipi(core, random.nextInt(4), random.nextInt(4));
        }
        if (dice < 950) {
            int ipi = random.nextInt(4);
            return MpicStep.ipivpr(ipi, random.nextInt(4) == 0 ? 1 << 31
                : random.nextInt(16) << 16 | random.nextInt(128) << 9 | MpicTwins.FIRST_IPI + ipi);
        }
        if (dice < 955) {
            return MpicStep.mode(board.ilr() && random.nextBoolean() ? 0x6000_0000 : 0x2000_0000);
        }
        if (dice < 960) {
            return MpicStep.svr(random.nextInt(128) << 9 | MpicTwins.SPURIOUS);
        }
        if (dice < 963) {
            return MpicStep.tfrr(random.nextInt());
        }
        if (dice < 975) {
            int timer = random.nextInt(4);
            return switch (random.nextInt(3)) {
                // A count of 0 would never end.
                case 0 -> MpicStep.base(timer, random.nextInt() | 1);
                case 1 -> MpicStep.timervpr(timer, random.nextInt() & ~(1 << 30));
                default -> MpicStep.timerdr(timer, random.nextInt() & (1 << board.cores) - 1);
            };
        }
        return dice < 985 ? MpicStep.reset() : MpicStep.all();
    }

    private static MpicStep vpr(Random random, int source, int masked) {
        int priority = random.nextInt(3) == 0 ? random.nextInt(16) : 1 + random.nextInt(5);
        // Bits that cannot be written are tried, too.
        return MpicStep.vpr(source,
            masked << 31 | random.nextInt(4) << 28 & 0x7000_0000 | random.nextInt(16) << 20 | priority << 16
            | random.nextInt(128) << 9 | source);
    }

    private static int destination(Board board, Random random) {
        if (board.ilr()) {
            return random.nextInt(4) == 0 ? random.nextInt() : 1 << random.nextInt(2);
        }
        // External pin, critical, normal.
        return new int[] {1, 1, 0, 1 << 30, 1 << 31 | 1, 1 << 30 | 1}[random.nextInt(6)];
    }

    @SuppressWarnings("unused")
    private static void same(Board board, int watched, MpicStep... steps) {
        String difference = MpicTwins.run(board, watched, List.of(steps)).difference();
        if (difference != null) {
            fail(board + ": " + difference);
        }
    }
}
