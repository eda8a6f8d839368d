// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import static machine.acpi.Table.BRIDGE;
import static machine.acpi.Table.ENDPOINT;
import static machine.acpi.Table.HPET;
import static machine.acpi.Table.IOAPIC;
import static machine.acpi.Table.scope;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What becomes of a right table: nodes with their properties, slots, memory to the page. No real table is needed. */
class AcpiMachineTest {
    private static final long BASE = 0xfed90000L;
    private static final int NAMESPACE = 5;
    private static final long FIRMWARE = 16L << 20;

    private static Machine open(Table table, Map<String, String> options) {
        return new AcpiMachineSource().open("test", table.bytes(), options);
    }

    private static Machine open(Table table) {
        return open(table, Map.of());
    }

    private static String refused(Table table, Map<String, String> options) {
        ErrnoException e = assertThrows(ErrnoException.class, () -> open(table, options));
        assertEquals(Errno.EINVAL, e.errno());
        return e.reason();
    }

    private static Node node(Machine machine, String path) {
        return machine.nodes().stream().filter(node -> node.path().equals(path)).findFirst().orElseThrow();
    }

    private static void cells(Node node, String property, int... expected) {
        assertArrayEquals(expected, node.cells(property), property);
    }

    private static Slot slot(Machine machine, String name) {
        return machine.slots().stream().filter(slot -> slot.name().equals(name)).findFirst().orElseThrow();
    }

    @Test
    @DisplayName("Root: who made the table, how wide addresses are, what its flags say")
    void root() {
        Machine machine = open(new Table().width(46).flags(0x87).drhd(1, 0, BASE));
        Node root = node(machine, "/");
        assertEquals("", root.name());
        assertEquals(List.of("acpi,dmar"), root.compatible());
        assertEquals("GANTRY", root.text("oem-id"));
        assertEquals("Q35BOARD", root.text("oem-table-id"));
        cells(root, "host-address-width", 46);
        cells(root, "flags", 0x87);
        cells(node(machine, "/drhd@fed90000"), "interrupt-remapping", 1);
        cells(node(machine, "/drhd@fed90000"), "host-address-width", 46);
        cells(node(open(new Table().flags(0x86).drhd(1, 0, BASE)), "/drhd@fed90000"), "interrupt-remapping", 0);
        byte[] table = new Table().drhd(1, 0, BASE).bytes();
        System.arraycopy(new byte[] {' ', '~', 0x1f, 0x7f, 'x', ' ', ' ', ' ', ' ', ' ', 0, 'y', ' ', ' '}, 0, table,
            10, 14);
        Machine blank = new AcpiMachineSource().open("test", Table.checksummed(table), Map.of());
        assertEquals(" ~??x", node(blank, "/").text("oem-id"));
        assertEquals("", node(blank, "/").text("oem-table-id"));
        assertEquals("ACPI DMAR  ~??x", blank.model());
    }

    @Test
    @DisplayName("A node: tree, cells, text, bytes of one's own")
    void nodes() {
        Machine machine = open(new Table().drhd(0, 0, BASE, scope(BRIDGE, 0, 0, "1c.0 02.1")));
        Node root = node(machine, "/");
        Node bus = node(machine, "/pci0");
        Node bridge = node(machine, "/pci0/bridge@1c,0");
        Node below = node(machine, "/pci0/bridge@1c,0/bridge@2,1");
        assertEquals(List.of("/lapic", "/drhd@fed90000", "/pci0"), root.children().stream().map(Node::path).toList());
        assertThrows(UnsupportedOperationException.class, () -> root.children().clear());
        assertSame(bus, root.children().get(2), "the same is among all nodes and below its parent");
        assertEquals(List.of(below), bridge.children());
        assertEquals("bridge@2,1", below.name());
        assertEquals("/pci0/bridge@1c,0/bridge@2,1", below.toString());
        assertEquals(List.of("acpi,pnp0a08"), bus.compatible());
        assertEquals(List.of("pciclass,0604"), bridge.compatible());
        assertEquals(List.of(), bridge.interrupts());
        assertEquals(List.of(), bridge.registers());
        assertTrue(root.has("oem-id"));
        assertFalse(root.has("oem"));
        assertEquals("", root.text("oem"));
        assertArrayEquals(new byte[0], root.bytes("oem"));
        assertArrayEquals("GANTRY\0".getBytes(), root.bytes("oem-id"));
        cells(root, "oem-id", 0x47414e54);
        cells(root, "oem");
        root.bytes("oem-id")[0] = 'X';
        assertEquals("GANTRY", root.text("oem-id"));
    }

    @Test
    @DisplayName("DRHD: what its scopes name, by kind: requester ids; for IOAPICs, HPETs and the namespace with "
        + "numbers")
    void drhd() {
        Machine machine = open(
            new Table().drhd(1, 3, BASE, scope(ENDPOINT, 0, 0, "02.0"), scope(ENDPOINT, 0, 7, "1f.7"),
            scope(BRIDGE, 0, 0, "1c.0"), scope(IOAPIC, 2, 0xf0, "1f.0"), scope(IOAPIC, 3, 0xf0, "1f.1"),
                scope(HPET, 4, 0xf0, "0f.0"),
            scope(NAMESPACE, 5, 0, "1e.2"), scope(6, 9, 0, "1d.0")).drhd(0, 0, BASE + 0x1000));
        Node drhd = node(machine, "/drhd@fed90000");
        assertEquals(List.of("intel,vt-d"), drhd.compatible());
        cells(drhd, "segment", 3);
        cells(drhd, "include-pci-all", 1);
        cells(drhd, "endpoints", 0x10, 0x7ff);
        cells(drhd, "bridges", 0xe0);
        cells(drhd, "ioapics", 2, 0xf0f8, 3, 0xf0f9);
        cells(drhd, "hpets", 4, 0xf078);
        cells(drhd, "namespace-devices", 5, 0xf2);
        cells(node(machine, "/drhd@fed91000"), "include-pci-all", 0);
        cells(node(machine, "/drhd@fed91000"), "ioapics");
        assertEquals(List.of("pci0", "pci3", "pci3.07", "0003:00:1c.0"),
            machine.slots().stream().map(Slot::name).toList());
        cells(node(machine, "/pci3.07"), "segment", 3);
        cells(node(machine, "/pci3.07"), "bus", 7);
        cells(node(machine, "/pci3.07"), "conventional", 0);
        cells(node(machine, "/pci3/bridge@1c,0"), "bus", 1);
    }

    @Test
    @DisplayName("RMRR, ATSR, RHSA, ANDD, SATC: segment, flags and whom they name; two at one place have two names")
    void others() {
        Machine machine = open(
            new Table().drhd(1, 2, BASE).rmrr(2, 0x7f800000L, 0x7f800fffL, scope(ENDPOINT, 0, 0, "02.0"))
            .rmrr(2, 0x7f800000L, 0x7f801fffL).rmrr(2, 0x7f800000L, 0x7f802fffL).atsr(2, 1)
                .atsr(2, 0, scope(ENDPOINT, 0, 0, "03.0"))
            .satc(2, scope(ENDPOINT, 0, 0, "02.0"), scope(BRIDGE, 0, 0, "1c.0")).raw(5, "00 00 0200"));
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/rmrr@7f800000", "/rmrr@7f800000,1", "/rmrr@7f800000,2",
            "/atsr@90", "/atsr@98", "/satc@a8", "/satc@c0"), machine.nodes().subList(0,
            10).stream().map(Node::path).toList());
        cells(node(machine, "/rmrr@7f800000"), "segment", 2);
        cells(node(machine, "/rmrr@7f800000"), "requesters", 0x10);
        cells(node(machine, "/rmrr@7f800000,1"), "requesters");
        cells(node(machine, "/atsr@90"), "all-ports", 1);
        cells(node(machine, "/atsr@98"), "all-ports", 0);
        cells(node(machine, "/atsr@98"), "bridges");
        cells(node(machine, "/atsr@98"), "segment", 2);
        cells(node(machine, "/satc@a8"), "endpoints", 0x10);
        cells(node(machine, "/satc@a8"), "atc-required", 1);
        cells(node(machine, "/satc@a8"), "segment", 2);
        cells(node(machine, "/satc@c0"), "atc-required", 0);
    }

    @Test
    @DisplayName("Header: 32 to 64 bits of addresses are believed; a table of 64 KiB and 128 units, too")
    void limits() {
        for (int width : new int[] {32, 64}) {
            Machine machine = open(new Table().width(width).drhd(1, 0, 0x80000000L));
            assertEquals(List.of(), machine.warnings());
            cells(node(machine, "/"), "host-address-width", width);
        }
        cells(node(open(new Table().width(31).drhd(1, 0, BASE)), "/"), "host-address-width", 52);
        Table units = new Table();
        for (int i = 0; i < 128; i++) {
            units.drhd(0, 0, 0x1_0000_0000L + 0x1000L * i);
        }
        byte[] large = Arrays.copyOf(units.bytes(), 0x10000);
        System.arraycopy(new byte[] {0, 0, 1, 0}, 0, large, 4, 4);
        Machine machine = new AcpiMachineSource().open("test", Table.checksummed(large), Map.of());
        assertEquals(1, machine.warnings().size(), machine.warnings().toString());
        assertEquals(128, machine.nodes().stream().filter(node -> node.compatibleWith("intel,vt-d")).count());
    }

    @Test
    @DisplayName("DRHD: registers up to the last address there is, and side by side with others'")
    void registers() {
        assertEquals(List.of(), open(new Table().drhd(1, 0, (1L << 39) - 0x1000)).warnings());
        assertEquals(1, open(new Table().drhd(1, 0, 1L << 39)).warnings().size());
        assertEquals(List.of(), open(new Table().width(64).drhd(1, 0, (1L << 52) - 0x1000)).warnings());
        assertTrue(refused(new Table().width(64).drhd(1, 0, 1L << 52), Map.of()).contains("beyond 52 bits"));
        assertEquals(List.of(),
            open(new Table().drhd(0, 0, 0xfedff000L).drhd(0, 0, 0xfef00000L).drhd(1, 0, 0xfedfe000L)).warnings());
        assertTrue(refused(new Table().drhd(1, 0, 0xfeeff000L), Map.of()).contains("overlap the local APICs"));
        byte[] sized = new Table().drhd(1, 0, (1L << 39) - 0x8000).bytes();
        sized[0x35] = 0x73;
        assertEquals(List.of(new Node.Range((1L << 39) - 0x8000, 0x8000)), node(new AcpiMachineSource().open("test",
            Table.checksummed(sized), Map.of()), "/drhd@7fffff8000").registers(), "2^3 pages; other bits are reserved");
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

    @Test
    @DisplayName("memory: up to the registers' first byte and from behind their last, side by side, up to the host "
        + "address width and 1 TiB")
    void option() {
        Table table = new Table().drhd(1, 0, BASE);
        Machine machine = open(table,
            Map.of("memory", "0xfed8f000+4K, 0xfed91000+0x1000 ,0xfed92000+4096,0x7ffffff000+4K"));
        piece(machine, 0xfed8f000L, 0xfed90000L);
        piece(machine, 0xfed91000L, 0xfed93000L);
        memory(machine, 0x7ffffffff8L, true);
        assertEquals(0x4000, machine.memory().available());
        assertEquals("option memory: 0x1000 bytes up to 0x8000000fff; at most 0x10000000000 within the DMAR's 39 bits",
            refused(table, Map.of("memory", "0x8000000000+4K")));
        Table wide = new Table().width(64).drhd(1, 0, BASE);
        assertEquals(1L << 40, open(wide, Map.of("memory", "0x10000000000+1024G")).memory().available());
        assertTrue(refused(wide, Map.of("memory", "0x10000000000+1024G,4G+4K"))
            .contains("0x10000001000 bytes up to 0x1ffffffffff"));
        open(wide, Map.of("memory", "0xffffffffff000+4K"));
        assertEquals(
            "option memory: 0xfed90000+0x1000 overlaps the registers at 0xfed90000+0x1000; nothing of it is clear of "
                + "registers",
            refused(table, Map.of("memory", "0xfed90000+4K")));
        assertEquals("option memory: 0xfed8f000+0x3000 overlaps the registers at 0xfed90000+0x1000; "
            + "say memory=0xfed8f000+0x1000,0xfed91000+0x1000", refused(table, Map.of("memory", "0xfed8f000+12K")));
        assertEquals("option memory: 0x1000+0x1000 overlaps the piece before",
            refused(table, Map.of("memory", "0+8K,4K+4K")));
    }

    @Test
    @DisplayName("memory: numbers in decimal or hex with K, M or G, below 2^52; nothing else is one")
    void numbers() {
        Table table = new Table().width(64).drhd(1, 0, BASE);
        for (Map.Entry<String, Long> each : Map
            .of("4K", 4L << 10, "0x1M", 1L << 20, "3G", 3L << 30, "0010000K", 10_000L << 10,
            "0X1000", -1L, "4k", -1L, "1T", -1L, "-4K", -1L).entrySet()) {
            Map<String, String> option = Map.of("memory", "0x1_0000_0000".replace("_", "") + "+" + each.getKey());
            if (each.getValue() > 0) {
                assertEquals(each.getValue(), open(table, option).memory().available(), each.getKey());
            } else {
                assertTrue(refused(table, option).contains("whole 4 KiB pages"), each.getKey());
            }
        }
        for (String over : List.of("4194304G+4K", "0x10000000000000+4K", "4294967296M+4K", "4398046511104K+4K", "4K",
            "4K+4K+4K", "+4K", "0+4097")) {
            assertTrue(refused(table, Map.of("memory", over)).contains("whole 4 KiB pages"), over);
        }
        for (String most : List.of("4194303G+4K", "4294967295M+4K", "0x3fffffffffcK+4K")) {
            open(table, Map.of("memory", most));
        }
    }

    @Test
    @DisplayName("Default memory ends with the host address width; the lowest 16 MiB are memory that is not handed out")
    void defaultMemory() {
        Machine machine = open(new Table().width(33).drhd(1, 0, BASE));
        piece(machine, 4L << 30, 6L << 30);
        memory(machine, 0, true);
        memory(machine, 2L << 30, false);
        assertThrows(ErrnoException.class, () -> machine.memory().allocateAt(FIRMWARE - 0x1000, 0x1000));
        machine.memory().allocateAt(FIRMWARE, 0x1000).close();
        Machine narrow = open(new Table().width(32).drhd(1, 0, BASE));
        memory(narrow, (2L << 30) - 8, true);
        memory(narrow, 4L << 30, false);
        assertEquals(1, open(new Table().drhd(1, 0, BASE), Map.of("cpus", "1")).cpus().size());
        assertEquals(4, narrow.cpus().size());
    }

    @Test
    @DisplayName("RMRRs outside of memory have memory of their own, never free, up to 1 TiB together; the last "
        + "address counts")
    void rmrrs() {
        Machine machine = open(
            new Table().drhd(1, 0, BASE).rmrr(0, 0x90000000L, 0x90000fffL).rmrr(0, 0x90002000L, 0x90002fffL)
            .rmrr(0, 0x90001000L, 0x90001fffL).rmrr(0, 0x7ffffff000L, 0x7fffffffffL).rmrr(0, 0x1000, 0x1fff));
        piece(machine, 0x90000000L, 0x90003000L);
        memory(machine, 0x7ffffffff8L, true);
        assertEquals((4L << 30) - FIRMWARE, machine.memory().available());
        assertEquals(List.of(), machine.warnings());
        Table wide = new Table().width(52).drhd(1, 0, BASE).rmrr(0, 1L << 41, (1L << 41) + (1L << 40) - 1);
        assertEquals(List.of(), open(wide).warnings());
        Machine more = open(wide.rmrr(0, 1L << 43, (1L << 43) + 0xfff));
        assertEquals(List.of(
            "DMAR: RMRRs of more than 0x10000000000 bytes outside of memory; there is no memory at "
                + "0x80000000000+0x1000"),
            more.warnings());
        memory(more, 1L << 43, false);
        memory(more, 1L << 41, true);
        Machine beside = open(
            new Table().drhd(1, 0, BASE).rmrr(0, 0xfed8f000L, 0xfed8ffffL).rmrr(0, 0xfed91000L, 0xfed91fffL));
        assertEquals(List.of(), beside.warnings());
        piece(beside, 0xfed8f000L, 0xfed90000L);
        piece(beside, 0xfed91000L, 0xfed92000L);
    }

    @Test
    @DisplayName("RMRR: at 0, of one page, up to the last of 64 bits")
    void rmrrRanges() {
        Machine machine = open(new Table().drhd(1, 0, BASE).rmrr(0, 0, 0xfff).rmrr(0, 0x70000000L, 0x70000fffL)
            .rmrr(0, 0x7ffffff000L, -1L));
        assertEquals(List.of(new Node.Range(0, 0x1000)), node(machine, "/rmrr@0").registers());
        assertEquals(List.of(new Node.Range(0x70000000L, 0x1000)), node(machine, "/rmrr@70000000").registers());
        assertEquals(List.of(new Node.Range(0x7ffffff000L, 0x1000)), node(machine, "/rmrr@7ffffff000").registers());
        assertEquals(1, machine.warnings().size(), machine.warnings().toString());
        Machine empty = open(new Table().drhd(1, 0, BASE).rmrr(0, 0x70000000L, 0x6fffffffL));
        assertTrue(empty.warnings().get(0)
            .endsWith("RMRR 0x70000000..0x6fffffff ends before it starts; the region is left out"));
        assertTrue(open(new Table().drhd(1, 0, BASE).rmrr(0, 0, 0)).warnings().get(0).contains("is empty"));
    }

    @Test
    @DisplayName("Requesters: the last device and function; eight places that are covered are named, more are not")
    void requesters() {
        byte[][] scopes = new byte[8][];
        for (int i = 0; i < 8; i++) {
            scopes[i] = scope(ENDPOINT, 0, 0, String.format("1f.%d", i));
        }
        Machine machine = open(new Table().drhd(0, 0, BASE, scopes));
        Slot slot = machine.slots().get(0);
        assertEquals(new Requester(0xff, "/drhd@fed90000", 0x1f), slot.requester(31, 7));
        ErrnoException e = assertThrows(ErrnoException.class, () -> slot.requester(0, 0));
        assertTrue(e.getMessage().endsWith("0000:00:1f.6, 0000:00:1f.7] and no unit for all others"), e.getMessage());
        ErrnoException more = assertThrows(ErrnoException.class, () -> open(new Table().drhd(0, 0, BASE, scopes)
            .drhd(0, 1, BASE + 0x1000, scope(ENDPOINT, 0, 0, "09.0"))
            .drhd(0, 0, BASE + 0x2000, scope(ENDPOINT, 0, 0, "1e.0")))
            .slots().get(0).requester(0, 0));
        assertTrue(more.getMessage().endsWith("0000:00:1f.6] and more and no unit for all others"), more.getMessage());
        for (int[] place : new int[][] {{-1, 0}, {32, 0}, {0, -1}, {0, 8}}) {
            assertEquals(Errno.EINVAL,
                assertThrows(ErrnoException.class, () -> slot.covers(place[0], place[1])).errno());
            assertEquals(Errno.EINVAL,
                assertThrows(ErrnoException.class, () -> slot.address(place[0], place[1])).errno());
        }
        assertTrue(slot.pcie());
        assertEquals("/pci0", slot.node().path());
    }

    @Test
    @DisplayName("bridge.<name>: on a bridge of the table by its address, whichever option comes first; buses from 1 "
        + "to ff")
    void bridges() {
        Table table = new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, "1c.0"), scope(BRIDGE, 0, 0x10, "02.0"));
        Machine machine = open(table, Map.of("bridge.a", "b/0.0", "bridge.b", "0000:10:02.0/1f.7,pcie,bus=ff",
            "bridge.c", "pci0.10/1.0,bus=1"));
        assertEquals(List.of("pci0 0", "pci0.10 10", "0000:00:1c.0 2", "c 1", "0000:10:02.0 3", "b ff", "a 4"),
            machine.slots().stream()
            .map(slot -> String.format("%s %x", slot.name(), slot.node().cells("bus")[0])).toList());
        assertEquals("/pci0.10/bridge@2,0/bridge@1f,7/bridge@0,0", slot(machine, "a").node().path());
        assertEquals("a bridge stands at 0000:03:1f.7; plug the device in behind it, at slot b",
            assertThrows(ErrnoException.class, () -> slot(machine, "0000:10:02.0").requester(31, 7)).reason());
        assertFalse(slot(machine, "0000:10:02.0").covers(31, 7));
        assertEquals(
            "option bridge.a: no slot is called nowhere; there are [0000:00:1c.0, 0000:10:02.0, pci0, pci0.10]",
            refused(table, Map.of("bridge.a", "nowhere/0.0")));
        assertEquals("option bridge.a: bus number 0x10 is taken; choose another",
            refused(table, Map.of("bridge.a", "pci0/1.0,bus=10")));
        assertEquals("option bridge.a: device 0x1c function 0x0 on pci0 is another bridge; choose another place",
            refused(new Table().drhd(1, 0, BASE), Map.of("bridge.a", "pci0/1c.0", "bridge.A", "pci0/1c.0")));
        Machine twice = open(new Table().drhd(1, 0, BASE).drhd(1, 1, BASE + 0x1000),
            Map.of("bridge.a", "pci0/1.0,bus=9", "bridge.b",
            "pci1/1.0,bus=9"));
        assertEquals("0001:09:00.0", slot(twice, "b").address(0, 0), "each segment has bus numbers of its own");
    }

    @Test
    @DisplayName("255 bridges have a bus number each, 256 do not")
    void busNumbers() {
        byte[][] scopes = new byte[256][];
        for (int i = 0; i < 256; i++) {
            scopes[i] = scope(BRIDGE, 0, 0, String.format("%02x.%x", i >> 3, i & 7));
        }
        Machine machine = open(new Table().drhd(1, 0, BASE, Arrays.copyOf(scopes, 255)));
        assertEquals(256, machine.slots().size());
        assertEquals("0000:ff:00.0", machine.slots().get(255).address(0, 0));
        assertEquals("segment 0x0 has more bridges than bus numbers (0x100); leave some away",
            refused(new Table().drhd(1, 0, BASE, scopes), Map.of()));
    }

    @Test
    @DisplayName("An RMRR's requesters: of a device of the namespace what is said, ascending")
    void requestersOfRmrr() {
        Machine machine = open(
            new Table().drhd(1, 0, BASE).rmrr(0, 0x7f800000L, 0x7f800fffL, scope(NAMESPACE, 1, 0x20, "03.1"),
            scope(ENDPOINT, 0, 0, "02.0")));
        cells(node(machine, "/rmrr@7f800000"), "requesters", 0x10, 0x2019);
        assertEquals(List.of("pci0"), machine.slots().stream().map(Slot::name).toList());
    }
}
