// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Node.Range;
import machine.api.Slot;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What the properties of a right tree mean, in trees of a few nodes. */
class DeviceTreeTest {
    private static final int PIC = 7;

    private static TreeWriter board() {
        return new TreeWriter().memory(0, 0, 0, 0x1000_0000).begin("pic@f0040000").text("compatible", "fsl,mpic")
            .cells("reg", 0, 0xf004_0000, 0, 0x40000).cells("phandle", PIC).cells("#interrupt-cells", 4)
            .cells("interrupt-controller").end()
            .begin("iommu@f0020000").text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x1000)
            .cells("interrupt-parent", PIC).cells("interrupts", 24, 2, 0, 0).end();
    }

    private static TreeWriter controller(TreeWriter tree, String kind, int address) {
        tree.begin(kind + "@" + Integer.toHexString(address));
        return (kind.equals("dma") ? tree.text("compatible", "fsl,eloplus-dma")
            : tree.text("device_type", "pci").text("compatible", "fsl,qoriq-pcie"))
            .cells("reg", 0, address, 0, 0x1000);
    }

    /** The machine of a tree without faults. */
    private static Machine open(TreeWriter tree) {
        Machine machine = TestData.open(tree.done());
        assertEquals(List.of(), machine.warnings());
        return machine;
    }

    private static Node node(Machine machine, String path) {
        return find(machine, path).orElseThrow();
    }

    private static Optional<Node> find(Machine machine, String path) {
        return machine.nodes().stream().filter(node -> node.path().equals(path)).findFirst();
    }

    @DisplayName("A node: path, name, children; properties as cells, text and bytes of one's own")
    @Test
    void properties() {
        Machine machine = open(
            board().begin("bus@1").text("compatible", "a,b\0c,d").cells("empty").text("label", "ab\u0001d\0e")
            .cells("word", 0x61626364, 0x65666768).text("odd", "12345").begin("d").end().end());
        Node root = machine.nodes().get(0);
        assertEquals("/", root.path());
        assertEquals("", root.name());
        assertEquals(List.of(), root.registers());
        Node bus = node(machine, "/bus@1");
        assertEquals("bus@1", bus.name());
        assertEquals("/bus@1", bus.toString());
        assertTrue(root.children().contains(bus));
        assertEquals(List.of("/bus@1/d"), bus.children().stream().map(Node::path).toList());
        assertThrows(UnsupportedOperationException.class, () -> bus.children().clear());
        assertEquals(List.of("a,b", "c,d"), bus.compatible());
        assertEquals(List.of(), root.compatible());
        assertTrue(bus.has("empty"));
        assertFalse(bus.has("none"));
        assertArrayEquals(new int[] {0x61626364, 0x65666768}, bus.cells("word"));
        assertArrayEquals(new int[] {0x31323334}, bus.cells("odd"), "whole cells");
        assertArrayEquals(new int[0], bus.cells("none"));
        assertEquals("abcdefgh", bus.text("word"), "no NUL at its end");
        assertEquals("ab?d", bus.text("label"), "up to the first NUL, for people's terminals");
        assertEquals("", bus.text("none"));
        assertArrayEquals("12345\0".getBytes(), bus.bytes("odd"));
        bus.bytes("odd")[0] = 'x';
        assertEquals("12345", bus.text("odd"));
        assertArrayEquals(new byte[0], bus.bytes("none"));
    }

    @DisplayName("status: ok and okay are enabled, all else is not, with all below; nobody asks it of the root")
    @Test
    void status() {
        Machine machine = open(new TreeWriter().text("status", "disabled").begin("a").text("status", "ok").end()
            .begin("b").text("status", "okay").begin("b").end().end().begin("c").text("status", "fail").begin("d").end()
            .end()
            .begin("e").text("status", "").end());
        assertEquals(List.of("/", "/a", "/b", "/b/b"), machine.nodes().stream().map(Node::path).toList());
        assertEquals(2, machine.nodes().get(0).children().size());
    }

    @DisplayName("reg: two cells for addresses and one for sizes where the parent does not say; one or two of each "
        + "are read")
    @Test
    void cells() {
        Machine machine = open(board()
            .begin("usual").cells("ranges").begin("d").cells("reg", 1, 2, 3).end().end()
            .begin("one").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges").begin("d")
            .cells("reg", 0xf100_0000, 4)
            .end().end()
            .begin("two").cells("#address-cells", 1).cells("#size-cells", 2).cells("ranges").begin("d")
            .cells("reg", 0xf100_0000, 1, 4)
            .end().end()
            .begin("none").cells("#address-cells", 0).cells("#size-cells", 1).cells("ranges").begin("d")
            .cells("reg", 5, 4).end().end()
            .begin("three").cells("#address-cells", 3).cells("#size-cells", 1).cells("ranges").begin("d")
            .cells("reg", 0, 0, 5, 4)
            .end().end()
            .begin("cpus").cells("#address-cells", 1).cells("#size-cells", 0).cells("ranges").begin("d").cells("reg", 5)
            .end().end()
            .begin("wide").cells("#address-cells", 1).cells("#size-cells", 3).cells("ranges").begin("d")
            .cells("reg", 5, 0, 0, 4)
            .end().end());
        assertEquals(List.of(new Range(0x1_0000_0002L, 3)), node(machine, "/usual/d").registers());
        assertEquals(List.of(new Range(0xf100_0000L, 4)), node(machine, "/one/d").registers());
        assertEquals(List.of(new Range(0xf100_0000L, 0x1_0000_0004L)), node(machine, "/two/d").registers());
        for (String bus : List.of("none", "three", "cpus", "wide")) {
            assertEquals(List.of(), node(machine, "/" + bus + "/d").registers(), bus);
        }
    }

    @DisplayName("ranges: through every bus above; all of a register range has to fit into one entry; without any "
        + "nothing is passed on")
    @Test
    void ranges() {
        Machine machine = open(board().begin("outer").cells("#address-cells", 1).cells("#size-cells", 1)
            .cells("ranges", 0x1000_0000, 0xf, 0xfe00_0000, 0x10_0000, 0x2000_0000, 0xe, 0, 0x1000)
            .begin("inner").cells("#address-cells", 2).cells("#size-cells", 1)
            .cells("ranges", 0, 0x400, 0x1000_8000, 0x1000)
            .begin("d").cells("reg", 0, 0x400, 0x1000, 0, 0x13ff, 1, 0, 0x400, 0).end()
            .begin("e").cells("reg", 0, 0x3ff, 1, 0, 0x1400, 1, 0, 0x400, 0x1001, 1, 0x400, 1).end().end()
            .begin("same").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges").begin("d")
            .cells("reg", 0x2000_0800, 0x800)
            .end().end()
            .begin("closed").cells("#address-cells", 1).cells("#size-cells", 1).begin("d").cells("reg", 0x2000_0000, 4)
            .end().end().end());
        assertEquals(
            List.of(new Range(0xf_fe00_8000L, 0x1000), new Range(0xf_fe00_8fffL, 1), new Range(0xf_fe00_8000L, 0)),
            node(machine, "/outer/inner/d").registers());
        assertEquals(List.of(), node(machine, "/outer/inner/e").registers());
        assertEquals(List.of(new Range(0xe_0000_0800L, 0x800)), node(machine, "/outer/same/d").registers());
        assertEquals(List.of(), node(machine, "/outer/closed/d").registers());
    }

    @DisplayName("Physical address 0 is one: registers may be there")
    @Test
    void addressZero() {
        Machine machine = TestData.open(new TreeWriter().begin("bus").cells("#address-cells", 1).cells("#size-cells", 1)
            .cells("ranges", 0x1000, 0, 0, 0x1000).begin("d").cells("reg", 0x1000, 4).end().end()
            .begin("e").cells("reg", 0, 0, 0, 8).end().done());
        assertEquals(List.of(new Range(0, 4)), node(machine, "/bus/d").registers());
        assertEquals(List.of(new Range(0, 8)), node(machine, "/e").registers());
    }

    @DisplayName("ranges whose cells have no meaning pass nothing on; 1024 entries are read")
    @Test
    void oddRanges() {
        TreeWriter tree = board();
        int[][] odd = {{0, 2, 1}, {4, 2, 1}, {1, 2, 0}, {1, 2, 3}};
        for (int i = 0; i < odd.length; i++) {
            tree.begin("bus" + i).cells("#address-cells", odd[i][0]).cells("#size-cells", odd[i][2])
                .cells("ranges", new int[2 * 12])
                .begin("inner").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges", 0, 0, 4)
                .begin("d").cells("reg", 0, 4).end().end().end();
        }
        Machine machine = open(
            tree.begin("many").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges", many())
            .begin("d").cells("reg", 0x1000 * 1023 + 4, 4).end().end());
        for (int i = 0; i < odd.length; i++) {
            assertEquals(List.of(), node(machine, "/bus" + i + "/inner/d").registers());
        }
        assertEquals(List.of(new Range(0xf100_0004L, 4)), node(machine, "/many/d").registers());
    }

    private static int[] many() {
        int[] ranges = new int[4 * 1024];
        for (int i = 0; i < 1024; i++) {
            ranges[4 * i] = 0x1000 * i;
            ranges[4 * i + 2] = i == 1023 ? 0xf100_0000 : 0xf200_0000 + 0x1000 * i;
            ranges[4 * i + 3] = 0x1000;
        }
        return ranges;
    }

    @DisplayName("reg: registers end at 2^52 at most")
    @Test
    void addressLimit() {
        Machine machine = TestData
            .open(board().begin("d").cells("reg", 0xf_ffff, 0xffff_f000, 0, 0x1000, 0xf_ffff, 0xffff_f000, 0, 0x1001,
            0x10_0000, 0, 0, 0, 0x10_0000, 1, 0, 0, 0, 0xf100_0000, 0x8000_0000, 0).end().done());
        assertEquals(List.of(new Range(0xf_ffff_ffff_f000L, 0x1000), new Range(1L << 52, 0)),
            node(machine, "/d").registers());
        assertEquals(3, machine.warnings().size(), machine.warnings().toString());
        assertTrue(
            machine.warnings().get(0).endsWith("/d: reg 0xffffffffff000+0x1001 ends above 2^52; it is left out"));
    }

    @DisplayName("PAMU: 64 of them at most, each a page of the node's registers")
    @Test
    void pamus() {
        Machine machine = TestData.open(new TreeWriter().begin("iommu").text("compatible", "fsl,pamu")
            .cells("reg", 0, 0xf002_0000, 0, 0x4_0800).end().done());
        List<Node> pamus = node(machine, "/iommu").children();
        assertEquals(64, pamus.size());
        assertEquals("/iommu/pamu@3f000", pamus.get(63).path());
        assertEquals(List.of(new Range(0xf005_f000L, 0x1000)), pamus.get(63).registers());
        assertTrue(machine.nodes().containsAll(pamus));
        for (int size : new int[] {0xfff, 0x4_1000}) {
            ErrnoException e = assertErrno(Errno.EINVAL,
                () -> TestData.open(new TreeWriter().begin("iommu").text("compatible", "fsl,pamu")
                .cells("reg", 0, 0xf002_0000, 0, size).end().done()));
            assertTrue(e.getMessage().endsWith("bytes of registers are no 1..64 PAMUs"), e.getMessage());
        }
    }

    @DisplayName("PAMU: a child that is the instance at its offset keeps its name and properties; one whose offset "
        + "is not said is none")
    @Test
    void instances() {
        TreeWriter tree = new TreeWriter().begin("pic").cells("phandle", PIC).cells("#interrupt-cells", 2)
            .cells("interrupt-controller").end().begin("iommu").text("compatible", "fsl,pamu")
            .cells("reg", 0, 0xf002_0000, 0, 0x3000)
            .cells("interrupt-parent", PIC).cells("interrupts", 24, 2).cells("#address-cells", 1)
            .cells("#size-cells", 1)
            .cells("ranges", 0, 0, 0xf002_0000, 0x3000, 0x8000, 0, 0xf001_f000, 0x1000);
        Machine machine = TestData.open(tree.begin("second").cells("reg", 0x1000, 0x1000).cells("geometry", 5).end()
            .begin("first").cells("reg", 0, 0x1000).end().begin("below").cells("reg", 0x8000, 0x1000).end()
            .begin("long").cells("reg", 0x2_0000, 0x1000, 0).end().begin("none").end()
            .begin("last").cells("reg", 0x2000, 0x1000).begin("deeper").cells("reg", 0, 4).end().end().end().done());
        List<Node> pamus = node(machine, "/iommu").children();
        assertEquals(List.of("first", "second", "last"), pamus.stream().map(Node::name).toList());
        assertArrayEquals(new int[] {5}, pamus.get(1).cells("geometry"));
        assertEquals(List.of(new Range(0xf002_2000L, 0x1000)), pamus.get(2).registers());
        assertEquals(List.of("below", "long", "none"), machine.warnings().stream()
            .filter(line -> line.contains("no instance of 0x3000 bytes"))
            .map(line -> line.replaceAll(".*/iommu/(\\w+): .*", "$1")).toList());
        assertTrue(find(machine, "/iommu/below").isEmpty());
    }

    @DisplayName("interrupts: the parent's, or of the bus above; types 2 and 3 are no wires, nor is one to a "
        + "disabled controller")
    @Test
    void interrupts() {
        Machine machine = open(
            board().begin("soc").cells("interrupt-parent", PIC).begin("bus").cells("#address-cells", 1)
            .begin("d")
                .cells("interrupts", 1, 0, 0, 0, 2, 1, 0, 0, 3, 2, 0, 0, 4, 3, 0, 0, 5, 2, 1, 9, 6, 0, 2, 0, 7, 0, 3, 0,
                8, 0, 4, -1).end().end().end());
        assertEquals(
            List.of(wire(1, false, "1 0 0 0"), wire(2, true, "2 1 0 0"), wire(3, true, "3 2 0 0"),
                wire(4, false, "4 3 0 0"),
            wire(5, true, "5 2 1 9"), wire(8, false, "8 0 4 4294967295")), node(machine, "/soc/bus/d").interrupts());
        Machine off = TestData.open(board().begin("off").text("status", "disabled").cells("phandle", 9)
            .cells("#interrupt-cells", 1)
            .cells("interrupt-controller").end().begin("bare").cells("phandle", 10).cells("#interrupt-cells", 1).end()
            .begin("d").cells("interrupts-extended", 9, 1, PIC, 5, 0, 0, 0).end()
            .begin("e").cells("interrupt-parent", 10).cells("interrupts", 1).end().begin("f")
            .cells("interrupts", 1, 2, 3, 4).end().done());
        assertEquals(List.of(wire(5, false, "5 0 0 0")), node(off, "/d").interrupts());
        assertEquals(List.of(), node(off, "/e").interrupts(), "no interrupt controller");
        assertEquals(List.of(), node(off, "/f").interrupts(), "no interrupt parent");
    }

    private static Wire wire(int input, boolean level, String specifier) {
        return new Wire("/pic@f0040000", input, level, specifier);
    }

    private static TreeWriter mapped(TreeWriter tree, int... map) {
        return controller(tree, "pcie", 0xf020_0000).cells("#address-cells", 3).cells("#size-cells", 2)
            .cells("#interrupt-cells", 1)
            .cells("interrupt-map", map);
    }

    @DisplayName("A property that ends one cell early is not filled up: interrupts-extended, interrupt-map")
    @Test
    void endsEarly() {
        Machine machine = TestData
            .open(mapped(board().begin("d").cells("interrupts-extended", PIC, 3, 2, 0, 0, PIC, 4, 2, 0).end(),
            0, 0, 0, 1, PIC, 40, 1, 0, 0, 0, 0, 0).end().done());
        assertEquals(List.of(wire(3, true, "3 2 0 0")), node(machine, "/d").interrupts());
        assertEquals(List.of(
            "device tree, /d: interrupts-extended ends inside the entry at cell 5; the interrupts before it count",
            "device tree, /pcie@f0200000: interrupt-map, entry at cell 9 ends outside of it; the entries before it "
                + "count"),
            machine.warnings());
        assertEquals("40 - - -", pins(machine.slots().get(0), 0));
    }

    private static String pins(Slot slot, int device) {
        StringBuilder found = new StringBuilder();
        for (int pin = 1; pin <= 4; pin++) {
            found.append(slot.interrupt(device, pin).map(wire -> wire.input() + " ").orElse("- "));
        }
        return found.toString().strip();
    }

    @DisplayName("interrupt-map: by device and pin as the mask says; without a mask both have to be equal; else as "
        + "behind a switch")
    @Test
    void interruptMap() {
        int[] map = {0, 0, 0, 1, PIC, 40, 1, 0, 0, 0, 0, 0, 2, PIC, 41, 1, 0, 0, 0, 0, 0, 3, PIC, 42, 1, 0, 0, 0, 0, 0,
            4, PIC, 43, 1, 0, 0, 0x0800, 0, 0, 2, PIC, 50, 1, 0, 0};
        Slot all = open(mapped(board(), map).cells("interrupt-map-mask", 0xf800, 0, 0, 7).end()).slots().get(0);
        assertEquals("40 41 42 43", pins(all, 0));
        assertEquals("41 50 43 40", pins(all, 1));
        assertEquals("42 43 40 41", pins(all, 2));
        assertEquals("40 41 42 43", pins(all, 4));
        assertEquals("41 50 43 40", pins(open(mapped(board(), map).end()).slots().get(0), 1));
        Slot low = open(mapped(board(), 0, 0, 0, 1, PIC, 40, 1, 0, 0, 0x8000, 0, 0, 2, PIC, 41, 1, 0, 0)
            .cells("interrupt-map-mask", 0x8000, 0, 0, 3).end()).slots().get(0);
        assertEquals("40 40 - -", pins(low, 3), "bits outside of the mask do not count");
        assertEquals("- 41 40 -", pins(low, 0x12));
        assertEquals(wire(40, true, "40 1 0 0"), low.interrupt(0, 1).orElseThrow());
    }

    @DisplayName("interrupt-map: controllers with an address of their own, entry by entry; that of the root port in "
        + "a controller counts")
    @Test
    void interruptMapWidths() {
        TreeWriter tree = board().begin("gpio").cells("phandle", 8).cells("#address-cells", 2)
            .cells("#interrupt-cells", 1)
            .cells("interrupt-controller").end().begin("wide").cells("phandle", 9).cells("#address-cells", 3)
            .cells("#interrupt-cells", 4)
            .cells("interrupt-controller").end();
        Slot slot = open(
            mapped(tree, 0, 0, 0, 1, 8, 0xa, 0xb, 6, 0, 0, 0, 2, 9, 1, 2, 3, 7, 0, 0, 0, 0, 0, 0, 3, PIC, 42, 1, 0, 0)
                .end())
            .slots().get(0);
        assertEquals(new Wire("/gpio", 6, false, "6"), slot.interrupt(0, 1).orElseThrow());
        assertEquals(new Wire("/wide", 7, false, "7 0 0 0"), slot.interrupt(0, 2).orElseThrow());
        assertEquals(wire(42, true, "42 1 0 0"), slot.interrupt(0, 3).orElseThrow());
        Slot port = open(
            controller(board(), "pcie", 0xf020_0000).begin("other").end().begin("pcie@0").cells("#interrupt-cells", 1)
            .cells("#address-cells", 3).cells("interrupt-map", 0, 0, 0, 1, PIC, 44, 1, 0, 0).end().end())
            .slots().get(0);
        assertEquals("44 - - -", pins(port, 0));
        assertEquals("- - - -", pins(open(controller(board(), "pcie", 0xf020_0000).end()).slots().get(0), 0));
    }

    @DisplayName("interrupt-map: a mask of other than 4 cells, or cells of other than PCI's numbers, and there is no "
        + "wire")
    @Test
    void interruptMapOdd() {
        int[] map = {0, 0, 0, 1, PIC, 40, 1, 0, 0};
        assertEquals("- - - -",
            pins(open(mapped(board(), map).cells("interrupt-map-mask", 0xf800, 0, 7).end()).slots().get(0), 0));
        for (int[] cells : new int[][] {{2, 1}, {3, 2}}) {
            assertEquals("- - - -", pins(open(controller(board(), "pcie", 0xf020_0000).cells("#address-cells", cells[0])
                .cells("#interrupt-cells", cells[1]).cells("interrupt-map", map).end()).slots().get(0), 0));
        }
        for (int[] odd : new int[][] {{4, 1}, {-1, 1}, {0, 5}, {0, 0}}) {
            TreeWriter tree = board().begin("odd").cells("phandle", 8).cells("#address-cells", odd[0])
                .cells("#interrupt-cells", odd[1])
                .cells("interrupt-controller").end();
            Machine machine = TestData.open(mapped(tree, 0, 0, 0, 1, 8, 1, 2, 3, 4, 5, 6, 7, 8, 9).end().done());
            assertTrue(machine.slots().get(0).interrupt(0, 1).isEmpty());
            assertEquals(1, machine.warnings().size(), machine.warnings().toString());
        }
    }

    @DisplayName("Slots: PCIe controllers, then DMA engines, by address; enabled ones that have registers")
    @Test
    void slots() {
        TreeWriter tree = board();
        controller(tree, "dma", 0xf010_1300).cells("interrupt-parent", PIC)
            .cells("interrupts", 28, 2, 0, 0, 29, 2, 0, 0).end();
        tree.begin("dma3").text("compatible", "fsl,elo3-dma").cells("reg", 0, 0xf010_0300, 0, 4).end();
        controller(tree, "pcie", 0xf020_1000).end();
        controller(tree, "pcie", 0xf020_0000).end();
        tree.begin("pci").text("device_type", "pci").text("compatible", "some,bridge")
            .cells("reg", 0, 0xf030_0000, 0, 4).end();
        tree.begin("nopci").text("compatible", "fsl,qoriq-pcie").cells("reg", 0, 0xf031_0000, 0, 4).end();
        List<Slot> slots = open(tree).slots();
        assertEquals(
            List.of("pcie0 /pcie@f0200000 true", "pcie1 /pcie@f0201000 true", "dma0 /dma3 false",
                "dma1 /dma@f0101300 false"),
            slots.stream().map(slot -> slot.name() + " " + slot.node().path() + " " + slot.pcie()).toList());
        assertEquals(List.of("0001:01:1f.7", "f0101300.dma-3.1"),
            List.of(slots.get(1).address(31, 7), slots.get(3).address(3, 1)));
        assertEquals(wire(28, true, "28 2 0 0"), slots.get(3).interrupt(0, 1).orElseThrow());
        assertTrue(slots.get(2).interrupt(0, 1).isEmpty());
        assertEquals(List.of(0, 1, 2, 3), slots.stream().map(slot -> slot.requester(31, 7).group()).toList());
        for (int[] place : new int[][] {{-1, 0}, {32, 0}, {0, -1}, {0, 8}}) {
            assertErrno(Errno.EINVAL, () -> slots.get(0).requester(place[0], place[1]));
        }
    }

    @DisplayName("LIODNs up to 0xffff, by the tree or the user; who has the same one is in the same group")
    @Test
    void liodns() {
        TreeWriter tree = board();
        controller(tree, "pcie", 0xf020_0000).cells("fsl,liodn", 0xffff).end();
        controller(tree, "pcie", 0xf020_1000).cells("fsl,liodn", 0).end();
        controller(tree, "dma", 0xf010_0300).cells("fsl,liodn", 0xffff).end();
        byte[] content = tree.done();
        List<Slot> slots = TestData.open(content).slots();
        assertEquals(List.of(0xffff, 0, 0xffff), slots.stream().map(slot -> slot.requester(0, 0).id()).toList());
        assertEquals(List.of(0, 1, 0), slots.stream().map(slot -> slot.requester(0, 0).group()).toList());
        assertEquals(0xffff,
            TestData.open(content, Map.of("liodn.pcie1", "65535")).slots().get(1).requester(0, 0).id());
        assertEquals(0, TestData.open(content, Map.of("liodn.pcie0", "0")).slots().get(0).requester(0, 0).id());
        for (String wrong : List.of("65536", "-1", "x", "")) {
            assertErrno(Errno.EINVAL, () -> TestData.open(content, Map.of("liodn.pcie0", wrong)));
        }
        assertEquals("EINVAL: unknown option liodn.pcie2; there are memory and [liodn.pcie0, liodn.pcie1, liodn.dma0]",
            assertErrno(Errno.EINVAL, () -> TestData.open(content, Map.of("liodn.pcie2", "1"))).getMessage());
        assertErrno(Errno.EINVAL,
            () -> TestData.open(controller(board(), "pcie", 0xf020_0000).cells("fsl,liodn", -1).end().done()));
    }

    @DisplayName("Without a PAMU there are slots, and whoever asks for a requester is told which board it is")
    @Test
    void noPamu() {
        TreeWriter tree = new TreeWriter().text("model", "some,board");
        Slot slot = open(controller(tree, "pcie", 0xf020_0000).end()).slots().get(0);
        assertEquals("ENXIO: this board has no IOMMU: no enabled node of some,board is compatible with fsl,pamu",
            assertErrno(Errno.ENXIO, () -> slot.requester(0, 0)).getMessage());
        assertErrno(Errno.EINVAL, () -> slot.requester(32, 0));
        ErrnoException e = assertErrno(Errno.ENXIO,
            () -> TestData.open(new TreeWriter().text("model", "some,board\0rest")
            .memory(0, 0, 0x0010_0000, 0).done()));
        assertTrue(e.getMessage().contains("node of some,board is"), e.getMessage());
    }

    @DisplayName("A machine is called as the tree's model says, else as its file; cores are one at least")
    @Test
    void model() {
        Machine machine = open(board());
        assertEquals("test.dtb", machine.model());
        assertEquals(1, machine.cpus().size());
        assertEquals("some,board", open(new TreeWriter().text("model", "some,board")).model());
        TreeWriter tree = board().begin("cpus").cells("#address-cells", 1).cells("#size-cells", 0);
        tree.begin("cpu@0").text("device_type", "cpu").end().begin("cpu@1").text("device_type", "cpu")
            .cells("reg", 1, 2).end();
        assertEquals(3, open(tree.end()).cpus().size());
        assertEquals(32,
            open(board().begin("cpu").text("device_type", "cpu").cells("reg", new int[32]).end()).cpus().size());
        assertEquals("flattened device tree (.dtb)", new FdtMachineSource().reads());
    }
}
