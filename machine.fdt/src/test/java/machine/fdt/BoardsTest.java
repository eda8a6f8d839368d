// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Slot;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class BoardsTest {
    @DisplayName("Boards: PAMUs, MSI banks, PCIe controllers and their LIODNs, cores as the summary tables have "
        + "them; what is warned of")
    @ParameterizedTest
    @CsvSource({
        "p4080ds.dtb, fsl P4080DS, 5, fsl mpic-msi, 3, 3, 193 194 195, 8, ",
        "p2041rdb.dtb, fsl P2041RDB, 4, fsl mpic-msi, 3, 3, 193 194 195, 4, ",
        "t1042rdb.dtb, fsl T1042RDB, 1, fsl mpic-msi, 3, 4, 148 228 308 388, 4, ",
        "t4240qds.dtb, fsl T4240QDS, 6, fsl mpic-msi-v4.3, 4, 4, 148 228 308 388, 24, ",
        "t1040d4rdb.dtb, fsl T1040D4RDB, 1, fsl mpic-msi, 3, 4, 148 228 308 388, 4, ",
        "t1040d4rdb-pcie0-disabled.dtb, fsl T1040D4RDB, 1, fsl mpic-msi, 3, 3, 228 308 388, 4, ",
        "t1040d4rdb-phy-2cells.dtb, fsl T1040D4RDB, 1, fsl mpic-msi, 3, 4, 148 228 308 388, 4, "
            + "/soc@ffe000000/fman@400000/mdio@e1000/ethernet-phy@0",
        "kmcent2.dtb, keymile kmcent2, 1, fsl mpic-msi, 3, 1, 148, 4, ",
        "b4420qds.dtb, fsl B4420QDS, 4, fsl mpic-msi-v4.3, 4, 1, 148, 4, "})
    void summary(String file, String model, int pamus, String msi, int banks, int pcie, String liodns, int cpus,
        String warned) {
        Machine machine = TestData.open(TestData.real(file));
        assertEquals(model.replace(' ', ','), machine.model());
        Node pamu = only(machine, "fsl,pamu");
        assertEquals(pamus, pamu.children().size());
        for (int i = 0; i < pamus; i++) {
            assertEquals(List.of(new Node.Range(0xffe020000L + i * 0x1000L, 0x1000)),
                pamu.children().get(i).registers());
        }
        assertEquals("24 2 0 0", pamu.interrupts().get(0).specifier());
        assertEquals(new Wire("/soc@ffe000000/pic@40000", 24, true, "24 2 0 0"), pamu.interrupts().get(0));
        List<Node> msiNodes = all(machine, msi.replace(' ', ','));
        assertEquals(banks, msiNodes.size());
        for (int i = 0; i < banks; i++) {
            assertEquals(0xffe041600L + i * 0x200L, msiNodes.get(i).registers().get(0).physical());
            long doorbell = 0xffe044140L + i * 0x1000L + (banks == 4 ? 8 : 0);
            assertEquals(doorbell, msiNodes.get(i).registers().get(1).physical());
            assertEquals(0xe0 + 8 * i, msiNodes.get(i).interrupts().get(0).input());
            assertEquals(banks == 4 ? 16 : 8, msiNodes.get(i).interrupts().size());
        }
        List<Slot> slots = machine.slots().stream().filter(Slot::pcie).toList();
        assertEquals(pcie, slots.size());
        assertEquals(liodns, String.join(" ", slots.stream().map(slot -> "" + slot.requester(0, 0).id()).toList()));
        assertEquals(cpus, machine.cpus().size());
        assertEquals(new Node.Range(0xffe040000L, 0x40000), only(machine, "fsl,mpic").registers().get(0));
        assertEquals(8L << 30, machine.memory().available() + (16 << 20));
        assertEquals(warned == null ? "" : warned,
            machine.warnings().stream().map(line -> line.replaceAll("device tree, (\\S+): .*", "$1"))
            .collect(Collectors.joining(" ")));
    }

    @DisplayName("Each tree beside the project gives a machine, or no IOMMU; in one line")
    @Test
    void all() throws IOException {
        for (Path file : TestData.allReal()) {
            Machine machine = TestData.open(Files.readAllBytes(file));
            machine.warnings()
                .forEach(line -> assertTrue(line.startsWith("device tree, /") && line.lines().count() == 1,
                file + ": " + line));
            boolean iommu = machine.nodes().stream().anyMatch(node -> node.compatibleWith("fsl,pamu"));
            for (Slot slot : machine.slots()) {
                if (iommu) {
                    assertTrue(slot.covers(0, 0), file + " " + slot.name());
                } else {
                    assertErrno(Errno.ENXIO, () -> slot.requester(0, 0));
                }
                slot.interrupt(31, 4);
            }
        }
    }

    @DisplayName("Boards: requesters sit behind the PAMU the tree names, or behind the first where it names none "
        + "(T4240)")
    @Test
    void unitOfRequester() {
        String first = "/soc@ffe000000/iommu@20000/pamu@0";
        assertEquals(first, TestData.open(TestData.own()).slots().get(0).requester(3, 1).unit());
        assertEquals(first, TestData.open(TestData.real("t4240qds.dtb")).slots().get(0).requester(0, 0).unit());
    }

    @DisplayName("Boards: devices behind one controller share its LIODN, hence its group")
    @Test
    void groups() {
        List<Slot> slots = TestData.open(TestData.own()).slots();
        assertEquals(List.of("pcie0", "pcie1", "pcie2", "dma0", "dma1"), slots.stream().map(Slot::name).toList());
        assertEquals(slots.get(0).requester(0, 0), slots.get(0).requester(5, 7));
        assertEquals(List.of(0, 1, 2, 3, 4), slots.stream().map(slot -> slot.requester(0, 0).group()).toList());
        assertEquals("0001:01:03.2", slots.get(1).address(3, 2));
        assertEquals("ffe100300.dma-0.0", slots.get(3).address(0, 0));
        assertErrno(Errno.EINVAL, () -> slots.get(0).requester(32, 0));
    }

    @DisplayName("interrupt-map: INTA..INTD of the first device, and of devices behind a switch, turned by their "
        + "number")
    @Test
    void interruptMap() {
        Slot own = TestData.open(TestData.own()).slots().get(0);
        assertEquals(List.of(40, 1, 2, 3),
            List.of(1, 2, 3, 4).stream().map(pin -> own.interrupt(0, pin).orElseThrow().input()).toList());
        assertEquals(1, own.interrupt(1, 1).orElseThrow().input());
        Slot real = TestData.open(TestData.real("p4080ds.dtb")).slots().get(0);
        assertEquals(List.of(40, 1, 2, 3),
            List.of(1, 2, 3, 4).stream().map(pin -> real.interrupt(0, pin).orElseThrow().input()).toList());
        assertTrue(real.interrupt(0, 1).orElseThrow().level());
    }

    @DisplayName("A board without PAMU is a machine, but its devices have no requester id: ENXIO says so")
    @ParameterizedTest
    @ValueSource(strings = {"p2020ds.dtb", "p1020rdb-pc_36b.dtb", "tqm8548.dtb"})
    void noPamu(String file) {
        Machine machine = TestData.open(TestData.real(file));
        ErrnoException e = assertErrno(Errno.ENXIO, () -> machine.slots().get(0).requester(0, 0));
        assertTrue(e.getMessage().contains("no IOMMU"), e.getMessage());
    }

    @DisplayName("Options override what the tree and the tables say; unknown ones are refused by name")
    @Test
    void options() {
        Machine machine = TestData.open(TestData.own(),
            Map.of("memory", "0x0+0x40000000, 0x100000000+0x40000000", "liodn.pcie1", "0xc1"));
        assertEquals(0x80000000L - (16 << 20), machine.memory().available());
        assertEquals(machine.slots().get(0).requester(0, 0).group(), machine.slots().get(1).requester(0, 0).group());
        assertEquals(0x100000000L,
            machine.memory().allocate(0x40000000L, 0x40000000L, DmaMemory.Layout.CONTIGUOUS).physical(0));
        for (Map<String, String> wrong : List.of(Map.of("liodn.pcie9", "1"), Map.of("memory", "12"),
            Map.of("memory", "x+1"),
                Map.of("memory", "0xffe040000+0x1000"), Map.of("memory", "0+0x2000,0x1000+0x2000"),
            Map.of("liodn.dma0", "0x10000"))) {
            assertErrno(Errno.EINVAL, () -> TestData.open(TestData.own(), wrong));
        }
    }

    @DisplayName("Disabled nodes, and all below them, are not there")
    @Test
    void disabled() {
        FlatTree.Raw root = new FlatTree(TestData.own(), new Warnings()).root();
        FlatTree.Raw pcie = root.children.stream().filter(node -> node.name.equals("pcie@ffe201000")).findFirst()
            .orElseThrow();
        pcie.properties.put("status", "disabled\0".getBytes());
        DeviceTree tree = new DeviceTree(root, new Warnings());
        assertEquals(2, tree.nodes().stream().filter(node -> node.name().startsWith("pcie@")).count());
    }

    @DisplayName("Interrupt types 2 and 3 (IPI, timer) are no inputs")
    @Test
    void timersAreNoWires() {
        Machine machine = TestData.open(TestData.real("p4080ds.dtb"));
        assertEquals(List.of(), all(machine, "fsl,mpic-global-timer").get(0).interrupts());
    }

    @DisplayName("The committed board is what its source compiles to")
    @Test
    void compiled(@TempDir Path directory) throws IOException, InterruptedException {
        Path out = directory.resolve("p4080.dtb");
        Process dtc;
        try {
            dtc = new ProcessBuilder("dtc", "-q", "-I", "dts", "-O", "dtb", "-o", out.toString(),
                TestData.OWN.resolveSibling("p4080.dts").toString()).inheritIO().start();
        } catch (IOException e) {
            assumeTrue(false, "SKIPPED: there is no dtc to compile p4080.dts with");
            return;
        }
        assertTrue(dtc.waitFor(20, TimeUnit.SECONDS) && dtc.exitValue() == 0);
        assertArrayEquals(Files.readAllBytes(out), TestData.own());
    }

    static ErrnoException assertErrno(Errno errno, org.junit.jupiter.api.function.Executable executable) {
        ErrnoException e = assertThrows(ErrnoException.class, executable);
        assertEquals(errno, e.errno(), e.getMessage());
        return e;
    }

    private static List<Node> all(Machine machine, String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).toList();
    }

    private static Node only(Machine machine, String compatible) {
        List<Node> found = all(machine, compatible);
        assertEquals(1, found.size(), compatible);
        return found.get(0);
    }

    @DisplayName("fsl,iommu-parent: an instance of any PAMU node of the board is what a device sits behind")
    @Test
    void secondPamu() {
        TreeWriter tree = new TreeWriter().memory(0, 0, 0, 0x1000_0000);
        for (int i = 0; i < 2; i++) {
            tree.begin("iommu@f002000" + i).text("compatible", "fsl,pamu")
                .cells("reg", 0, 0xf002_0000 + i * 0x10_0000, 0, 0x1000)
                .cells("#address-cells", 1).cells("#size-cells", 1)
                .begin("pamu@0").cells("reg", 0, 0x1000).cells("phandle", 70 + i).end().end();
            tree.begin("pcie@e000000" + i).text("device_type", "pci").text("compatible", "fsl,p4080-pcie")
                .cells("reg", 0, 0xe000_0000 + i * 0x10_0000, 0, 0x1000).cells("fsl,liodn", 5 + i)
                .cells("fsl,iommu-parent", 70 + i).end();
        }
        assertEquals(List.of("/iommu@f0020000/pamu@0", "/iommu@f0020001/pamu@0"),
            TestData.open(tree.done()).slots().stream().map(slot -> slot.requester(0, 0).unit()).toList());
    }
}
