// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.fail;

import java.util.List;
import java.util.Random;
import machine.qemu.VtdTwins.Kind;
import machine.qemu.process.Installed;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/**
 * Our VT-d unit against QEMU's: random tables, commands and DMA on both; registers, faults, memory and delivered
 * interrupts compared after each step. A fixed seed, and one that is new each time and can be given with
 * {@code -Dgantry.seed}.
 */
@Installed
@Timeout(300)
class VtdDifferentialTest {
    private static final long FIXED = 1;
    private static final long FRESH = Long.getLong("gantry.seed", System.nanoTime() & 0xffff_ffffL);
    private static final int STEPS = 1000;
    private static final int LENGTH = 200;
    private static final int TRIES = Integer.getInteger("gantry.tries", 300);

    @DisplayName("VT-d: a fixed seed looks the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fixed(Kind kind) {
        random(kind, FIXED);
    }

    @DisplayName("VT-d: a new seed looks the same on QEMU's")
    @ParameterizedTest
    @EnumSource
    void fresh(Kind kind) {
        System.out.println("VtdDifferentialTest, " + kind + ": -Dgantry.seed=" + FRESH);
        random(kind, FRESH);
    }

    @DisplayName("VT-d: a context entry that is malformed by now may go on being used until the domain's "
        + "translations are invalidated, too")
    @Test
    void contextInvalidatedAlone() {
        same(Kind.DEVICE_TLB,
            VtdStep.pte(0, 1, 0x111003),
            VtdStep.pte(1, 0, 0x112003),
            VtdStep.pte(2, 0, 0x113003),
            VtdStep.pte(3, 0, 0x205003),
            VtdStep.root(0, 0x102001, 0),
            VtdStep.rtaddr(0),
            VtdStep.ctxInv(1, 0, 0, 0),
            VtdStep.tlbInv(1, 0, 0, 0),
            VtdStep.te(1),
            VtdStep.context(0, 2, 0x110001, 0x22002),
            VtdStep.ctxInv(1, 0x9d25, 0x18, 2),
            VtdStep.write(2, 0x8000000073L, 0x2f5, 0x49),
            VtdStep.context(0, 2, 0x110011, 0x2202a),
            VtdStep.ctxInv(3, 0x2011, 0x1c, 0),
            VtdStep.read(2, 0x8000000c7fL, 0x18, 0x12a));
    }

    private static void random(Kind kind, long seed) {
        int taken = 0;
        for (int sequence = 0; taken < STEPS; sequence++) {
            List<VtdStep> list = new VtdSequence(kind,
                new Random(seed * 1_000_003 + 31 * kind.ordinal() + 1000L * sequence)).steps(LENGTH);
            VtdTwins.Result result = VtdTwins.run(kind, list);
            taken += result.taken();
            if (result.difference() != null) {
                report(kind, list, "seed " + seed + ", sequence " + sequence, result.difference());
            }
        }
    }

    private static void report(Kind kind, List<VtdStep> list, String where, String first) {
        List<VtdStep> least = Minimiser.minimise(list, part -> VtdTwins.run(kind, part).difference() != null, TRIES);
        fail(String.format("%s, %s: %s%n%d of its %d steps suffice, %s:%n%s", kind, where, first, least.size(),
            list.size(), VtdTwins.run(kind, least).difference(), paste(kind, least)));
    }

    private static String paste(Kind kind, List<VtdStep> steps) {
        StringBuilder text = new StringBuilder("        same(Kind." + kind);
        steps.forEach(step -> text.append(",\n            ").append("VtdStep.").append(step));
        return text.append(");").toString();
    }

    private static void same(Kind kind, VtdStep... steps) {
        String difference = VtdTwins.run(kind, List.of(steps)).difference();
        if (difference != null) {
            fail(kind + ": " + difference);
        }
    }
}
