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
        refused("DMAR at offset 0x4: length field says 0x40, there are 0x41 bytes", Arrays.copyOf(good, 65));
        byte[] flipped = good.clone();
        flipped[20] ^= 1;
        refused("DMAR at offset 0x9: checksum", flipped);
        refused("DMAR at offset 0x24: host address width of 1 bits", with(good.clone(), 36, 0));
        refused("DMAR at offset 0x24: host address width of 256 bits", with(good.clone(), 36, 0xff));
        refused("DMAR at offset 0x0: signature", with(good.clone(), 0, 'X'));
        refused("0x30: no remapping unit (DRHD): this machine has no IOMMU", new Table());
    }

    @Test
    @DisplayName("Structures: lengths are inside the table and enough for their type")
    void lengths() {
        byte[] good = new Table().drhd(1, 0, BASE).bytes();
        refused("DMAR at offset 0x30: structure of 0x0 bytes where 0x10 are left", with(good.clone(), 50, 0));
        refused("DMAR at offset 0x30: structure of 0x11 bytes where 0x10 are left", with(good.clone(), 50, 17));
        refused("DMAR at offset 0x30: DRHD of 0xf bytes", with(good.clone(), 50, 15));
        refused("0x30: DRHD of 0x8 bytes", new Table().raw(0, "00000000"));
        refused("0x30: RMRR of 0x14 bytes", new Table().raw(1, "00000000 0000000000000000 00000000"));
        refused("0x30: ATSR of 0x4 bytes", new Table().raw(2, ""));
        refused("0x30: RHSA of 0x8 bytes", new Table().raw(3, "00000000"));
        refused("0x30: ANDD of 0x8 bytes", new Table().raw(4, "00000001"));
        refused("0x30: SATC of 0x7 bytes", new Table().raw(5, "000000"));
    }

    @Test
    @DisplayName("ACPI: unknown structure and scope types are skipped by their length; reserved fields are not looked at")
    void forwardCompatible() {
        Machine machine = open(new Table().raw(6, "01ff0000 00000000").raw(0x7777, "")
            .drhd(0, 0, BASE, new byte[] {9, 7, 1, 2, 3, 4, 5}, new byte[] {0, 6, 0, 0, 0, 0}, scope(ENDPOINT, 0, 0, "02.0")).bytes());
        assertEquals("/drhd@fed90000", machine.slots().get(0).requester(2, 0).unit());
        assertEquals(List.of("/", "/lapic", "/drhd@fed90000", "/pci0"), machine.nodes().stream().map(Node::path).toList());
    }

    @Test
    @DisplayName("INCLUDE_PCI_ALL: one unit per segment, and the segment's last")
    void includePciAll() {
        refused("0x40: DRHD of segment 0x0 after the one with INCLUDE_PCI_ALL", new Table().drhd(1, 0, BASE).drhd(1, 0, BASE + 0x1000));
        refused("0x40: DRHD of segment 0x0 after the one with INCLUDE_PCI_ALL", new Table().drhd(1, 0, BASE).drhd(0, 0, BASE + 0x1000));
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
        refused("0x38: DRHD base 0x0 is", new Table().drhd(1, 0, 0));
        refused("0x38: DRHD base 0xfed90800 is", new Table().drhd(1, 0, BASE + 0x800));
        refused("0x38: base 0x8000000000 is beyond the host address width of 39 bits", new Table().drhd(1, 0, 1L << 39));
        refused("0x38: base 0xfffffffffffff000 is beyond", new Table().drhd(1, 0, -0x1000L).width(64));
        refused("0xfed90000+0x1000 overlaps 0xfed90000+0x1000", new Table().drhd(0, 0, BASE).drhd(1, 0, BASE).bytes());
        refused("0x0+0x80000000 overlaps 0x1000+0x1000", new Table().drhd(1, 0, 0x1000).bytes());
        refused("0xfee00000+0x100000 overlaps 0xfee01000+0x1000", new Table().drhd(1, 0, 0xfee01000L).bytes());
        byte[] sized = new Table().drhd(1, 0, BASE).bytes();
        assertEquals(0x10000, open(with(sized, 0x35, 4)).nodes().get(2).registers().get(0).size());
        refused("DMAR at offset 0x38: DRHD base 0xfed90000 is not a multiple of its size 0x20000", with(sized, 0x35, 5));
    }

    @Test
    @DisplayName("RMRR: whole pages, inside the address width, apart from registers; overlapping ones are joined")
    void rmrr() {
        refused("0x48: RMRR 0x1000..0x1ffe", new Table().drhd(1, 0, BASE).rmrr(0, 0x1000, 0x1ffe));
        refused("0x48: RMRR 0x1800..0x1fff", new Table().drhd(1, 0, BASE).rmrr(0, 0x1800, 0x1fff));
        refused("0x48: RMRR 0x2000..0x1fff", new Table().drhd(1, 0, BASE).rmrr(0, 0x2000, 0x1fff));
        refused("0x50: limit 0x8000000fff is beyond", new Table().drhd(1, 0, BASE).rmrr(0, 0, 0x8000000fffL));
        refused("DMAR at offset 0x30: RMRRs of more than 0x10000000000 bytes",
            new Table().width(52).drhd(1, 0, BASE).rmrr(0, 1L << 50, (1L << 51) - 1).bytes());
        refused("0xfed00000+0x100000 overlaps 0xfed90000+0x1000",
            new Table().drhd(1, 0, BASE).rmrr(0, 0xfed00000L, 0xfedfffffL).bytes());
        Machine machine = open(new Table().drhd(1, 0, BASE).rmrr(0, 0x7ffff000L, 0x80000fffL).rmrr(0, 0x7ffff000L, 0x7fffffffL)
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
        refused("0x40: device scope of 0x5 bytes where 0x8", new Table().drhd(0, 0, BASE, new byte[] {1, 5, 0, 0, 0, 0, 2, 0}));
        refused("0x40: device scope of 0x6 bytes;", new Table().drhd(0, 0, BASE, new byte[] {1, 6, 0, 0, 0, 0}));
        refused("0x40: device scope of 0x7 bytes;", new Table().drhd(0, 0, BASE, new byte[] {1, 7, 0, 0, 0, 0, 2}));
        refused("0x40: device scope of 0xa bytes where 0x8", new Table().drhd(0, 0, BASE, new byte[] {1, 10, 0, 0, 0, 0, 2, 0}));
        refused("0x40: device scope of 0x3 bytes where 0x3", new Table().drhd(0, 0, BASE, new byte[] {1, 8, 0}));
        refused("0x46: PCI device 0x20 function 0x0", new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "20.0")));
        refused("0x48: PCI device 0x0 function 0x8", new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0 00.8")));
        refused("0x58: device scope belongs to /drhd@fed90000 already and to /drhd@fed91000 now",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0")).drhd(0, 0, BASE + 0x1000, scope(ENDPOINT, 0, 0, "02.0")));
        refused("0x48: device 0x2 function 0x0 on bus 0x0 is a bridge in one scope and an endpoint in another",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0"), scope(BRIDGE, 0, 0, "02.0")));
        refused("0x4a: device 0x2 function 0x0 on bus 0x0 is a bridge in one scope and an endpoint in another",
            new Table().drhd(0, 0, BASE, scope(ENDPOINT, 0, 0, "02.0 00.0"), scope(ENDPOINT, 0, 0, "02.0")));
    }

    @Test
    @DisplayName("Scopes: exact endpoint beats bridge, the nearest bridge beats a farther one, all beats none")
    void coverage() {
        Machine machine = open(new Table()
            .drhd(0, 0, BASE, scope(BRIDGE, 0, 0, "1c.0"))
            .drhd(0, 0, BASE + 0x1000, scope(BRIDGE, 0, 0, "1c.0 01.0"))
            .drhd(0, 0, BASE + 0x2000, scope(ENDPOINT, 0, 0, "1c.0 01.0 00.0"))
            .drhd(1, 0, BASE + 0x3000, scope(IOAPIC, 2, 0, "1c.0 02.0 00.0")).bytes());
        assertEquals(List.of("pci0", "0000:00:1c.0", "0000:01:01.0", "0000:01:02.0"), machine.slots().stream().map(Slot::name).toList());
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
        Machine machine = open(new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, "01.0"), scope(BRIDGE, 0, 1, "00.0")).bytes());
        assertEquals(List.of("pci0", "pci0.01", "0000:00:01.0", "0000:01:00.0"), machine.slots().stream().map(Slot::name).toList());
        assertEquals(List.of(0x0f8, 0x1f8, 0x2f8, 0x3f8), machine.slots().stream().map(slot -> slot.requester(0x1f, 0).id()).toList());
    }

    @Test
    @DisplayName("Scopes: an RMRR's bridge stands for every function below; a bridge on a very long path is survived")
    void bridgesBelow() {
        Machine machine = open(new Table().drhd(1, 0, BASE)
            .rmrr(0, 0x7f800000L, 0x7f800fffL, scope(BRIDGE, 0, 0, "1c.0"), scope(ENDPOINT, 0, 0, "1c.0 03.0 00.0")).bytes());
        int[] requesters = machine.nodes().get(3).cells("requesters");
        assertEquals(512, requesters.length);
        assertEquals(0x100, requesters[0]);
        assertEquals(0x2ff, requesters[511]);
        String path = "00.0 ".repeat(123) + "00.0";
        assertEquals(125, open(new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path)).bytes()).slots().size());
        Table many = new Table().drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path));
        for (int i = 0; i < 40; i++) {
            many.rmrr(0, 0x7f800000L, 0x7f800fffL, scope(BRIDGE, 0, 0, "00.0"));
        }
        refused("0x55e: the scopes up to here name more than 0x100000 requesters", many);
        Table crowd = new Table();
        crowd.drhd(1, 0, BASE, scope(BRIDGE, 0, 0, path), scope(BRIDGE, 0, 0, "01.0 " + path.substring(5)),
            scope(BRIDGE, 0, 0, "02.0 " + path.substring(5)));
        refused("segment 0x0 has more bridges than bus numbers", crowd.bytes());
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
        refused("0x49: ANDD name", new Table().drhd(1, 0, BASE).andd(1, "A\u00ff"));
        refused("0x4a: ANDD name", new Table().drhd(1, 0, BASE).raw(4, "00000001 414243"));
    }

    @Test
    @DisplayName("More units or bytes than any firmware has are refused before they cost memory")
    void tooMuch() {
        Table units = new Table();
        for (int i = 0; i <= 128; i++) {
            units.drhd(0, 0, 0x1_0000_0000L + 0x1000L * i);
        }
        refused("DMAR at offset 0x30: 129 remapping units (DRHD); more than 128 are not believed", units.bytes());
        refused("DMAR at offset 0x4: 0x10010 bytes; more than 0x10000 are not believed", Arrays.copyOf(units.bytes(), 0x10010));
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
                assertTrue(e.getMessage().matches("EINVAL: .*0x[0-9a-f]+.*"), () -> "seed " + seed + ": " + e.getMessage());
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
                System.arraycopy(new byte[] {'D', 'M', 'A', 'R', (byte) table.length, (byte) (table.length >> 8), 0, 0}, 0, table, 0, 8);
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
