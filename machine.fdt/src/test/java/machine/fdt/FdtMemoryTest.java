// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Where there is memory, to the page: what the tree, the user or nobody says, beside registers. */
class FdtMemoryTest {
    private static final long FIRMWARE = 16L << 20;

    private static TreeWriter tree(int... memory) {
        return new TreeWriter().memory(memory).pamu();
    }

    /** A tree that says no memory. */
    private static TreeWriter silent() {
        return tree(0, 0, 0, 0);
    }

    private static Machine open(TreeWriter tree) {
        return TestData.open(tree.done());
    }

    private static Machine open(TreeWriter tree, String memory) {
        return TestData.open(tree.done(), Map.of("memory", memory));
    }

    private static String refused(TreeWriter tree, String memory) {
        return assertErrno(Errno.EINVAL, () -> open(tree, memory)).getMessage();
    }

    private static List<String> warnings(Machine machine) {
        return machine.warnings().stream().filter(line -> line.contains("memory")).toList();
    }

    /** From start to end there is memory, and right before and behind there is none. */
    private static void piece(Machine machine, long start, long end) {
        memory(machine, start, true);
        memory(machine, end - 8, true);
        memory(machine, start - 8, false);
        memory(machine, end, false);
    }

    private static void memory(Machine machine, long at, boolean expected) {
        machine.bus().write(at, 8, 0x1234);
        assertEquals(expected, machine.bus().read(at, 8) == 0x1234, "memory at 0x" + Long.toHexString(at));
    }

    @DisplayName("Registers take the whole pages they touch, at both ends, and no more; of size 0 they take none")
    @Test
    void pagesOfRegisters() {
        Machine machine = open(tree(0, 0, 0, 0x1000_0000)
            .begin("across").cells("reg", 0, 0x0400_1ff0, 0, 0x20).end()
            .begin("upto").cells("reg", 0, 0x0500_0f00, 0, 0x100).end()
            .begin("nothing").cells("reg", 0, 0x0600_0800, 0, 0).end());
        piece(machine, 0x0400_3000, 0x0500_0000);
        piece(machine, 0x0500_1000, 0x1000_0000);
        memory(machine, 0x0400_0ff8, true);
        memory(machine, 0x0400_1000, false);
        assertEquals(2, warnings(machine).size(), machine.warnings().toString());
        assertEquals(0x1000_0000 - FIRMWARE - 0x3000, machine.memory().available());
    }

    @DisplayName("Registers that overlap, or lie in others, at the start and the end of memory and beside it")
    @Test
    void overlappingRegisters() {
        Machine machine = open(tree(0, 0x2000_0000, 0, 0x1000_0000)
            .begin("before").cells("reg", 0, 0x1fff_f000, 0, 0x1000).end()
            .begin("start").cells("reg", 0, 0x2000_0000, 0, 0x1000).end()
            .begin("large").cells("reg", 0, 0x2400_0000, 0, 0x0100_0000).end()
            .begin("inside").cells("reg", 0, 0x2410_0000, 0, 0x1000).end()
            .begin("further").cells("reg", 0, 0x24ff_f000, 0, 0x2000).end()
            .begin("end").cells("reg", 0, 0x2fff_f000, 0, 0x2000).end()
            .begin("behind").cells("reg", 0, 0x3000_2000, 0, 0x1000).end());
        piece(machine, 0x2000_1000, 0x2400_0000);
        piece(machine, 0x2500_1000, 0x2fff_f000);
        assertEquals(0x03ff_f000 + 0x0aff_e000, machine.memory().available());
        assertEquals(List.of("start", "large", "inside", "further", "end"), warnings(machine).stream()
            .map(line -> line.replaceAll(".* of /(\\w+); there is no memory", "$1")).toList());
    }

    @DisplayName("Memory said in pieces: next to each other is no fault; one in another, or the same again, counts "
        + "once")
    @Test
    void piecesOfTheTree() {
        Machine beside = open(tree(0, 0x2000_2000, 0, 0x2000, 0, 0x2000_0000, 0, 0x2000));
        assertEquals(List.of(), warnings(beside));
        beside.memory().allocateAt(0x2000_0000, 0x2000).close();
        assertEquals(0x4000, beside.memory().available());
        Machine inside = open(tree(0, 0x2000_0000, 0, 0x8000, 0, 0x2000_1000, 0, 0x1000, 0, 0x2000_4000, 0, 0x1000));
        piece(inside, 0x2000_0000, 0x2000_8000);
        Machine disorder = open(tree(0, 0x2000_1000, 0, 0x2000, 0, 0x2000_0000, 0, 0x2000, 0, 0x3000_0800, 0, 0));
        piece(disorder, 0x2000_0000, 0x2000_3000);
        assertEquals(1, warnings(disorder).size(), disorder.warnings().toString());
        assertEquals(
            List.of("0x20001000+0x1000 overlaps 0x20000000+0x8000", "0x20004000+0x1000 overlaps 0x20000000+0x8000"),
            warnings(inside).stream().map(line -> line.replaceAll(".*: memory (.*); .*", "$1")).toList());
    }

    @DisplayName("Memory that begins or ends inside a page ends with its last whole page; whole pages are not warned "
        + "of")
    @Test
    void wholePages() {
        Machine machine = open(tree(0, 0x2000_0001, 0, 0x2fff, 0, 0x3000_0000, 0, 0x2fff, 0, 0x4000_0000, 0, 0x1000));
        piece(machine, 0x2000_1000, 0x2000_3000);
        piece(machine, 0x3000_0000, 0x3000_2000);
        piece(machine, 0x4000_0000, 0x4000_1000);
        assertEquals(2, warnings(machine).size(), machine.warnings().toString());
    }

    @DisplayName("The lowest 16 MiB are memory that is not handed out; the page behind them is")
    @Test
    void firmware() {
        Machine machine = open(tree(0, 0, 0, 0x0200_0000));
        memory(machine, 0, true);
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(FIRMWARE - 0x1000, 0x1000));
        machine.memory().allocateAt(FIRMWARE, 0x1000).close();
        assertEquals(FIRMWARE, machine.memory().available());
    }

    @DisplayName("At most 64 pieces and 1 TiB: exactly so much is taken, by the tree and by the user")
    @Test
    void limits() {
        int[] reg = new int[4 * 65];
        for (int i = 0; i < 65; i++) {
            reg[4 * i + 1] = 0x1000_0000 + 0x2000 * i;
            reg[4 * i + 3] = 0x1000;
        }
        assertEquals(64 * 0x1000, open(tree(Arrays.copyOf(reg, 4 * 64))).memory().available());
        assertTrue(assertErrno(Errno.EINVAL, () -> open(tree(reg))).getMessage()
            .contains(
                "memory: 65 pieces of 0x41000 bytes together; at most 64 of 0x10000000000; say "
                    + "memory=0x0+0xf0020000,0xf0022000+"));
        String pieces = IntStream.range(0, 64).mapToObj(i -> String.format("0x%x+4096", 0x1000_0000 + 0x2000 * i))
            .collect(Collectors.joining(","));
        assertEquals(64 * 0x1000, open(silent(), pieces).memory().available());
        assertTrue(refused(silent(), pieces + ",0x20000000+0x1000").contains("65 pieces"));
        int[] registers = new int[4 * 64];
        for (int i = 0; i < 64; i++) {
            registers[4 * i + 1] = 0x2000_0000 + 0x2000 * i;
            registers[4 * i + 3] = 0x1000;
        }
        assertTrue(assertErrno(Errno.EINVAL,
            () -> open(tree(0, 0x1000_0000, 0, 0x4000_0000).begin("d").cells("reg", registers).end()))
            .getMessage().contains("65 pieces"), "cut by registers");
        open(tree(1, 0, 0x100, 0));
        assertErrno(Errno.EINVAL, () -> open(tree(1, 0, 0x100, 0x1000)));
    }

    @DisplayName("The user's memory: in any order, next to each other and up to the registers' pages; ranges are "
        + "split at + and ,")
    @Test
    void option() {
        Machine machine = open(silent().begin("d").cells("reg", 0, 0x1000_0800, 0, 0x100).end(),
            " 0x10001000 + 0x1000 ,0xfffe000+4096,0xffff000+010000");
        piece(machine, 0x0fff_e000, 0x1000_0000);
        piece(machine, 0x1000_1000, 0x1000_2000);
        for (String wrong : List.of("0x1000", "0x1000+0x1000+0x1000", "", "+0x1000")) {
            refused(silent(), wrong);
        }
        assertEquals("EINVAL: memory '0x1000+0' is empty", refused(silent(), "0x1000+0"));
        assertEquals("EINVAL: option memory: '0x8000000000001' is not in 0..0x8000000000000",
            refused(silent(), "0x8000000000001+0x1000"));
        assertEquals("EINVAL: option memory: '-4096' is not in 0..0x8000000000000", refused(silent(), "0x1000+-4096"));
        open(silent(), "0x8000000000000+0x1000");
    }

    @DisplayName("The user's memory that is refused: what is suggested is the same without what is wrong")
    @Test
    void suggestions() {
        TreeWriter tree = silent().begin("d").cells("reg", 0, 0x1000_0800, 0, 0x100).end();
        byte[] content = tree.done();
        for (Map.Entry<String, String> each : Map.of(
                "0xffff000+0x2000", "memory 0xffff000+0x2000 touches 0x10000800+0x100 of /d; say "
                    + "memory=0xffff000+0x1000",
                "0x10000000+0x2000",
            "memory 0x10000000+0x2000 touches 0x10000800+0x100 of /d; say memory=0x10001000+0x1000",
                "0x10000000+0x1000", "memory 0x10000000+0x1000 touches 0x10000800+0x100 of /d",
                "0x1000001+0x2fff", "memory 0x1000001+0x2fff: no whole 4 KiB pages; say memory=0x1001000+0x2000",
                "0x1000000+0x2800", "memory 0x1000000+0x2800: no whole 4 KiB pages; say memory=0x1000000+0x2000",
                "0x1000000+0x3000,0x1002000+0x2000",
            "memory 0x1000000+0x3000 and 0x1002000+0x2000 overlap; say memory=0x1000000+0x3000,0x1003000+0x1000",
                "0x1000000+0x9000,0x1002000+0x2000",
            "memory 0x1000000+0x9000 and 0x1002000+0x2000 overlap; say memory=0x1000000+0x9000")
                .entrySet()) {
            ErrnoException e = assertErrno(Errno.EINVAL, () -> TestData.open(content, Map.of("memory", each.getKey())));
            assertEquals("EINVAL: " + each.getValue(), e.getMessage());
        }
    }

    @DisplayName("Memory that nobody mentions: a piece of exactly 64 MiB counts, one of a page less does not")
    @Test
    void leastPiece() {
        Machine machine = open(
            silent().begin("d").cells("reg", 0, 0x0400_0000, 0, 0x1000, 0, 0x0800_0000, 0, 0x1000).end());
        memory(machine, 0, true);
        memory(machine, 0x03ff_fff8, true);
        memory(machine, 0x0400_1000, false);
        memory(machine, 0x0800_1000, true);
        memory(machine, 0x1_ffff_fff8L, true);
        memory(machine, 0x2_0000_0000L, false);
    }

    @DisplayName("A range that a PCIe controller passes on is no memory; the same of another bus is, and so is one "
        + "that the bus above does not pass on")
    @Test
    void outbound() {
        int[] ranges = {0x0200_0000, 0, 0xe000_0000, 0, 0, 0, 0x0010_0000};
        memory(open(silent().begin("pcie@f0200000").text("device_type", "pci").text("compatible", "fsl,qoriq-pcie")
            .cells("reg", 0, 0xf020_0000, 0, 0x1000).cells("#address-cells", 3).cells("#size-cells", 2)
            .cells("ranges", ranges)
            .end()), 0, false);
        ranges[4] = 0x2000_0000;
        TreeWriter tree = tree(0, 0, 0, 0x4000_0000);
        tree.begin("pcie@f0200000").text("device_type", "pci").text("compatible", "fsl,qoriq-pcie")
            .cells("reg", 0, 0xf020_0000, 0, 0x1000)
            .cells("#address-cells", 3).cells("#size-cells", 2).cells("ranges", ranges).end();
        ranges[4] = 0x3000_0000;
        tree.begin("local").cells("#address-cells", 3).cells("#size-cells", 2).cells("ranges", ranges).end();
        tree.begin("soc").cells("#address-cells", 2).cells("#size-cells", 2)
            .cells("ranges", 0, 0, 0, 0xf000_0000, 0, 0x0100_0000)
            .begin("pcie@300000").text("device_type", "pci").text("compatible", "fsl,qoriq-pcie")
            .cells("reg", 0, 0x30_0000, 0, 0x1000)
            .cells("#address-cells", 3).cells("#size-cells", 2).cells("ranges", ranges).end().end();
        Machine machine = open(tree);
        piece(machine, 0x2010_0000, 0x4000_0000);
        memory(machine, 0x1fff_fff8, true);
        memory(machine, 0x2000_0000, false);
        assertEquals(List.of(
            "device tree: memory 0x0+0x40000000 lies over 0x20000000+0x100000 of /pcie@f0200000; there is no memory"),
            warnings(machine));
    }
}
