// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Violation;
import iommu.api.Windows;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The worked examples, word by word and address by address. */
class GoldenTest {
    private static final long MIB64 = 64L << 20;
    private static final String UNMAPPED = "00000000 00c10002 00000080 00000004 00000000 00000640 00000000 00000000";

    private final Board board = new Board();
    private final PamuDriver driver = board.driver();

    private IommuDomain rfc() {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 512L << 20));
        domain.set(new Windows(8));
        domain.attach(Board.at(193));
        DmaBuffer ram = board.machine.memory().allocateAt(0x1_0000_0000L, 4 * MIB64);
        domain.map(0, ram, 0, 4 * MIB64, Access.READ_WRITE);
        domain.mapDoorbell(0x1000_0000, 0xf_fe04_4000L, 0x1000);
        domain.mapDoorbell(0x1400_0000, 0xf_fe04_5000L, 0x1000);
        domain.mapDoorbell(0x1800_0000, 0xf_fe04_6000L, 0x1000);
        return domain;
    }

    @Test
    @DisplayName("PAMU example: 512 MiB in 8 windows, every word of the eight entries")
    void words() {
        IommuDomain domain = rfc();
        assertEquals("00000000 00000739 00000080 00000024 00000001 00000640 00000000 00000000", board.primary(193));
        assertEquals("00000000 00c1001b 00000080 00000004 00000001 04000640 00000000 00000000", board.secondary(0));
        assertEquals("00000000 00c1001b 00000080 00000004 00000001 08000640 00000000 00000000", board.secondary(1));
        assertEquals("00000000 00c1001b 00000080 00000004 00000001 0c000640 00000000 00000000", board.secondary(2));
        assertEquals("00000000 00c10013 00000080 00000004 0000000f fe0442c0 00000000 00000000", board.secondary(3));
        assertEquals("00000000 00c10013 00000080 00000004 0000000f fe0452c0 00000000 00000000", board.secondary(4));
        assertEquals("00000000 00c10013 00000080 00000004 0000000f fe0462c0 00000000 00000000", board.secondary(5));
        assertEquals(UNMAPPED, board.secondary(6));
        domain.set(new Enable(false));
        assertEquals("00000000 00000738 00000080 00000024 00000001 00000640 00000000 00000000", board.primary(193));
        assertEquals(Refusal.NO_REQUESTER, board.write(193, 0));
        domain.set(new Enable(true));
        assertEquals(0x1_0000_0000L, board.write(193, 0));
    }

    @Test
    @DisplayName("PAMU example: directly after SET WINDOWS(8), and again after everything was unmapped")
    void empty() {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 512L << 20));
        domain.attach(Board.at(193));
        domain.set(new Windows(8));
        for (int round = 0; round < 2; round++) {
            assertEquals("00000000 00000720 00000080 00000024 00000000 00000640 00000000 00000000", board.primary(193));
            for (int i = 0; i < 7; i++) {
                assertEquals(UNMAPPED, board.secondary(i));
            }
            domain.mapDoorbell(0, 0x1_0000_0000L, 8 * MIB64);
            assertEquals(8 * MIB64, domain.unmap(0, 8 * MIB64));
        }
    }

    @Test
    @DisplayName("PAMU example: the entry starts at P + 64 * LIODN, the tables lie as Linux lays them out")
    void layout() {
        rfc();
        long base = board.register64(0, 0x00);
        assertEquals(0, base % 0x80000);
        assertEquals(base + 0x14000, board.register64(1, 0x08), "PPLA of the other instance");
        assertEquals(base + 0x20000, board.register64(1, 0x10));
        assertEquals(base + 0x40000, board.register64(1, 0x18));
        assertEquals(base + 0x40000, board.register64(0, 0x20));
        assertEquals(base + 0x40800, board.register64(0, 0x28));
        assertEquals(0x739, board.word(base + 0x3040 + 4));
    }

    @Test
    @DisplayName("PAMU example: look-ups, with AVS1 and AVA of each violation")
    void lookups() {
        IommuDomain domain = rfc();
        assertEquals(0x1_0c12_3456L, board.write(193, 0x0c12_3456));
        assertEquals(0xf_fe04_5140L, board.write(193, 0x1400_0140));
        assertEquals(0x1_0000_0000L, board.read(193, 0));
        try (DmaPort device = board.port(193)) {
            assertEquals(0, device.write(0x1400_0140, 4, 0x67));
        }
        assertEquals(List.of(0xf_fe04_5140L), board.rung);
        assertEquals(0, board.register(0, 0x50), "nothing recorded so far");

        assertEquals(Refusal.UNMAPPED, board.write(193, 0x1400_1000));
        violation(0x00c1_0101, 0x1400_1000, "WAV");
        assertEquals(Refusal.DENIED, board.read(193, 0x1000_0140));
        violation(0x00c1_0009, 0x1000_0140, "APV");
        assertEquals(Refusal.UNMAPPED, board.write(193, 0x1c00_0000));
        violation(0x00c1_0181, 0x1c00_0000, "WAV");
        assertEquals(Refusal.UNMAPPED, board.read(193, 0x1fff_fffc));
        violation(0x00c1_0181, 0x1fff_fffc, "WAV");
        assertEquals(Refusal.OUTSIDE, board.write(193, 0x2000_0000));
        violation(0x00c1_0081, 0x2000_0000, "WAV");
        assertEquals(Refusal.NO_REQUESTER, board.write(0x500, 0));
        violation(0x0500_0401, 0, "LAV");
        assertEquals(Refusal.NO_REQUESTER, board.write(194, 0x10));
        violation(0x00c2_0801, 0x10, "LAV");

        assertEquals(0x1_0c12_3456L, domain.lookup(0x0c12_3456, Access.WRITE));
        assertEquals(0xf_fe04_5140L, domain.lookup(0x1400_0140, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x1400_1000, Access.WRITE));
        assertEquals(Refusal.DENIED, domain.lookup(0x1000_0140, Access.READ));
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x1c00_0000, Access.WRITE));
        assertEquals(Refusal.OUTSIDE, domain.lookup(0x2000_0000, Access.WRITE));
    }

    private void violation(int avs1, long address, String reason) {
        assertEquals(String.format("%08x", avs1), String.format("%08x", board.register(0, 0x50)));
        assertEquals(address, board.register64(0, 0x58));
        List<Violation> records = driver.violations();
        assertEquals(1, records.size());
        assertEquals(Board.path(0), records.get(0).unit());
        assertEquals(avs1 >>> 16, records.get(0).requester());
        assertEquals(address, records.get(0).iova());
        assertEquals(reason, records.get(0).reason());
        String start = String.format("AVS1=0x%08x AVA=0x%x", avs1, address);
        assertEquals(start, records.get(0).registers().substring(0, start.length()));
        assertEquals(List.of(), driver.violations());
        assertEquals(4, board.register(0, 0xc1c));
    }

    @Test
    @DisplayName("PAMU example: one 1 GiB window at 0x40000000; a smaller mapping shrinks WSE")
    void oneWindow() {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0x4000_0000, 1L << 30));
        domain.set(new Windows(1));
        domain.attach(Board.at(5));
        assertEquals("00000000 40000740 00000080 00000004 00000000 00000000 00000000 00000000", board.primary(5));
        domain.map(0x4000_0000, board.machine.memory().allocateAt(0x2_4000_0000L, 1L << 30), 0, 1L << 30,
            Access.READ_WRITE);
        assertEquals("00000000 40000759 00000080 00000004 00000002 40000000 00000000 00000000", board.primary(5));
        assertEquals(0x2_7fff_fffcL, board.read(5, 0x7fff_fffc));
        domain.unmap(0, 1L << 36);
        domain.mapDoorbell(0x4000_0000, 0xf_fe04_4000L, 0x1000);
        assertEquals("00000000 400002d1 00000080 00000004 0000000f fe044000 00000000 00000000", board.primary(5));
        assertEquals(Refusal.OUTSIDE, board.write(5, 0x4000_1000));
        assertEquals(Refusal.OUTSIDE, domain.lookup(0x4000_1000, Access.WRITE));
    }

    @Test
    @DisplayName("PAMU example: 16 KiB aperture in 4 windows, window 0 a write-only doorbell")
    void smallAperture() {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 0x4000));
        domain.set(new Windows(4));
        domain.mapDoorbell(0, 0xf_fe04_4000L, 0x1000);
        domain.attach(Board.at(0));
        assertEquals("00000000 00000371 00000080 00000014 0000000f fe0442c0 00000000 00000000", board.primary(0));
        assertEquals(0xf_fe04_4140L, board.write(0, 0x140));
    }

    @Test
    @DisplayName("PAMU example: 256 windows of 4 MiB at 0x8_00000000 with FSPI 0x100, CID 0x21; OMI 2 by hand")
    void manyWindows() {
        IommuDomain first = driver.open();
        first.set(new Geometry(0, 1L << 20));
        first.set(new Windows(256));
        first.attach(Board.at(1));
        IommuDomain second = driver.open();
        second.set(new Geometry(0, 1L << 20));
        second.set(new Windows(2));
        second.attach(Board.at(2));
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0x8_0000_0000L, 1L << 30));
        domain.set(new Windows(256));
        domain.set(new Stash(1, 1));
        domain.attach(Board.at(3));
        domain.map(0x8_0000_0000L, board.machine.memory().allocateAt(0x1_2340_0000L, 4L << 20), 0, 4L << 20,
            Access.READ);
        assertEquals("00000008 00000769 00000080 00210074 00000001 23400540 00000100 00000000", board.primary(3));
        long entry = board.register64(0, 0) + 64 * 3;
        board.entry(entry, "00000008 00000769 00000080 00210076 00000001 23400540 00000100 00000002");
        assertEquals(0x1_2345_6788L, board.read(3, 0x8_0005_6788L), "OMI 2 knows a read");
        board.word(entry + 0x1c, 4);
        assertEquals(Refusal.UNSUPPORTED, board.read(3, 0x8_0005_6788L), "OMI 4 is empty");
        assertEquals(0x0003_0003, board.register(0, 0x50));
        assertEquals("00000000 00030002 00000080 00210004 00000000 00000540 00000000 00000000", board.secondary(0x100));
    }

    @Test
    @DisplayName("PAMU example: the boot loader's entry, 64 GiB untranslated, and the one with ATM = 1")
    void boot() {
        long entry = board.register64(0, 0) + 64 * 7;
        board.entry(entry, "00000000 000008d9 00000080 00000000 00000000 00000000 00000000 00000000");
        assertEquals(0xf_ffff_fffcL, board.read(7, 0xf_ffff_fffcL));
        assertEquals(Refusal.OUTSIDE, board.read(7, 0x10_0000_0000L));
        board.entry(entry, "00000000 000008d9 00000080 00000004 00000000 00000000 00000000 00000000");
        assertEquals(0x1234_5678L, board.write(7, 0x1234_5678));
    }

    @Test
    @DisplayName("PAMU: the operation mapping table as drivers fill it")
    void operations() {
        long table = board.register64(0, 0x20);
        assertEquals(0x8081_969d, board.word(table));
        assertEquals(0x9000_0092, board.word(table + 4));
        assertEquals(0x9881_0000, board.word(table + 128));
        assertEquals(0x8081_969b, board.word(table + 256));
        assertEquals(0x9881_0000, board.word(table + 384));
        assertEquals(0, board.word(table + 512));
    }
}
