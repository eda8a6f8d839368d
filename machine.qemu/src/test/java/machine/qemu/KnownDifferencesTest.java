// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static machine.qemu.MpicTwins.Board.MPC8544DS;
import static machine.qemu.MpicTwins.Board.PPCE500;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import machine.qemu.MpicTwins.Board;
import machine.qemu.VtdTwins.Kind;
import machine.qemu.process.Installed;
import machine.qemu.process.Launch;
import machine.qemu.process.Qemu;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * The list in docs/qemu-differences.md, shown: each known difference that {@link MpicTwins} and {@link VtdTwins} keep
 * out is there in QEMU 7.2 when it is let in, and only then. A later QEMU may have mended it: then it is said, and the
 * exclusion can go.
 */
@Installed
@Timeout(120)
class KnownDifferencesTest {
    /** Sequences never have these, so there is nothing to let in. */
    private static final int NEVER = -1;
    /** Tables for one page of read-write memory at 0 in domain 0x2011, device 0. */
    private static final List<VtdStep> MAPPED = mapped(0x20_0003);

    private static boolean measured;

    @BeforeAll
    static void version() {
        try (Qemu qemu = Qemu.start(Launch.q35(64))) {
            measured = qemu.version().startsWith("7.2.");
        }
    }

    static Stream<Arguments> mpic() {
        return Stream.of(
            mpic(1, PPCE500, MpicStep.ring(7, 4), MpicStep.vpr(0xe7, 0x64a2e7), MpicStep.ctpr(0, 1), MpicStep.iack(0),
                MpicStep.iack(0)),
            mpic(2, PPCE500, MpicStep.ipi(1, 1, 1), MpicStep.ipivpr(1, 0xe901), MpicStep.iack(0)),
            mpic(3, PPCE500, MpicStep.ilr(0x10, 1), MpicStep.vpr(0x10, 0x909210), MpicStep.wire(0x10, 1),
                MpicStep.ilr(0x10, 0)),
            mpic(4, PPCE500, MpicStep.ctpr(0, 0), MpicStep.ring(5, 0x19), MpicStep.vpr(0xe5, 0x5fae5), MpicStep.iack(0),
                MpicStep.vpr(0xe5, 0xc94e5)),
            mpic(5, PPCE500, MpicStep.wire(0, 1), MpicStep.vpr(0, 0x45e600), MpicStep.vpr(0, 0x1f000)),
            mpic(6, PPCE500, MpicStep.ipi(0, 1, 0), MpicStep.ipivpr(1, 0x61b01)),
            mpic(7, PPCE500, MpicStep.idr(3, 3), MpicStep.vpr(3, 0x5a803), MpicStep.ctpr(0, 0), MpicStep.ctpr(1, 0),
                MpicStep.wire(3, 1), MpicStep.iack(1)),
            mpic(8, MPC8544DS, MpicStep.idr(0, 0x4000_0000), MpicStep.wire(0, 1)),
            mpic(9, MPC8544DS, MpicStep.ring(3, 0x17), MpicStep.idr(0xe3, 0x4000_0001)),
            mpic(10, PPCE500, MpicStep.wire(0xb, 1), MpicStep.ctpr(0, 0), MpicStep.vpr(0xb, 0x65c40b)),
            mpic(11, PPCE500, MpicStep.vpr(0xe0, 0x160e0), MpicStep.ctpr(0, 0), MpicStep.ring(0, 8), MpicStep.iack(0),
                MpicStep.ctpr(0, 3), MpicStep.eoi(0)),
            mpic(12, PPCE500, MpicStep.ilr(0x18, 2), MpicStep.reset()),
            mpic(13, PPCE500),
            mpic(14, MPC8544DS, MpicStep.base(3, 0x798c_30dd), MpicStep.base(3, 0x97c0_7bfd), MpicStep.all()),
            mpic(15, PPCE500, MpicStep.wire(0xb, 1), MpicStep.ctpr(0, 1), MpicStep.vpr(0xb, 0xfa00b), MpicStep.iack(0)),
            mpic(16, MPC8544DS, MpicStep.ctpr(0, 1), MpicStep.ring(6, 0x1b), MpicStep.vpr(0xe6, 0xc9ace6),
                MpicStep.iack(0), MpicStep.ctpr(0, 3)));
    }

    static Stream<Arguments> vtd() {
        List<VtdStep> readOnly = mapped(0x20_0001);
        List<VtdStep> remapping = List.of(VtdStep.qie(1), VtdStep.irta(7), VtdStep.iec(0, 0, 0), VtdStep.ire(1));
        VtdStep interrupt = VtdStep.msi(0, 0xfee0_0010L, 0);
        return Stream.of(
            vtd(1, readOnly, VtdStep.read(0, 0, 16, 0), VtdStep.write(0, 0, 16, 0)),
            vtd(2, List.of(VtdStep.ire(1)), VtdStep.msi(1, 0xfee0_00f8L, 0)),
            vtd(3, MAPPED, VtdStep.read(0, 0x5000, 16, 0), VtdStep.clear(3), VtdStep.write(0, 0, 16, 0)),
            vtd(4, mapped(0, VtdStep.context(0, 0, 9, 0x4242_01)), VtdStep.write(0, 1L << 39, 16, 0)),
            vtd(5, List.of(VtdStep.ire(1)), VtdStep.msi(1, 0xfee0_0008L, 0xd9)),
            vtd(6, remapping, VtdStep.irte(0, 0x41_0001, 0), VtdStep.iec(0, 0, 0), VtdStep.msi(0, 0xfeef_fffcL, 1)),
            vtd(NEVER - 7, remapping, VtdStep.irte(0, 0x41_0001, 2 << 18 | 0x00ff), VtdStep.iec(0, 0, 0), interrupt),
            vtd(8, List.of(VtdStep.qie(1)), VtdStep.tlbInv(1, 0, 0, 0), VtdStep.qie(0)),
            vtd(NEVER - 9, List.of(VtdStep.qie(1)), VtdStep.descriptor(5, 0)),
            vtd(10, List.of(VtdStep.te(1)), VtdStep.rtaddr(0), VtdStep.root(0, 0x10_2001, 0),
                VtdStep.context(0, 0, 0x11_1001, 0x20_1101), VtdStep.ctxInv(1, 0, 0, 0), VtdStep.tlbInv(1, 0, 0, 0),
                VtdStep.write(0, 0, 16, 0)),
            vtd(NEVER - 11, List.of(VtdStep.qie(1)), VtdStep.descriptor(7, 0)),
            vtd(NEVER - 11, List.of(VtdStep.qie(1)), VtdStep.descriptor(3, 0)),
            vtd(12, List.of(), VtdStep.tlbInv(3, 0x220, 0, 18)),
            vtd(13, List.of(VtdStep.te(1)), VtdStep.write(0, 0, 16, 0), VtdStep.clear(1)),
            vtd(14, mapped(0, VtdStep.context(0, 0, 0x11_1003, 0x120_1101)), VtdStep.write(0, 0, 16, 0)),
            vtd(15, List.of(VtdStep.te(1)), VtdStep.write(0, 1L << 39, 16, 0)),
            vtd(NEVER - 16, List.of(VtdStep.qie(1)), VtdStep.descriptor(5 | 1 << 5 | 1 << 4, 0x14_1000)),
            vtd(NEVER - 17, List.of(VtdStep.qie(1)), VtdStep.descriptor(4 | 1 << 5, 0)),
            vtd(NEVER - 18, remapping, VtdStep.irte(0, 0x41_8001, 0), VtdStep.iec(0, 0, 0), interrupt),
            vtd(NEVER - 18, remapping, VtdStep.irte(0, 0x41_0001 | 1L << 32, 0), VtdStep.iec(0, 0, 0), interrupt));
    }

    @DisplayName("Each difference of QEMU's MPIC is there when it is let in, and only then")
    @ParameterizedTest(name = "M{0}")
    @MethodSource
    void mpic(int number, Board board, List<MpicStep> steps) {
        shown("M" + number, MpicTwins.run(board, 0, number, steps).difference());
        assertNull(MpicTwins.run(board, 0, steps).difference());
    }

    @DisplayName("Each difference of QEMU's VT-d is there when it is let in, and only then")
    @ParameterizedTest(name = "V{0}")
    @MethodSource
    void vtd(int number, boolean never, List<VtdStep> steps) {
        shown("V" + number, VtdTwins.run(Kind.CACHING, never ? 0 : number, steps).difference());
        if (!never) {
            assertNull(VtdTwins.run(Kind.CACHING, steps).difference());
        }
    }

    private static void shown(String name, String difference) {
        if (measured) {
            assertNotNull(difference, name + " does not show");
        } else if (difference == null) {
            System.out
                .println("KnownDifferencesTest: " + name + " does not show in this QEMU: what keeps it out can go");
        }
    }

    private static Arguments mpic(int number, Board board, MpicStep... steps) {
        return Arguments.of(number, board, List.of(steps));
    }

    /** @param number below {@link #NEVER} it is one that sequences never have */
    private static Arguments vtd(int number, List<VtdStep> before, VtdStep... steps) {
        List<VtdStep> all = new ArrayList<>(before);
        all.addAll(List.of(steps));
        return Arguments.of(number < 0 ? NEVER - number : number, number < 0, all);
    }

    private static List<VtdStep> mapped(long leaf) {
        return mapped(leaf, VtdStep.context(0, 0, 0x11_1001, 0x20_1101));
    }

    private static List<VtdStep> mapped(long leaf, VtdStep context) {
        return List.of(VtdStep.pte(1, 0, 0x11_2003), VtdStep.pte(2, 0, 0x11_3003), VtdStep.pte(3, 0, leaf),
            VtdStep.root(0, 0x10_2001, 0), context, VtdStep.rtaddr(0), VtdStep.ctxInv(1, 0, 0, 0),
            VtdStep.tlbInv(1, 0, 0, 0), VtdStep.te(1));
    }
}
