// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Real tables, where they are at hand, and the example of the launcher. */
class BoardsTest {
    /** Beside the project; {@code -Dgantry.shared} names another folder, or one that is not there. */
    private static final Path REAL = Path.of(System.getProperty("gantry.shared", "../../shared"), "boards");

    private static Machine board(String name) throws IOException {
        return open(content(name));
    }

    /** Skips the test where the table is not there: not to be called where something is expected to be thrown. */
    private static byte[] content(String name) throws IOException {
        Path file = REAL.resolve(name);
        Assumptions.assumeTrue(Files.exists(file),
            () -> "SKIPPED: no test data " + name + " beside the project; real tables are not shipped");
        return Files.readAllBytes(file);
    }

    private static Machine open(byte[] content) {
        MachineSource source = new AcpiMachineSource();
        assertTrue(source.recognises("any name", content));
        return source.open("any name", content, Map.of());
    }

    private static Node node(Machine machine, String path) {
        return machine.nodes().stream().filter(node -> node.path().equals(path)).findFirst().orElseThrow();
    }

    private static Slot slot(Machine machine, String name) {
        return machine.slots().stream().filter(slot -> slot.name().equals(name)).findFirst().orElseThrow();
    }

    @Test
    @DisplayName("QEMU q35: one DRHD that names its functions; a place it does not name has no unit")
    void qemu() throws IOException {
        Machine machine = board("qemu-q35.dmar");
        assertEquals("ACPI DMAR BOCHS BXPC", machine.model());
        Node drhd = node(machine, "/drhd@fed90000");
        assertEquals(List.of(new Node.Range(0xfed90000L, 0x1000)), drhd.registers());
        assertArrayEquals(new int[] {0}, drhd.cells("include-pci-all"));
        assertArrayEquals(new int[] {39}, drhd.cells("host-address-width"));
        assertArrayEquals(new int[] {1}, drhd.cells("interrupt-remapping"));
        assertArrayEquals(new int[] {0, 8, 0xf8, 0xfa, 0xfb}, drhd.cells("endpoints"));
        assertArrayEquals(new int[] {0, 0xff00}, drhd.cells("ioapics"));
        assertEquals(1, machine.slots().size());
        assertEquals(new Requester(8, "/drhd@fed90000", 1), machine.slots().get(0).requester(1, 0));
        ErrnoException e = assertThrows(ErrnoException.class, () -> machine.slots().get(0).requester(3, 0));
        assertEquals(
            "ENXIO: no remapping unit covers 0000:00:03.0 (0x18); the DMAR names [0000:00:00.0, 0000:00:01.0, "
                + "0000:00:1f.0, 0000:00:1f.2, 0000:00:1f.3] and no unit for all others", e.getMessage());
    }

    @Test
    @DisplayName("Laptop: four DRHDs: graphics, two bridges, the rest; an RMRR for 00:02.0 above the default memory")
    void laptop() throws IOException {
        Machine machine = board("surface-laptop-studio.dmar");
        assertEquals(List.of("pci0", "0000:00:07.0", "0000:00:07.1"),
            machine.slots().stream().map(Slot::name).toList());
        Slot root = slot(machine, "pci0");
        assertEquals("/drhd@fed90000", root.requester(2, 0).unit());
        assertEquals("/drhd@fed91000", root.requester(3, 0).unit());
        assertEquals(new Requester(0x100, "/drhd@fed84000", 0x20), slot(machine, "0000:00:07.0").requester(0, 0));
        assertEquals(new Requester(0x200, "/drhd@fed85000", 0x40), slot(machine, "0000:00:07.1").requester(0, 0));
        Node rmrr = node(machine, "/rmrr@83800000");
        assertEquals(List.of(new Node.Range(0x83800000L, 0x4400000)), rmrr.registers());
        assertArrayEquals(new int[] {0x10}, rmrr.cells("requesters"));
        machine.bus().write(0x87bffff8L, 8, 0x1234);
        assertEquals(0x1234, machine.bus().read(0x87bffff8L, 8), "firmware's memory is memory");
    }

    @DisplayName("Real tables, as firmware left them: units, RMRRs, and what is warned of")
    @ParameterizedTest
    @CsvSource(delimiter = '|', value = {
        "qemu-q35.dmar | 1 | 0 | ", "surface-laptop-studio.dmar | 4 | 1 | ", "apple-imacpro1,1.dmar | 4 | 1 | ",
        "fwts-snb.dmar | 2 | 2 | ", "dell-5drhd.dmar | 5 | 1 | ", "surface-pro-10.dmar | 2 | 0 | ",
        "supermicro-icelake-2s.dmar | 10 | 2 | ", "edk2-mtl-satc-sidp.dmar | 2 | 0 | ",
        // Each entry twice but the RMRR: the second one is for the same device and another region.
        "apple-imacpro1,1-double.dmar | 4 | 2 | 0x98 0xb8 0xe0 0x128 0x1b8", "drhd-twice.dmar | 2 | 2 | 0x48",
        "include-all-first.dmar | 2 | 2 | 0x50", "tail-zero-padded-in-length.dmar | 2 | 2 | 0xb8",
        "rmrr-end-before-start.dmar | 2 | 1 | 0x70", "rmrr-zero-zero.dmar | 2 | 1 | 0x70",
        "one-covered-place.dmar | 1 | 0 | "})
    void summary(String file, int units, int rmrrs, String warned) throws IOException {
        Machine machine = board(file);
        assertEquals(units, machine.nodes().stream().filter(node -> node.compatibleWith("intel,vt-d")).count());
        assertEquals(rmrrs, machine.nodes().stream().filter(node -> node.compatibleWith("intel,rmrr")).count());
        assertEquals(warned == null ? "" : warned,
            machine.warnings().stream().map(warning -> warning.replaceAll("DMAR at offset (\\w+): .*", "$1"))
            .collect(Collectors.joining(" ")), machine.warnings().toString());
    }

    @Test
    @DisplayName("A unit whose address firmware left 0 is refused: it is switched off")
    void switchedOff() throws IOException {
        byte[] table = content("lenovo-flex15-drhd0.dmar");
        ErrnoException e = assertThrows(ErrnoException.class, () -> open(table));
        assertTrue(e.getMessage().contains("0x38: DRHD base 0x0: this unit is switched off by firmware"),
            e.getMessage());
    }

    @Test
    @DisplayName("launcher/boards/q35.dmar is what the generator makes")
    void exampleIsGenerated() throws IOException {
        if (Boolean.getBoolean("gantry.write")) {
            Q35Table.write();
        }
        assertArrayEquals(Q35Table.bytes(), Files.readAllBytes(Q35Table.FILE));
    }

    @Test
    @DisplayName("The example: endpoint, bridge and INCLUDE_PCI_ALL each find their unit; the RMRR is kept from the "
        + "pool")
    void example() {
        Machine machine = open(Q35Table.bytes());
        assertEquals("ACPI DMAR GANTRY Q35BOARD", machine.model());
        assertEquals(4, machine.cpus().size());
        assertEquals(
            List.of("/", "/lapic", "/drhd@fed91000", "/drhd@fed90000", "/rmrr@7f800000", "/pci0", "/pci0/bridge@1c,0"),
            machine.nodes().stream().map(Node::path).toList());
        Slot root = slot(machine, "pci0");
        assertEquals(new Requester(0x18, "/drhd@fed90000", 3), root.requester(3, 0));
        assertEquals(new Requester(0x10, "/drhd@fed91000", 2), root.requester(2, 0));
        assertEquals(new Requester(0x11, "/drhd@fed90000", 2), root.requester(2, 1),
            "the scope names function 0 alone");
        assertEquals("0000:00:03.0", root.address(3, 0));
        Slot behind = slot(machine, "0000:00:1c.0");
        assertEquals(new Requester(0x100, "/drhd@fed91000", 0x20), behind.requester(0, 0));
        assertEquals("0000:01:00.0", behind.address(0, 0));
        assertEquals("/pci0/bridge@1c,0", behind.node().path());
        assertEquals(Errno.ENXIO, assertThrows(ErrnoException.class, () -> root.requester(0x1c, 0)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> root.requester(32, 0)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> root.address(0, 8)).errno());
        assertTrue(root.interrupt(3, 1).isEmpty());

        assertEquals((4L << 30) - (16 << 20) - 0x20000, machine.memory().available());
        assertEquals(Errno.ENOMEM,
            assertThrows(ErrnoException.class, () -> machine.memory().allocateAt(0x7f810000L, 0x1000)).errno());
        assertEquals(Errno.ENOMEM,
            assertThrows(ErrnoException.class, () -> machine.memory().allocateAt(0xfff000L, 0x1000)).errno());
        machine.memory().allocateAt(0x1000000L, 0x1000).close();
        machine.memory().allocateAt(0x17ffff000L, 0x1000).close();
        assertEquals(List.of(new Node.Range(0xfee00000L, 0x100000)), node(machine, "/lapic").registers());
        assertTrue(node(machine, "/lapic").compatibleWith("intel,lapic"));
        assertSame(node(machine, "/lapic"), node(machine, "/").children().get(0));
    }
}
