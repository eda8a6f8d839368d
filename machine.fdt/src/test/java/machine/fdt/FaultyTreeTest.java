// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Node.Range;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * Trees with faults as firmware leaves them: what Linux goes on with is gone on with, and warned of; what follows from
 * it is checked.
 */
class FaultyTreeTest {
    private static final int PIC = 7;

    private static TreeWriter memory() {
        return new TreeWriter().memory(0, 0, 0, 0x1000_0000);
    }

    private static TreeWriter pic(TreeWriter tree) {
        return tree.begin("pic@f0040000").text("compatible", "fsl,mpic").cells("reg", 0, 0xf004_0000, 0, 0x40000)
            .cells("phandle", PIC)
            .cells("#interrupt-cells", 4).cells("interrupt-controller").end();
    }

    /** Memory, an interrupt controller, and a node of two PAMUs that is still open. */
    private static TreeWriter openPamu() {
        return pic(memory()).begin("iommu@f0020000").text("compatible", "fsl,pamu")
            .cells("reg", 0, 0xf002_0000, 0, 0x2000)
            .cells("interrupt-parent", PIC).cells("interrupts", 24, 2, 0, 0);
    }

    private static TreeWriter board() {
        return openPamu().end();
    }

    private static TreeWriter controller(TreeWriter tree, String kind, int address) {
        tree.begin(kind + "@" + Integer.toHexString(address));
        return (kind.equals("dma") ? tree.text("compatible", "fsl,eloplus-dma")
            : tree.text("device_type", "pci").text("compatible", "fsl,qoriq-pcie"))
            .cells("reg", 0, address, 0, 0x1000);
    }

    /** @param warnings each without {@code device tree, } */
    private static Machine warned(TreeWriter tree, String... warnings) {
        Machine machine = TestData.open(tree.done());
        assertEquals(Arrays.stream(warnings).map(line -> "device tree, " + line).toList(), machine.warnings());
        return machine;
    }

    private static ErrnoException refused(TreeWriter tree, Map<String, String> options, String says) {
        byte[] content = tree.done();
        ErrnoException e = assertErrno(Errno.EINVAL, () -> TestData.open(content, options));
        assertTrue(e.getMessage().contains(says), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
        return e;
    }

    /** An option that an error suggests ends it. */
    private static Machine asSuggested(TreeWriter tree, ErrnoException e) {
        Matcher say = Pattern.compile(".*; say ([a-z0-9.]+)=(\\S+)").matcher(e.getMessage());
        assertTrue(say.matches(), e.getMessage());
        return TestData.open(tree.done(), Map.of(say.group(1), say.group(2)));
    }

    private static Node node(Machine machine, String path) {
        return machine.nodes().stream().filter(node -> node.path().equals(path)).findFirst().orElseThrow();
    }

    private static Wire wire(int input, boolean level, String specifier) {
        return new Wire("/pic@f0040000", input, level, specifier);
    }

    private static List<Integer> liodns(Machine machine) {
        return machine.slots().stream().map(slot -> slot.requester(0, 0).id()).toList();
    }

    @DisplayName("A tree without faults has no warnings")
    @Test
    void clean() {
        assertEquals(2, node(warned(board()), "/iommu@f0020000").children().size());
        assertEquals(List.of(), TestData.open(TestData.own()).warnings());
    }

    @DisplayName("interrupts with cells too few or too many: whole specifiers count, and the node is named")
    @Test
    void interrupts() {
        Machine machine = warned(board().begin("phy").cells("interrupt-parent", PIC).cells("interrupts", 10, 1).end()
                .begin("d").cells("interrupt-parent", PIC).cells("interrupts", 5, 2, 0, 0, 6).end(),
            "/phy: interrupts has 2 cells, no multiple of 4; whole entries count",
            "/d: interrupts has 5 cells, no multiple of 4; whole entries count");
        assertEquals(List.of(), node(machine, "/phy").interrupts());
        assertEquals(List.of(wire(5, true, "5 2 0 0")), node(machine, "/d").interrupts());
    }

    @DisplayName("Interrupt parents: the parent node where no property says so; one that is no node, has no cells, "
        + "or is disabled: no wire")
    @Test
    void interruptParents() {
        Machine machine = warned(board().begin("gpio").cells("#interrupt-cells", 1).cells("interrupt-controller")
                .begin("key").cells("interrupts", 3).end().end()
            .begin("lost").cells("interrupt-parent", 0x99).cells("interrupts", 1, 0, 0, 0).end()
            .begin("off").text("status", "disabled").cells("phandle", 9).cells("#interrupt-cells", 1)
            .cells("interrupt-controller").end()
            .begin("d").cells("interrupt-parent", 9).cells("interrupts", 1).end()
            .begin("flat").cells("phandle", 10).cells("#interrupt-cells", 0).cells("interrupt-controller").end()
            .begin("e").cells("interrupt-parent", 10).cells("interrupts", 1).end(),
            "/lost: interrupt-parent leads to no node; interrupts that would go there are left out",
            "/e: its interrupt controller /flat has no #interrupt-cells; the interrupts are left out");
        assertEquals(List.of(new Wire("/gpio", 3, false, "3")), node(machine, "/gpio/key").interrupts());
        for (String path : List.of("/lost", "/d", "/e")) {
            assertEquals(List.of(), node(machine, path).interrupts());
        }
    }

    @DisplayName("interrupts-extended: several controllers, entries that are left empty; a broken entry ends the list")
    @Test
    void interruptsExtended() {
        Machine machine = warned(
            board().begin("gpio").cells("phandle", 8).cells("#interrupt-cells", 1).cells("interrupt-controller").end()
                .begin("d").cells("interrupts-extended", PIC, 5, 2, 0, 0, 0, 8, 9, PIC, 6, 0, 0, 0).end()
                .begin("lost").cells("interrupts-extended", 8, 1, 0x99, 4, 8, 2).end()
                .begin("short").cells("interrupts-extended", 8, 1, PIC, 4).end(),
            "/lost: interrupts-extended, cell 2: 0x99 leads to no interrupt controller; the interrupts before it count",
            "/short: interrupts-extended ends inside the entry at cell 2; the interrupts before it count");
        assertEquals(List.of(wire(5, true, "5 2 0 0"), new Wire("/gpio", 9, false, "9"), wire(6, false, "6 0 0 0")),
            node(machine, "/d").interrupts());
        assertEquals(List.of(new Wire("/gpio", 1, false, "1")), node(machine, "/lost").interrupts());
        assertEquals(List.of(new Wire("/gpio", 1, false, "1")), node(machine, "/short").interrupts());
    }

    @DisplayName("interrupt-map: what is broken is said when the machine is made, not when a device is plugged in")
    @Test
    void interruptMap() {
        TreeWriter lost = controller(board(), "pcie", 0xf020_0000).cells("#address-cells", 3).cells("#size-cells", 2)
            .cells("#interrupt-cells", 1)
            .cells("interrupt-map", 0, 0, 0, 1, PIC, 40, 1, 0, 0, 0, 0, 0, 2, 0x99, 41, 1, 0, 0).end();
        Machine machine = warned(lost,
            "/pcie@f0200000: interrupt-map, entry at cell 9 leads to no interrupt controller (0x99); the entries "
                + "before it count");
        assertEquals(wire(40, true, "40 1 0 0"), machine.slots().get(0).interrupt(0, 1).orElseThrow());
        assertTrue(machine.slots().get(0).interrupt(0, 2).isEmpty());
        TreeWriter ends = controller(board(), "pcie", 0xf020_0000).cells("#address-cells", 3).cells("#size-cells", 2)
            .cells("#interrupt-cells", 1)
            .cells("interrupt-map", 0, 0, 0, 1, PIC, 40, 1).end();
        assertTrue(warned(ends,
            "/pcie@f0200000: interrupt-map, entry at cell 0 ends outside of it; the entries before it count")
            .slots().get(0).interrupt(0, 1).isEmpty());
    }

    @DisplayName("reg and ranges: whole entries count; what ends above 2^52 is left out")
    @Test
    void registers() {
        Machine machine = warned(board().begin("d").cells("reg", 0, 0xf100_0000, 0, 0x1000, 0).end()
                .begin("bus").cells("#address-cells", 1).cells("#size-cells", 1)
            .cells("ranges", 0, 0, 0xf200_0000, 0x1000, 7)
                .begin("e").cells("reg", 0x10, 0x10).end().end()
                .begin("far").cells("reg", 0x7fff_ffff, 0, 0, 0x1000, 0, 0xf300_0000, 0, 0x1000).end(),
            "/d: reg has 5 cells, no multiple of 4; whole entries count",
            "/bus: ranges has 5 cells, no multiple of 4; whole entries count",
            "/far: reg 0x7fffffff00000000+0x1000 ends above 2^52; it is left out");
        assertEquals(List.of(new Range(0xf100_0000L, 0x1000)), node(machine, "/d").registers());
        assertEquals(List.of(new Range(0xf200_0010L, 0x10)), node(machine, "/bus/e").registers());
        assertEquals(List.of(new Range(0xf300_0000L, 0x1000)), node(machine, "/far").registers());
    }

    @DisplayName("ranges whose own addresses do not begin at 0; a node that sticks out of them is nowhere")
    @Test
    void childBase() {
        Machine machine = warned(board().begin("bus").cells("#address-cells", 1).cells("#size-cells", 1)
            .cells("ranges", 0x8000_0000, 0, 0xe000_0000, 0x10_0000, 0x9000_0000, 0, 0xe800_0000, 0x1000)
            .begin("d").cells("reg", 0x8000_1000, 0x100, 0x9000_0f00, 0x100).end()
            .begin("e").cells("reg", 0x800f_ff80, 0x100, 0x7fff_fff0, 0x10, 0x1000, 0x100).end().end());
        assertEquals(List.of(new Range(0xe000_1000L, 0x100), new Range(0xe800_0f00L, 0x100)),
            node(machine, "/bus/d").registers());
        assertEquals(List.of(), node(machine, "/bus/e").registers());
    }

    @DisplayName("Two children with one name are both there, the second under another name; of two properties the "
        + "first counts")
    @Test
    void namesTwice() {
        Machine machine = TestData
            .open(board().begin("d").text("label", "a").text("label", "b").end().begin("d").text("label", "c")
            .begin("e").end().text("label", "d").end().begin("d").end().done());
        assertEquals("a", node(machine, "/d").text("label"));
        assertEquals("c", node(machine, "/d#1").text("label"));
        assertEquals("/d#1/e", node(machine, "/d#1").children().get(0).path());
        node(machine, "/d#2");
        assertEquals(List.of("node 'd' has the property 'label' twice; the first counts",
            "property 'label' of node 'd' comes after its children; it does not count",
            "a second node 'd' in ''; it is called d#1", "a second node 'd' in ''; it is called d#2"),
            machine.warnings().stream().map(line -> line.replaceAll("device tree, offset 0x[0-9a-f]+: ", "")).toList());
    }

    @DisplayName("Two nodes with one phandle: the first is meant")
    @Test
    void phandleTwice() {
        Machine machine = warned(board().begin("other").cells("phandle", PIC).cells("#interrupt-cells", 1)
            .cells("interrupt-controller").end().begin("d").cells("interrupt-parent", PIC)
            .cells("interrupts", 5, 2, 0, 0).end(), "/other: phandle 0x7 is that of /pic@f0040000, which counts");
        assertEquals(List.of(wire(5, true, "5 2 0 0")), node(machine, "/d").interrupts());
    }

    @DisplayName("Two nodes for one piece of hardware are one, whatever refers to the second; one without registers "
        + "is none")
    @Test
    void hardwareTwice() {
        TreeWriter tree = pic(board().begin("soc").cells("#size-cells", 2));
        tree.end().begin("again").text("compatible", "fsl,mpic").cells("reg", 0, 0xf004_0000, 0, 0x40000)
            .cells("phandle", 8)
            .cells("#interrupt-cells", 4).cells("interrupt-controller").end();
        for (String name : List.of("msi@1", "msi@2")) {
            tree.begin(name).text("compatible", "fsl,mpic-msi").cells("reg", 0, 0xf004_1600, 0, 0x200)
                .cells("interrupt-parent", 8)
                .cells("interrupts", 0xe0, 0, 0, 0).end();
        }
        tree.begin("msi@3").text("compatible", "fsl,mpic-msi").end();
        controller(tree, "pcie", 0xf020_0000).end();
        controller(tree, "pcie", 0xf020_0000).end();
        controller(tree, "dma", 0xf010_0300).end();
        tree.begin("dma@0").text("compatible", "fsl,elo3-dma").begin("channel").end().end();
        Machine machine = TestData.open(tree.done());
        assertEquals(List.of("a second node 'pcie@f0200000' in ''; it is called pcie@f0200000#1",
            "/soc/pic@f0040000: phandle 0x7 is that of /pic@f0040000, which counts",
            "/soc/pic@f0040000: no registers that every bus above passes on; the node is left out",
            "/again: the registers at 0xf0040000 are those of /pic@f0040000; the node is left out",
            "/msi@2: the registers at 0xf0041600 are those of /msi@1; the node is left out",
            "/msi@3: no registers that every bus above passes on; the node is left out",
            "/pcie@f0200000#1: the registers at 0xf0200000 are those of /pcie@f0200000; the node is left out",
            "/dma@0: no registers that every bus above passes on; the node is left out"),
            machine.warnings().stream().map(line -> line.replaceAll("device tree, (offset 0x[0-9a-f]+: )?", ""))
                .toList());
        assertEquals(List.of(wire(0xe0, false, "224 0 0 0")), node(machine, "/msi@1").interrupts());
        assertEquals(2, machine.slots().size());
        List<String> gone = List.of("/again", "/msi@2", "/msi@3", "/dma@0", "/dma@0/channel");
        assertTrue(machine.nodes().stream().noneMatch(node -> gone.contains(node.path())));
    }

    @DisplayName("An interrupt controller, or a PAMU, that cannot be reached is refused: where it is is in doubt")
    @Test
    void unreachable() {
        refused(
            memory().pamu().begin("bus").cells("#address-cells", 2).cells("#size-cells", 2).begin("pic")
                .text("compatible", "fsl,mpic")
            .cells("reg", 0, 0xf104_0000, 0, 0x40000).end().end(), Map.of(),
            "/bus/pic: no registers that every bus above passes on");
        refused(memory().begin("iommu").text("compatible", "fsl,pamu").end(), Map.of(),
            "/iommu: no registers that every bus above passes on");
        refused(memory().begin("iommu").text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x800).end(),
            Map.of(), "0x800 bytes");
    }

    @DisplayName("PAMUs: one for each 4 KiB of registers, whichever children there are and whether they are enabled; "
        + "a second node is none")
    @Test
    void pamus() {
        Machine machine = warned(openPamu().cells("#address-cells", 1).cells("#size-cells", 1)
                .begin("pamu@1000").cells("reg", 0x1000, 0x1000).end().begin("twin").cells("reg", 0x1000, 0x1000).end()
                .begin("odd").cells("reg", 0x800, 0x1000).end()
                .begin("out").cells("reg", 0x2000, 0x1000).end().end()
                .begin("more").text("compatible", "fsl,pamu").cells("reg", 0, 0xf012_0000, 0, 0x2000).end(),
            "/more: a second node of PAMUs; those of the first are the board's; the node is left out",
            "/iommu@f0020000/twin: there is an instance at offset 0x1000 already; the node is left out",
            "/iommu@f0020000/odd: no instance of 0x2000 bytes of registers; the node is left out",
            "/iommu@f0020000/out: no instance of 0x2000 bytes of registers; the node is left out",
            "/iommu@f0020000: no instance at offset 0x0 of 0x2000 bytes of registers; there is one all the same");
        assertEquals(List.of("/iommu@f0020000/pamu@0", "/iommu@f0020000/pamu@1000"),
            node(machine, "/iommu@f0020000").children().stream().map(Node::path).toList());
        assertEquals(List.of(new Range(0xf002_1000L, 0x1000)), node(machine, "/iommu@f0020000/pamu@1000").registers());
        Machine disabled = warned(
            openPamu().cells("#address-cells", 1).cells("#size-cells", 1).begin("first").cells("reg", 0, 0x1000)
            .text("status", "disabled").end().begin("second").cells("reg", 0x1000, 0x1000).end().end());
        assertEquals(List.of("first", "second"),
            node(disabled, "/iommu@f0020000").children().stream().map(Node::name).toList());
        assertEquals(List.of(new Range(0xf002_0000L, 0x1000)), node(disabled, "/iommu@f0020000/first").registers());
    }

    @DisplayName("A PAMU whose interrupt leads nowhere protects, and is warned of")
    @Test
    void silentPamu() {
        Machine machine = warned(memory().pamu(),
            "/iommu@f0020000: no interrupt of its leads to an interrupt controller; what it refuses is not announced");
        assertEquals(2, node(machine, "/iommu@f0020000").children().size());
    }

    @DisplayName("fsl,iommu-parent: the instance, or the first if it names the whole node; what is no PAMU is warned "
        + "of")
    @Test
    void iommuParent() {
        TreeWriter tree = openPamu().cells("phandle", 20).cells("#address-cells", 1).cells("#size-cells", 1)
            .begin("pamu@0").cells("reg", 0, 0x1000).end().begin("pamu@1000").cells("reg", 0x1000, 0x1000)
            .cells("phandle", 21).end().end();
        controller(tree, "pcie", 0xf020_0000).cells("fsl,iommu-parent", 21).end();
        controller(tree, "pcie", 0xf020_1000).cells("fsl,iommu-parent", 20).end();
        controller(tree, "pcie", 0xf020_2000).cells("fsl,iommu-parent", PIC).end();
        controller(tree, "pcie", 0xf020_3000).cells("fsl,iommu-parent", 0x99).end();
        String first = "/iommu@f0020000/pamu@0";
        Machine machine = warned(tree,
            "/pcie@f0202000: fsl,iommu-parent leads to no PAMU; it is taken to be behind " + first,
            "/pcie@f0203000: fsl,iommu-parent leads to no PAMU; it is taken to be behind " + first);
        assertEquals(List.of("/iommu@f0020000/pamu@1000", first, first, first),
            machine.slots().stream().map(slot -> slot.requester(0, 0).unit()).toList());
    }

    @DisplayName("LIODNs: a controller keeps its own when others are disabled, or not in the tree at all")
    @Test
    void liodnByAddress() {
        TreeWriter unknown = board();
        controller(unknown, "pcie", 0xf020_0000).text("status", "disabled").end();
        controller(unknown, "pcie", 0xf020_1000).end();
        controller(unknown, "dma", 0xf010_0300).text("status", "disabled").end();
        controller(unknown, "dma", 0xf010_1300).end();
        assertEquals(List.of(195, 196), liodns(warned(unknown)));

        TreeWriter t1040 = board().begin("guts").text("compatible", "fsl,t1040-device-config").end();
        controller(t1040, "pcie", 0xfe26_0000).end();
        controller(t1040, "pcie", 0xfe25_0000).end();
        controller(t1040, "dma", 0xfe10_1300).end();
        Machine machine = warned(t1040);
        assertEquals(List.of(228, 308, 227), liodns(machine));
        assertEquals(List.of("pcie0", "pcie1", "dma0"), machine.slots().stream().map(slot -> slot.name()).toList());
    }

    @DisplayName("LIODNs: a number that is made up is nobody else's; one too large is refused with one that is taken")
    @Test
    void liodns() {
        TreeWriter tree = board();
        controller(tree, "pcie", 0xf020_0000).end();
        controller(tree, "pcie", 0xf020_1000).cells("fsl,liodn", 193).end();
        controller(tree, "dma", 0xf010_0300).cells("fsl,liodn", 195, 200).end();
        assertEquals(List.of(197, 193, 195), liodns(warned(tree)));

        TreeWriter large = controller(board(), "pcie", 0xf020_0000).cells("fsl,liodn", 0x10000).end();
        ErrnoException e = refused(large, Map.of(), "fsl,liodn 0x10000 is above 0xffff");
        assertEquals(List.of(193),
            liodns(TestData.open(controller(board(), "pcie", 0xf020_0000).cells("fsl,liodn", 0x10000).end().done(),
            Map.of("liodn.pcie0", e.getMessage().replaceAll(".*=", "")))));
    }

    @DisplayName("linux,usable-memory counts before reg")
    @Test
    void usableMemory() {
        Machine machine = warned(
            new TreeWriter().begin("memory").text("device_type", "memory").cells("reg", 0, 0, 0, 0x4000_0000)
            .cells("linux,usable-memory", 0, 0x1000_0000, 0, 0x1000_0000, 0, 0x3000_0000, 0, 0x1000).end()
                .begin("iommu@f0020000")
            .text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x1000).cells("interrupt-parent", PIC)
            .cells("interrupts", 24, 2, 0, 0).end().begin("pic").cells("phandle", PIC).cells("#interrupt-cells", 4)
            .cells("interrupt-controller").end());
        assertEquals(0x1000_1000, machine.memory().available());
        machine.memory().allocateAt(0x3000_0000, 0x1000).close();
    }

    private static TreeWriter without(int... memory) {
        return pic(new TreeWriter().memory(memory)).begin("iommu@f0020000").text("compatible", "fsl,pamu")
            .cells("reg", 0, 0xf002_0000, 0, 0x2000).cells("interrupt-parent", PIC).cells("interrupts", 24, 2, 0, 0)
            .end();
    }

    @DisplayName("Memory of the tree: whole pages, once, clear of registers")
    @Test
    void memoryOfTheTree() {
        Machine machine = TestData
            .open(without(0, 0x0200_0800, 0, 0x2000, 0, 0x0300_0000, 0, 0x2000, 0, 0x0300_1000, 0, 0x2000,
            0, 0x0400_0000, 0, 0x3000, 0, 0x0500_0100, 0, 0x800).begin("d").cells("reg", 0, 0x0400_1100, 0, 0x100)
                .end().done());
        assertEquals(
            List.of("device tree, /memory: memory 0x2000800+0x2000: no whole 4 KiB pages; 0x2001000+0x1000 counts",
            "device tree, /memory: memory 0x3001000+0x2000 overlaps 0x3000000+0x2000; what both have counts once",
            "device tree, /memory: memory 0x5000100+0x800: no whole 4 KiB pages; 0x5001000+0x0 counts",
            "device tree: memory 0x4000000+0x3000 lies over 0x4001100+0x100 of /d; there is no memory"),
            machine.warnings());
        assertEquals(0x1000 + 0x3000 + 0x2000, machine.memory().available());
        machine.memory().allocateAt(0x0300_0000, 0x3000).close();
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(0x0400_1000, 0x1000));
    }

    @DisplayName("Memory that nobody mentions: 8 GiB at 0 clear of registers, in pieces of 64 MiB or more")
    @Test
    void memoryOfNobody() {
        Machine machine = warned(
            without(0, 0, 0, 0).begin("low").cells("reg", 0, 0x0100_0000, 0, 0x100, 0, 0x8000_0000, 0, 0x1000).end());
        machine.memory().allocateAt(0x0100_1000L, 0x8000_0000L - 0x0100_1000L).close();
        machine.memory().allocateAt(0x8000_1000L, 0xf002_0000L - 0x8000_1000L).close();
        machine.memory().allocateAt(0xf008_0000L, (8L << 30) - 0xf008_0000L).close();
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(0x0100_0000, 0x1000));
        assertErrno(Errno.ENOMEM, () -> machine.memory().allocateAt(0xf002_2000L, 0x1000));

        TreeWriter covered = without(0, 0, 0, 0).begin("d").cells("reg", 0, 0, 2, 0).end();
        ErrnoException e = refused(covered, Map.of(),
            "below 0x200000000 there are registers everywhere; say memory=0x200000000+");
        assertEquals(0xe_0000_0000L,
            asSuggested(without(0, 0, 0, 0).begin("d").cells("reg", 0, 0, 2, 0).end(), e).memory().available());
    }

    @DisplayName("Memory of the user is refused if it is over registers, no pages, or twice; what is suggested "
        + "instead is taken")
    @Test
    void memoryOfTheUser() {
        for (String memory : List.of("0xf0000000+0x10000000", "0x1000800+0x1000000",
            "0x1000000+0x200000,0x1100000+0x200000")) {
            asSuggested(board(), refused(board(), Map.of("memory", memory), "memory 0x"));
        }
        for (String memory : List.of("0xf0040000+0x1000", "0x2000100+0x800")) {
            assertTrue(!refused(board(), Map.of("memory", memory), "memory 0x").getMessage().contains("say"), memory);
        }
    }

    @DisplayName("Without an IOMMU that is what is said, whatever else is wrong")
    @Test
    void noIommu() {
        for (TreeWriter tree : List.of(new TreeWriter().memory(0, 0, 0x0010_0000, 0),
                memory().begin("pic").text("compatible", "fsl,mpic").end(),
                memory().begin("iommu").text("compatible", "fsl,pamu").text("status", "disabled").end()
                    .begin("bus").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges", new int[4 * 2000])
                    .begin("d").cells("reg", 0, 1).end().end())) {
            byte[] content = tree.done();
            ErrnoException e = assertErrno(Errno.ENXIO, () -> TestData.open(content));
            assertEquals(
                "ENXIO: this board has no IOMMU: no enabled node of the device tree is compatible with fsl,pamu",
                e.getMessage());
        }
    }

    @DisplayName("Cores that wait for the boot loader's loop to let them go are cores; more than an MPIC serves are "
        + "not")
    @Test
    void cores() {
        TreeWriter tree = board().begin("cpus").cells("#address-cells", 1).cells("#size-cells", 0);
        tree.begin("cpu@0").text("device_type", "cpu").cells("reg", 0, 1).end();
        tree.begin("cpu@1").text("device_type", "cpu").cells("reg", 2, 3).text("status", "disabled")
            .text("enable-method", "spin-table").end();
        tree.begin("cpu@2").text("device_type", "cpu").cells("reg", 4).text("status", "disabled").end();
        assertEquals(4, warned(tree.end()).cpus().size());
        Machine many = TestData
            .open(board().begin("cpu").text("device_type", "cpu").cells("reg", new int[40]).end().done());
        assertEquals(32, many.cpus().size());
        assertTrue(many.warnings().contains("device tree: 40 cores; the first 32 count"), many.warnings().toString());
    }

    @DisplayName("Data behind the root is not read")
    @Test
    void end() {
        byte[] content = board().done();
        ByteBuffer bytes = ByteBuffer.wrap(content);
        int end = bytes.getInt(8) + bytes.getInt(36) - 4;
        assertEquals(9, bytes.getInt(end));
        bytes.putInt(end, 0x1234);
        assertEquals(List.of(
            String.format("device tree, offset 0x%x: token 0x1234 where the tree must end; what follows is not read",
            end)), TestData.open(content).warnings());
        bytes.putInt(36, bytes.getInt(36) - 4);
        assertEquals(1, TestData.open(content).warnings().size());
    }
}
