// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import machine.api.Board;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import machine.api.Slot;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** {@code iommus}, {@code iommu-map}, {@code msi-map}: as whom a device speaks is what the tree says. */
class NamingTest {
    private static final int SMMU = 1;
    private static final int ITS = 2;
    private static final int OFF = 3;
    private static final int WIDE = 4;

    /** An SMMU and an ITS, one more that is disabled and one whose ids have two cells; no PAMU. */
    private static TreeWriter board() {
        return new TreeWriter().memory(0, 0, 0, 0x1000_0000)
            .begin("iommu@10000000").text("compatible", "arm,smmu-v3").cells("reg", 0, 0x1000_0000, 0, 0x20000)
            .cells("phandle", SMMU)
            .cells("#iommu-cells", 1).end()
            .begin("its@11000000").text("compatible", "arm,gic-v3-its").cells("reg", 0, 0x1100_0000, 0, 0x20000)
            .cells("phandle", ITS)
            .cells("#msi-cells", 1).end()
            .begin("iommu@12000000").cells("#iommu-cells", 1).cells("phandle", OFF).text("status", "disabled").end()
            .begin("iommu@13000000").cells("#iommu-cells", 2).cells("phandle", WIDE).end();
    }

    private static TreeWriter pcie(TreeWriter tree) {
        return pcie(tree, 0x2000_0000);
    }

    private static TreeWriter pcie(TreeWriter tree, int at) {
        return tree.begin(String.format("pcie@%x", at)).text("device_type", "pci")
            .text("compatible", "pci-host-ecam-generic").cells("reg", 0, at, 0, 0x1000);
    }

    private static Board read(TreeWriter tree) {
        return FdtMachineSource.describe("board", tree.end().done(), Map.of());
    }

    private static Slot only(Board board) {
        assertEquals(1, board.slots().size());
        return board.slots().get(0);
    }

    private static Errno errno(Slot slot, int device, int function) {
        assertFalse(slot.covers(device, function));
        return assertThrows(ErrnoException.class, () -> slot.requester(device, function)).errno();
    }

    @DisplayName("A device behind an iommu-map and an msi-map has three ids, and stands behind the IOMMU that its "
        + "entry names")
    @Test
    void threeIds() {
        Board board = read(
            pcie(board()).cells("iommu-map", 0x100, SMMU, 0x4000, 0x80).cells("msi-map", 0, ITS, 0x2_0000, 0x1_0000));
        assertEquals(List.of(), board.warnings());
        Requester requester = only(board).requester(2, 1);
        assertEquals(new Requester(0x4011, "/iommu@10000000", requester.group(), 0x111, 0x2_0111), requester);
        assertEquals(requester, only(board).requester(2, 1));
        assertTrue(requester.group() != only(board).requester(2, 0).group(), "the IOMMU tells them apart");
    }

    @DisplayName("An entry has its first id and its last, and not those beside them: whom no entry has cannot be "
        + "there (ENXIO)")
    @Test
    void edges() {
        Slot slot = only(read(pcie(board()).cells("iommu-map", 0x109, SMMU, 0x10, 2, 0x120, SMMU, 0x20, 0)));
        assertEquals(0x10, slot.requester(1, 1).id());
        assertEquals(0x11, slot.requester(1, 2).id());
        assertEquals(Errno.ENXIO, errno(slot, 1, 0));
        assertEquals(Errno.ENXIO, errno(slot, 1, 3));
        assertEquals(Errno.ENXIO, errno(slot, 4, 0));
        assertEquals(0x10a, slot.requester(1, 2).messageId(), "without an msi-map it is what the bus says");
    }

    @DisplayName("Ids go through the mask first: functions of one device that the IOMMU cannot tell apart share id "
        + "and group; numbers follow the tree")
    @Test
    void mask() {
        Slot slot = only(read(pcie(board()).cells("iommu-map", 0, SMMU, 0, 0x10000).cells("iommu-map-mask", 0xfff8)));
        assertEquals(0x108, slot.requester(1, 7).id());
        assertEquals(0x10f, slot.requester(1, 7).busId());
        assertEquals(slot.requester(1, 0).group(), slot.requester(1, 7).group());
        assertEquals(List.of(5, 3, 0),
            List.of(slot.requester(5, 0).group(), slot.requester(3, 0).group(), slot.requester(0, 0).group()));
    }

    @DisplayName("Groups are numbered in the tree's order, whoever is asked for first")
    @Test
    void order() {
        TreeWriter tree = pcie(board()).cells("iommu-map", 0x100, SMMU, 0, 0x100).end();
        List<Slot> slots = List.copyOf(read(pcie(tree, 0x2100_0000).cells("iommu-map", 0x100, SMMU, 0x1000, 0x100))
            .slots());
        assertEquals(256, slots.get(1).requester(0, 0).group());
        assertEquals(0, slots.get(0).requester(0, 0).group());
    }

    @DisplayName("A place that no bus has is covered by no slot, and asking for its requester is EINVAL")
    @Test
    void noPlace() {
        Slot slot = only(read(pcie(board()).cells("iommu-map", 0x100, SMMU, 0, 0x100)));
        for (int[] place : new int[][] {{-1, 0}, {32, 0}, {0, -1}, {0, 8}}) {
            assertEquals(Errno.EINVAL, errno(slot, place[0], place[1]));
        }
        assertTrue(slot.covers(31, 7));
    }

    @DisplayName("A master that the tree names has no LIODN: an option for one is unknown, and none is proposed "
        + "(EINVAL)")
    @Test
    void noOption() {
        byte[] tree = pcie(board()).cells("iommu-map", 0x100, SMMU, 0, 0x100).end().done();
        ErrnoException refused = assertThrows(ErrnoException.class,
            () -> FdtMachineSource.describe("board", tree, Map.of("liodn.pcie0", "1")));
        assertEquals("EINVAL: unknown option liodn.pcie0; there are memory and []", refused.getMessage());
    }

    @DisplayName("The first entry that has an id counts; ids are unsigned")
    @Test
    void first() {
        Slot slot = only(read(pcie(board()).cells("iommu-map", 0x100, SMMU, 7, 1, 0, SMMU, 0x8000_0000, -1)));
        assertEquals(7, slot.requester(0, 0).id());
        assertEquals(0x8000_0101, slot.requester(0, 1).id());
    }

    @DisplayName("Entries that lead to no enabled IOMMU, have ids of other widths, or bits beyond the mask, are left "
        + "out with a warning")
    @Test
    void faulty() {
        Board board = read(pcie(board())
            .cells("iommu-map", 0x100, OFF, 0, 8, 0x108, WIDE, 0, 8, 0x118, 99, 0, 8, 0x111, SMMU, 0, 8, 0x110, SMMU,
            0, 8, 5).cells("iommu-map-mask", 0xfff8));
        assertEquals(List.of("iommu-map has 21 cells, no multiple of 4; whole entries count",
                "iommu-map, entry at cell 0: 0x3 leads to no enabled node; the entry is left out",
                "iommu-map, entry at cell 4: 0x4 has ids of 2 cells; the entry is left out",
                "iommu-map, entry at cell 8: 0x63 leads to no enabled node; the entry is left out",
                "iommu-map, entry at cell 12: 0x111 has bits that the mask 0xfff8 takes away; the entry is left out")
            .stream()
            .map(line -> "device tree, /pcie@20000000: " + line).toList(), board.warnings());
        assertEquals(0, only(board).requester(2, 0).id());
        assertEquals(Errno.ENXIO, errno(only(board), 0, 0));
        assertEquals(Errno.ENXIO, errno(only(board), 1, 0));
    }

    @DisplayName("iommus of a controller: all behind it speak as one, with the first id; an id of no cells is 0; "
        + "several are warned of")
    @Test
    void iommus() {
        Board board = read(pcie(board()).cells("iommus", WIDE, 0x21, 0x7f, SMMU, 5));
        assertEquals(List.of(
            "device tree, /pcie@20000000: iommus has more than one id; the first counts, and what comes with others "
                + "is blocked"),
            board.warnings());
        assertEquals(0x21, only(board).requester(1, 0).id());
        assertEquals("/iommu@13000000", only(board).requester(1, 0).unit());
        assertEquals(only(board).requester(1, 0).group(), only(board).requester(9, 3).group());
        Board none = read(pcie(board().begin("iommu@14000000").cells("#iommu-cells", 0).cells("phandle", 9).end())
            .cells("iommus", 9));
        assertEquals(0, only(none).requester(1, 0).id());
        assertEquals(List.of(), none.warnings());
    }

    @DisplayName("iommus that lead nowhere, or end inside an id: nobody can be there, and it is said")
    @Test
    void nowhere() {
        for (int[] cells : new int[][] {{}, {99}, {OFF, 1}, {ITS, 1}, {SMMU}, {WIDE, 1}}) {
            Board board = read(pcie(board()).cells("iommus", cells));
            assertEquals(List.of(
                "device tree, /pcie@20000000: iommus leads to no enabled IOMMU, or ends inside an id; nobody can be "
                    + "there"),
                board.warnings());
            assertEquals(Errno.ENXIO, errno(only(board), 1, 0));
        }
    }

    @DisplayName("A QorIQ master that has neither keeps its LIODN, which is its only id")
    @Test
    void qoriq() {
        Board board = read(pcie(board().pamu()).cells("fsl,liodn", 0x55));
        assertEquals(new Requester(0x55, "/iommu@f0020000/pamu@0", 0), only(board).requester(1, 0));
        assertEquals(0x55, only(board).requester(1, 0).messageId());
    }
}
