// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import static machine.acpi.Table.BRIDGE;
import static machine.acpi.Table.ENDPOINT;
import static machine.acpi.Table.IOAPIC;
import static machine.acpi.Table.scope;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Random;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Slot;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** ACPI DMAR, field by field: what is refused, where, and why. */
class DmarReaderTest {
    private static final long BASE = 0xfed90000L;

    private static Machine open(byte[] table) {
        return new AcpiMachineSource().open("test", table, Map.of());
    }

    private static void refused(String expected, byte[] table) {
        ErrnoException e = assertThrows(ErrnoException.class, () -> open(table));
        assertEquals(Errno.EINVAL, e.errno());
        assertTrue(e.getMessage().startsWith("EINVAL: " + expected), e.getMessage());
    }

    private static void refused(String expected, Table table) {
        refused("DMAR at offset " + expected, table.bytes());
    }

    /** It runs, and exactly one warning says where and why. */
    private static Machine warned(String expected, byte[] table) {
        Machine machine = open(table);
        assertEquals(1, machine.warnings().size(), machine.warnings().toString());
        assertTrue(machine.warnings().get(0).startsWith("DMAR at offset " + expected), machine.warnings().get(0));
        return machine;
    }

    private static Machine warned(String expected, Table table) {
        return warned(expected, table.bytes());
    }

    private static List<String> paths(Machine machine) {
        return machine.nodes().stream().map(Node::path).toList();
    }

    private static byte[] with(byte[] table, int offset, int value) {
        table[offset] = (byte) value;
        return Table.checksummed(table);
    }

    @Test
    @DisplayName("Recognised by the signature alone")
    void signature() {
        AcpiMachineSource source = new AcpiMachineSource();
        assertTrue(source.recognises("x", new byte[] {'D', 'M', 'A', 'R'}));
        assertFalse(source.recognises("x.dmar", new byte[] {'D', 'M', 'A'}));
        assertFalse(source.recognises("x.dmar", new byte[0]));
        assertFalse(source.recognises("x.dmar", new byte[] {(byte) 0xd0, 0x0d, (byte) 0xfe, (byte) 0xed}));
        assertEquals("ACPI DMAR table (.dmar)", source.reads());
    }

    @Test
    @DisplayName("ACPI header: length, checksum, host address width")
    void header() {
        byte[] good = new Table().drhd(1, 0, BASE).bytes();
        refused("DMAR at offset 0x10: ends after 0x10 bytes", Arrays.copyOf(good, 16));
        refused("DMAR at offset 0x4: length field says 0x40, there are 0x3f bytes", Arrays.copyOf(good, 63));
        warned("0x4: length field says 0x40, there are 0x41 bytes; what is behind is left out",
            Arrays.copyOf(good, 65));
        byte[] flipped = good.clone();
        flipped[20] ^= 1;
        warned("0x9: checksum: the bytes add up to 0x", flipped);
        refused("DMAR at offset 0x24: host address width of 1 bits", with(good.clone(), 36, 0));
        warned("0x24: host address width of 256 bits (0x100); 32..64 make sense, and 52 are taken",
            with(good.clone(), 36, 0xff));
        warned("0x24: host address width of 21 bits", with(good.clone(), 36, 20));
        assertEquals(List.of(), open(good).warnings());
        refused("DMAR at offset 0x0: signature", with(good.clone(), 0, 'X'));
        refused("0x30: no remapping unit (DRHD): no IOMMU on this board", new Table());
    }

    @Test
    @DisplayName("Structures: lengths are inside the table and enough for their type")
    void lengths() {
        byte[] good = new Table().drhd(1, 0, BASE).bytes();
        refused("DMAR at offset 0x30: no remapping unit", with(good.clone(), 50, 0));
        refused("DMAR at offset 0x30: structure of 0x11 bytes where 0x10 are left", with(good.clone(), 50, 17));
        refused("DMAR at offset 0x30: DRHD of 0xf bytes", with(good.clone(), 50, 15));
        refused("0x30: DRHD of 0x8 bytes", new Table().raw(0, "00000000"));
        refused("0x30: RMRR of 0x14 bytes", new Table().raw(1, "00000000 0000000000000000 00000000"));
        refused("0x40: structure of 0x2 bytes where 0x4 are left",
            new Table().drhd(1, 0, BASE).raw(0, "").cut(0x42, 2));
        for (Map.Entry<Table, String> wrong : Map.of(new Table().drhd(1, 0, BASE).raw(2, ""), "0x40: ATSR of 0x4 bytes",
                new Table().drhd(1, 0, BASE).raw(3, "00000000"), "0x40: RHSA of 0x8 bytes",
                new Table().drhd(1, 0, BASE).raw(4, "00000001"), "0x40: ANDD of 0x8 bytes",
                new Table().drhd(1, 0, BASE).raw(5, "000000"), "0x40: SATC of 0x7 bytes").entrySet()) {
            assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"),
                paths(warned(wrong.getValue(), wrong.getKey())));
        }
    }

    @Test
    @DisplayName("Behind the last structure: zeros, or a structure of 0 bytes, end the table, as in Linux; nothing "
        + "behind counts")
    void end() {
        warned("0x40: 0x8 bytes of zeros behind the last structure",
            new Table().drhd(1, 0, BASE).raw(0, "00000000").cut(0x42, 0));
        warned("0x40: 0x3 bytes of zeros behind the last structure", new Table().drhd(1, 0, BASE).trailing(0, 0, 0));
        Machine machine = warned("0x40: a structure of 0 bytes; it and the rest, 0x1c bytes, are left out",
            new Table().drhd(1, 0, BASE).raw(0, "00000001").cut(0x42, 0).rhsa(BASE, 1));
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"), paths(machine));
    }

    @Test
    @DisplayName("An entry reported twice, to the bit, counts once; two units for one address that differ are "
        + "refused, both named")
    void twice() {
        Machine machine = warned("0x40: the same structure (type 0) as at offset 0x30, to the bit",
            new Table().drhd(1, 0, BASE).drhd(1, 0, BASE));
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"), paths(machine));
        Table all = new Table();
        for (int i = 0; i < 2; i++) {
            all.drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")).drhd(1, 0, BASE + 0x1000)
                .rmrr(0, 0x7f800000L, 0x7f800fffL)
                .atsr(0, 0, scope(BRIDGE, 0, 0, "1c.0")).rhsa(BASE, 1).andd(1, "A").satc(0);
        }
        Machine once = open(all.bytes());
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/drhd@fed91000", "/rmrr@7f800000", "/atsr@70",
            "/rhsa@fed90000", "/andd@1", "/satc@9e", "/pci0", "/pci0/bridge@1c,0"), paths(once));
        assertEquals(7, once.warnings().size(), once.warnings().toString());
        refused(
            "0x40: DRHD 0xfed90000 (segment 0x0, flags 0x1) differs from the one for the same address at offset 0x30 "
                + "(segment 0x0, flags 0x0)", new Table().drhd(0, 0, BASE).drhd(1, 0, BASE));
        refused("0x40: DRHD 0xfed90000 (segment 0x1, flags 0x1) differs",
            new Table().drhd(1, 0, BASE).drhd(1, 1, BASE));
        refused("0x40: DRHD 0xfed90000 (segment 0x0, flags 0x0) differs", new Table().drhd(0, 0, BASE)
            .drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")));
    }

    @Test
    @DisplayName("ACPI: unknown structure and scope types are skipped by their length; reserved fields are not "
        + "looked at")
    void forwardCompatible() {
        Machine machine = open(new Table().raw(6, "01ff0000 00000000").raw(0x7777, "")
            .drhd(0, 0, BASE, new byte[] {9, 7, 1, 2, 3, 4, 5}, new byte[] {0, 6, 0, 0, 0, 0},
                scope(ENDPOINT, 0, 0, "02.0"))
            .bytes());
        assertEquals("/drhd@fed90000", machine.slots().get(0).requester(2, 0).unit());
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"),
            machine.nodes().stream().map(Node::path).toList());
    }

    @Test
    @DisplayName("INCLUDE_PCI_ALL: of a segment the first counts; its place in the table does not, but for a warning")
    void includePciAll() {
        Slot second = warned(
            "0x40: a second DRHD of segment 0x0 with INCLUDE_PCI_ALL; the first, at offset 0x30, counts",
            new Table().drhd(1, 0, BASE).drhd(1, 0, BASE + 0x1000)).slots().get(0);
        assertEquals("/drhd@fed90000", second.requester(3, 0).unit());
        Slot first = warned("0x40: DRHD of segment 0x0 after the one with INCLUDE_PCI_ALL, at offset 0x30",
            new Table().drhd(1, 0, BASE).drhd(0, 0, BASE + 0x1000, scope(ENDPOINT, 0, 0, "02.0"))).slots().get(0);
        assertEquals("/drhd@fed90000", first.requester(3, 0).unit());
        assertEquals("/drhd@fed91000", first.requester(2, 0).unit());
        Machine machine = open(new Table().drhd(1, 0, BASE).drhd(1, 1, BASE + 0x1000).bytes());
        assertEquals("/drhd@fed90000", machine.slots().get(0).requester(3, 0).unit());
        Slot other = machine.slots().get(1);
        assertEquals("pci1", other.name());
        assertEquals("/drhd@fed91000", other.requester(3, 0).unit());
        assertEquals("0001:00:03.0", other.address(3, 0));
        assertEquals(1 << 13 | 3, other.requester(3, 0).group());
    }

    @Test
    @DisplayName("DRHD: base, size field, overlaps with registers and memory")
    void drhd() {
        refused("0x38: DRHD base 0x0: this unit is switched off by firmware", new Table().drhd(1, 0, 0));
        refused("0x50: DRHD base 0x0: this unit is switched off by firmware",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")).drhd(1, 0, 0));
        refused("0x38: DRHD base 0xfed90800 is", new Table().drhd(1, 0, BASE + 0x800));
        assertEquals("/drhd@8000000000",
            paths(warned("0x38: DRHD base 0x8000000000+0x1000 is beyond the host address width of 39 bits",
            new Table().drhd(1, 0, 1L << 39))).get(2));
        refused("0x38: DRHD base 0xfffffffffffff000+0x1000 is beyond 52 bits",
            new Table().drhd(1, 0, -0x1000L).width(64));
        refused("0x30: DRHD registers 0xfee01000+0x1000 overlap the local APICs at 0xfee00000",
            new Table().drhd(1, 0, 0xfee01000L));
        byte[] sized = new Table().drhd(1, 0, BASE).bytes();
        assertEquals(0x10000, open(with(sized, 0x35, 4)).nodes().get(2).registers().get(0).size());
        byte[] meets = new Table().drhd(1, 1, BASE).drhd(1, 0, BASE + 0x1000).bytes();
        refused("DMAR at offset 0x40: DRHD registers 0xfed91000+0x1000 overlap another unit's at 0xfed90000+0x2000",
            with(meets, 0x35, 1));
    }

    @Test
    @DisplayName("Default memory keeps clear of registers and inside the host address width; memory that is asked "
        + "for is refused with one that is")
    void memoryAndRegisters() {
        Table low = new Table().drhd(1, 0, 0x7fffc000L).drhd(1, 1, 0x101000000L).drhd(1, 2, 0x100001000L);
        Machine machine = open(low.bytes());
        assertEquals((4L << 30) - (16 << 20) - 0x4000 + 0x3000 - 0x2000, machine.memory().available());
        assertEquals(-1, machine.bus().read(0x7fffc000L, 8));
        machine.memory().allocateAt(0x7fffd000L, 0x1000).close();
        assertEquals((2L << 30) - (16 << 20),
            open(new Table().width(32).drhd(1, 0, BASE).bytes()).memory().available());
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> new AcpiMachineSource().open("test", low.bytes(), Map.of("memory", "0+2G,4G+2G")));
        String suggested = e.getMessage().replaceAll(".*say memory=", "");
        assertTrue(e.getMessage().contains("overlaps the registers at 0x7fffc000+0x1000; say memory=0x0+0x7fffc000,"),
            e.getMessage());
        assertEquals(machine.memory().available(),
            new AcpiMachineSource().open("test", low.bytes(), Map.of("memory", suggested)).memory().available());
    }

    @Test
    @DisplayName("RMRR: whole pages, inside the address width, apart from registers; overlapping ones are joined")
    void rmrr() {
        for (long[] around : new long[][] {{0x70001000L, 0x70001ffeL}, {0x70001800L, 0x70001fffL},
            {0x70001800L, 0x70001800L}}) {
            Machine kept = warned(String.format("0x48: RMRR 0x%x..0x%x is not whole 4 KiB pages", around[0], around[1]),
                new Table().drhd(1, 0, BASE).rmrr(0, around[0], around[1]));
            assertEquals(List.of(new Node.Range(0x70001000L, 0x1000)), kept.nodes().get(3).registers());
            assertThrows(ErrnoException.class, () -> kept.memory().allocateAt(0x70001000L, 0x1000));
        }
        for (long[] none : new long[][] {{0x2000, 0x1fff}, {0, 0}, {-0x1000L, 0x7fffffffL},
            {0x8000000000L, 0x8000000fffL}}) {
            Machine without = warned(String.format("0x48: RMRR 0x%x..0x%x ", none[0], none[1]),
                new Table().drhd(1, 0, BASE).rmrr(0, none[0], none[1], scope(ENDPOINT, 0, 0, "02.0")));
            assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"), paths(without));
            assertEquals((4L << 30) - (16 << 20), without.memory().available());
        }
        assertEquals(List.of(new Node.Range(0x7fffffe000L, 0x2000)),
            warned("0x48: RMRR 0x7fffffe000..0x8000000fff is not whole",
            new Table().drhd(1, 0, BASE).rmrr(0, 0x7fffffe000L, 0x8000000fffL)).nodes().get(3).registers());
        Machine huge = open(new Table().width(52).drhd(1, 0, BASE).rmrr(0, 1L << 50, (1L << 51) - 1).bytes());
        assertEquals(List.of("DMAR: RMRRs of more than 0x10000000000 bytes outside of memory; there is no memory at "
            + "0x4000000000000+0x4000000000000"), huge.warnings());
        assertEquals(-1, huge.bus().read(1L << 50, 8));
        Machine over = warned("0x40: RMRR 0xfed00000..0xfedfffff lies over the registers at 0xfed90000+0x1000",
            new Table().drhd(1, 0, BASE).rmrr(0, 0xfed00000L, 0xfedfffffL));
        assertEquals(-1, over.bus().read(0xfed90000L, 8));
        over.bus().write(0xfed8fff8L, 8, 1);
        Machine machine = open(new Table().drhd(1, 0, BASE).rmrr(0, 0x7ffff000L, 0x80000fffL)
            .rmrr(0, 0x7ffff000L, 0x7fffffffL)
            .rmrr(0, 0x80001000L, 0x80001fffL, scope(ENDPOINT, 0, 0, "02.0"), scope(ENDPOINT, 0, 0, "02.0")).bytes());
        assertEquals((4L << 30) - (16 << 20) - 0x1000, machine.memory().available());
        assertEquals("/rmrr@7ffff000,1", machine.nodes().get(4).path());
        assertArrayEquals(new int[] {0x10}, machine.nodes().get(5).cells("requesters"));
        machine.bus().write(0x80000ff8L, 8, 7);
        assertEquals(7, machine.bus().read(0x80000ff8L, 8));
        assertEquals(-1, machine.bus().read(0x80002000L, 8));
    }

    @Test
    @DisplayName("Scopes: lengths, hops, owners")
    void scopes() {
        refused("0x40: device scope of 0x5 bytes where 0x8",
            new Table().drhd(0, 0, BASE, new byte[] {1, 5, 0, 0, 0, 0, 2, 0}));
        for (byte[] none : new byte[][] {{1, 6, 0, 0, 0, 0}, {1, 7, 0, 0, 0, 0, 2}}) {
            assertFalse(warned(String.format("0x40: device scope of 0x%x bytes;", none.length),
                new Table().drhd(0, 0, BASE, none))
                .slots().get(0).covers(2, 0));
        }
        assertTrue(warned("0x40: device scope of 0x9 bytes;",
            new Table().drhd(0, 0, BASE, new byte[] {1, 9, 0, 0, 0, 0, 2, 0, 7}))
            .slots().get(0).covers(2, 0));
        refused("0x40: device scope of 0xa bytes where 0x8",
            new Table().drhd(0, 0, BASE, new byte[] {1, 10, 0, 0, 0, 0, 2, 0}));
        refused("0x40: device scope of 0x3 bytes where 0x3", new Table().drhd(0, 0, BASE, new byte[] {1, 8, 0}));
        warned("0x46: PCI device 0x20 function 0x0", new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "20.0")));
        warned("0x48: PCI device 0x0 function 0x8", new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0 00.8")));
        assertEquals("/drhd@fed90000",
            warned("0x58: device scope belongs to /drhd@fed90000 already and to /drhd@fed91000 now",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")).drhd(0, 0, BASE + 0x1000,
                    scope(ENDPOINT, 0, 0, "02.0")))
            .slots().get(0).requester(2, 0).unit());
        refused("0x48: device 0x2 function 0x0 on bus 0x0 is a bridge in one scope and an endpoint in another",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0"), scope(BRIDGE, 0, 0, "02.0")));
        refused("0x4a: device 0x2 function 0x0 on bus 0x0 is a bridge in one scope and an endpoint in another",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0 00.0"), scope(ENDPOINT, 0, 0, "02.0")));
        Machine atsr = warned(
            "0x38: device 0x2 function 0x0 on bus 0x0 is a bridge in one scope and an endpoint in another; the scope "
                + "is left",
            new Table().atsr(0, 0, scope(BRIDGE, 0, 0, "02.0")).drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")));
        assertTrue(atsr.slots().get(0).covers(2, 0));
        assertArrayEquals(new int[0], atsr.nodes().get(2).cells("bridges"));
    }

    @Test
    @DisplayName("Scopes: exact endpoint beats bridge, the nearest bridge beats a farther one, all beats none")
    void coverage() {
        Machine machine = open(new Table()
            .drhd(0, 0, BASE, scope(BRIDGE, 0, 0, "1c.0"))
            .drhd(0, 0, BASE + 0x1000, scope(BRIDGE, 0, 0, "1c.0 01.0"))
            .drhd(0, 0, BASE + 0x2000, scope(ENDPOINT, 0, 0, "1c.0 01.0 00.0"))
            .drhd(1, 0, BASE + 0x3000, scope(IOAPIC, 2, 0, "1c.0 02.0 00.0")).bytes());
        assertEquals(List.of("pci0", "0000:00:1c.0", "0000:01:01.0", "0000:01:02.0"),
            machine.slots().stream().map(Slot::name).toList());
        assertEquals("/drhd@fed90000", machine.slots().get(1).requester(0, 0).unit());
        assertEquals("/drhd@fed92000", machine.slots().get(2).requester(0, 0).unit());
        assertEquals("/drhd@fed91000", machine.slots().get(2).requester(0, 1).unit());
        assertEquals("/drhd@fed90000", machine.slots().get(3).requester(0, 0).unit());
        assertEquals("/drhd@fed93000", machine.slots().get(0).requester(0, 1).unit());
        assertArrayEquals(new int[] {2, 0x300}, machine.nodes().get(5).cells("ioapics"));
    }

    @Test
    @DisplayName("Scopes: a start bus that no bridge leads to is a root bus of its own and keeps its number")
    void rootBuses() {
        Machine machine = open(
            new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, "01.0"), scope(BRIDGE, 0, 1, "00.0")).bytes());
        assertEquals(List.of("pci0", "pci0.01", "0000:00:01.0", "0000:01:00.0"),
            machine.slots().stream().map(Slot::name).toList());
        assertEquals(List.of(0x0f8, 0x1f8, 0x2f8, 0x3f8),
            machine.slots().stream().map(slot -> slot.requester(0x1f, 0).id()).toList());
    }

    @Test
    @DisplayName("Scopes: an RMRR's bridge stands for every function below; a bridge on a very long path is survived")
    void bridgesBelow() {
        Machine machine = open(new Table().drhd(1, 0, BASE)
            .rmrr(0, 0x7f800000L, 0x7f800fffL, scope(BRIDGE, 0, 0, "1c.0"), scope(ENDPOINT, 0, 0, "1c.0 03.0 00.0"))
            .bytes());
        int[] requesters = machine.nodes().get(3).cells("requesters");
        assertEquals(512, requesters.length);
        assertEquals(0x100, requesters[0]);
        assertEquals(0x2ff, requesters[511]);
        String path = "00.0 ".repeat(123) + "00.0";
        assertEquals(125, open(new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path)).bytes()).slots().size());
        Table many = new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path));
        for (int i = 0; i < 40; i++) {
            many.rmrr(0, 0x7f800000L, 0x7f800fffL + 0x1000 * i, scope(BRIDGE, 0, 0, "00.0"));
        }
        refused("0x55e: the scopes up to here name more than 0x100000 requesters", many);
        Table crowd = new Table();
        crowd.drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path), scope(BRIDGE, 0, 0, "01.0 " + path.substring(5)),
            scope(BRIDGE, 0, 0, "02.0 " + path.substring(5)));
        refused("segment 0x0 has more bridges than bus numbers", crowd.bytes());
    }

    @Test
    @DisplayName("Scopes: an RMRR or ATSR that names a bridge says nothing about the bridge's unit")
    void bridgeKeepsItsUnit() {
        Machine machine = open(new Table().rmrr(0, 0x7f800000L, 0x7f800fffL, scope(BRIDGE, 0, 0, "1c.0"))
            .drhd(0, 0, BASE, scope(BRIDGE, 0, 0, "1c.0")).drhd(1, 0, BASE + 0x1000)
            .atsr(0, 0, scope(BRIDGE, 0, 0, "1c.0")).bytes());
        assertEquals("/drhd@fed90000", machine.slots().get(1).requester(0, 0).unit());
    }

    @Test
    @DisplayName("RMRRs inside memory are never free: overlapping, touching and single ones; what is beside them is")
    void rmrrsInsideMemory() {
        Machine machine = open(
            new Table().drhd(1, 0, BASE).rmrr(0, 0x70001000L, 0x70003fffL).rmrr(0, 0x70000000L, 0x70001fffL)
            .rmrr(0, 0x70004000L, 0x70004fffL).rmrr(0, 0x70010000L, 0x70010fffL).bytes());
        for (long kept = 0x70000000L; kept < 0x70005000L; kept += 0x1000) {
            long page = kept;
            assertEquals(Errno.ENOMEM,
                assertThrows(ErrnoException.class, () -> machine.memory().allocateAt(page, 0x1000)).errno());
        }
        assertThrows(ErrnoException.class, () -> machine.memory().allocateAt(0x70010000L, 0x1000));
        for (long free : new long[] {0x6ffff000L, 0x70005000L, 0x7000f000L, 0x70011000L}) {
            machine.memory().allocateAt(free, 0x1000).close();
        }
    }

    @Test
    @DisplayName("A slot covers a place exactly if it has a requester there")
    void covers() {
        Slot root = open(
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.1"), scope(BRIDGE, 0, 0, "1c.0")).bytes()).slots()
            .get(0);
        for (int place = 0; place < 256; place++) {
            int at = place;
            assertEquals(place == (2 << 3 | 1), root.covers(place >> 3, place & 7), Integer.toHexString(place));
            if (!root.covers(place >> 3, place & 7)) {
                assertEquals(Errno.ENXIO,
                    assertThrows(ErrnoException.class, () -> root.requester(at >> 3, at & 7)).errno());
            }
        }
    }

    @Test
    @DisplayName("ATSR, RHSA, ANDD, SATC become nodes to look at")
    void others() {
        Machine machine = open(new Table().drhd(1, 0, BASE).atsr(0, 0, scope(BRIDGE, 0, 0, "1c.0")).rhsa(BASE, 3)
            .andd(1, "\\_SB.PC00.I2C0").satc(0, scope(ENDPOINT, 0, 0, "02.0")).bytes());
        assertEquals(List.of("/atsr@40", "/rhsa@fed90000", "/andd@1", "/satc@7b"),
            machine.nodes().subList(3, 7).stream().map(Node::path).toList());
        assertArrayEquals(new int[] {0xe0}, machine.nodes().get(3).cells("bridges"));
        assertArrayEquals(new int[] {3}, machine.nodes().get(4).cells("proximity"));
        assertEquals("\\_SB.PC00.I2C0", machine.nodes().get(5).text("acpi-path"));
        assertArrayEquals(new int[] {0x10}, machine.nodes().get(6).cells("endpoints"));
        warned("0x49: ANDD name is not ASCII up to a 0; the structure is left out",
            new Table().drhd(1, 0, BASE).andd(1, "A\u00ff"));
        warned("0x4a: ANDD name", new Table().drhd(1, 0, BASE).raw(4, "00000001 414243"));
        warned("0x40: RHSA for a unit at 0xfed94000, which is not there",
            new Table().drhd(1, 0, BASE).rhsa(BASE + 0x4000, 1));
        warned("0x40: RHSA for a unit at 0xffffffffffffffff", new Table().drhd(1, 0, BASE).rhsa(-1, 1));
        warned("0x48: device scope of 0x1 bytes where",
            new Table().drhd(1, 0, BASE).satc(0, new byte[] {1, 1, 0, 0, 0, 0, 2, 0}));
    }

    @Test
    @DisplayName("More units or bytes than any firmware has are refused before they cost memory")
    void tooMuch() {
        Table units = new Table();
        for (int i = 0; i <= 128; i++) {
            units.drhd(0, 0, 0x1_0000_0000L + 0x1000L * i);
        }
        refused("DMAR at offset 0x30: 129 remapping units (DRHD); more than 128 are not believed", units.bytes());
        byte[] large = Arrays.copyOf(units.bytes(), 0x10010);
        System.arraycopy(new byte[] {0x10, 0, 1, 0}, 0, large, 4, 4);
        refused("DMAR at offset 0x4: 0x10010 bytes; more than 0x10000 are not believed", large);
    }

    @Test
    @DisplayName("P6: mutated tables make a machine or one line of EINVAL with a hex number (-Dgantry.seed)")
    void fuzz() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("DmarReaderTest.fuzz: -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        byte[][] seeds = {Q35Table.bytes(), new Table().drhd(0, 0, BASE, scope(BRIDGE, 0, 0, "1c.0 01.0"))
            .drhd(1, 1, BASE + 0x1000).rmrr(1, 0x90000000L, 0x90ffffffL, scope(BRIDGE, 0, 3, "00.0")).atsr(0, 1)
            .rhsa(BASE, 1).andd(1, "\\_SB").satc(0, scope(ENDPOINT, 0, 0, "02.0")).raw(6, "00").bytes()};
        int machines = 0;
        for (int i = 0; i < 15_000; i++) {
            byte[] table = mutate(random, seeds[random.nextInt(seeds.length)].clone());
            try {
                Machine machine = open(table);
                machines++;
                machine.slots().forEach(slot -> probe(slot, random));
            } catch (ErrnoException e) {
                assertEquals(Errno.EINVAL, e.errno(), () -> "seed " + seed);
                assertTrue(e.getMessage().matches("EINVAL: .*0x[0-9a-f]+.*"),
                    () -> "seed " + seed + ": " + e.getMessage());
            } catch (RuntimeException | Error e) {
                throw new AssertionError("seed " + seed + " round " + i, e);
            }
        }
        assertTrue(machines > 500, "the fuzzer gets past the checks: " + machines);
    }

    private static byte[] mutate(Random random, byte[] table) {
        if (random.nextInt(10) == 0) {
            table = Arrays.copyOf(table, random.nextInt(table.length + 20));
        }
        for (int n = 1 + random.nextInt(3); n > 0 && table.length > 0; n--) {
            table[random.nextInt(table.length)] = (byte) switch (random.nextInt(3)) {
                case 0 -> random.nextInt(256);
                case 1 -> random.nextInt(9);
                default -> 0xff;
            };
        }
        if (table.length > 9 && random.nextInt(20) != 0) {
            if (random.nextInt(4) != 0) {
                System.arraycopy(
                    new byte[] {'D', 'M', 'A', 'R', (byte) table.length, (byte) (table.length >> 8), 0, 0}, 0, table,
                    0, 8);
            }
            Table.checksummed(table);
        }
        return table;
    }

    private static void probe(Slot slot, Random random) {
        try {
            slot.requester(random.nextInt(32), random.nextInt(8));
        } catch (ErrnoException e) {
            assertEquals(Errno.ENXIO, e.errno());
        }
    }
}
