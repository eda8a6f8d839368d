// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Windows;
import iommu.pamu.table.OperationMapping;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Every rule and every errno. */
class RulesTest {
    private final Board board = new Board();
    private final PamuDriver driver = board.driver();
    private final IommuDomain domain = driver.open();
    private final DmaBuffer buffer = board.machine.memory().allocate(1 << 20, 1 << 20, Layout.CONTIGUOUS);

    private static void refused(Errno errno, String hint, Executable operation) {
        ErrnoException e = assertThrows(ErrnoException.class, operation);
        assertEquals(errno, e.errno(), e.getMessage());
        assertTrue(e.getMessage().contains(hint), e.getMessage());
    }

    private void aperture(long start, long size, int windows) {
        domain.set(new Geometry(start, size));
        domain.set(new Windows(windows));
    }

    @Test
    @DisplayName("PAMU: what is fresh: nothing set, enabled, nothing passes")
    void fresh() {
        assertEquals(new Geometry(0, 0), domain.get(Geometry.class));
        assertEquals(new Windows(0), domain.get(Windows.class));
        assertEquals(new Enable(true), domain.get(Enable.class));
        assertEquals(new Stash(0, 0), domain.get(Stash.class));
        domain.attach(Board.at(1));
        assertEquals(Refusal.NO_REQUESTER, board.read(1, 0));
        assertEquals(Refusal.NO_REQUESTER, domain.lookup(0, Access.READ));
        domain.set(new Enable(true));
        assertEquals(0, domain.unmap(0, 1L << 36));
    }

    @Test
    @DisplayName("PAMU: capabilities: windowed, pages of 2^12..2^36, 256 windows, 36 bits, contiguous, nothing "
        + "reserved")
    void capabilities() {
        assertTrue(driver.capabilities().windowed());
        assertEquals(0x1f_ffff_f000L, driver.capabilities().pageSizes());
        assertEquals(256, driver.capabilities().maxWindows());
        assertEquals(0, driver.capabilities().apertureStart());
        assertEquals(0xf_ffff_ffffL, driver.capabilities().apertureEnd());
        assertTrue(driver.capabilities().contiguous());
        assertEquals(List.of(), driver.reservedRegions(Board.at(1)));
        assertEquals(List.of(Board.WIRE), driver.violationWires());
    }

    @Test
    @DisplayName("PAMU: the aperture's size is a power of two from 4 KiB, its start a multiple of it, inside 36 bits")
    void geometry() {
        refused(Errno.EINVAL, "power of two", () -> domain.set(new Geometry(0, 0)));
        refused(Errno.EINVAL, "power of two", () -> domain.set(new Geometry(0, 0x800)));
        refused(Errno.EINVAL, "power of two", () -> domain.set(new Geometry(0, 0x3000)));
        refused(Errno.EINVAL, "0xfffffffff", () -> domain.set(new Geometry(0, 1L << 37)));
        refused(Errno.EINVAL, "power of two", () -> domain.set(new Geometry(0, Long.MIN_VALUE)));
        refused(Errno.EINVAL, "0xfffffffff", () -> domain.set(new Geometry(1L << 36, 0x1000)));
        refused(Errno.EINVAL, "0xfffffffff", () -> domain.set(new Geometry(-0x1000, 0x1000)));
        refused(Errno.EINVAL, "multiple", () -> domain.set(new Geometry(0x1000, 0x2000)));
        assertEquals(new Geometry(0, 0), domain.get(Geometry.class), "unchanged by all that");
        domain.set(new Geometry(0, 1L << 36));
        domain.set(new Geometry(0xf_ffff_f000L, 0x1000));
        aperture(0xf_ffff_f000L, 0x1000, 1);
        domain.map(0xf_ffff_f000L, buffer, 0, 0x1000, Access.READ);
        domain.attach(Board.at(1));
        assertEquals(buffer.physical(8), board.read(1, 0xf_ffff_f008L));
    }

    @Test
    @DisplayName("PAMU: window count is a power of two in 1..256; geometry comes first; no window below 4 KiB")
    void windows() {
        refused(Errno.EINVAL, "geometry first", () -> domain.set(new Windows(4)));
        domain.set(new Geometry(0, 0x10000));
        for (int count : new int[] {0, -1, 3, 255, 257, 512, Integer.MIN_VALUE}) {
            refused(Errno.EINVAL, "power of two in 1..256", () -> domain.set(new Windows(count)));
        }
        refused(Errno.EINVAL, "smaller than 0x1000", () -> domain.set(new Windows(32)));
        domain.set(new Windows(16));
        domain.set(new Geometry(0, 0x10000));
        assertEquals(new Windows(16), domain.get(Windows.class), "the same geometry again changes nothing");
        domain.set(new Geometry(0, 0x8000));
        assertEquals(new Windows(0), domain.get(Windows.class), "another geometry unsets the count");
    }

    @Test
    @DisplayName("PAMU: geometry and windows stand while something is mapped: EBUSY, and nothing lapses")
    void busy() {
        aperture(0, 0x10000, 4);
        domain.attach(Board.at(1));
        domain.map(0x4000, buffer, 0, 0x4000, Access.READ_WRITE);
        refused(Errno.EBUSY, "unmap first", () -> domain.set(new Geometry(0, 0x20000)));
        refused(Errno.EBUSY, "unmap first", () -> domain.set(new Geometry(0, 0x10000)));
        refused(Errno.EBUSY, "unmap first", () -> domain.set(new Windows(8)));
        assertEquals(buffer.physical(0), board.read(1, 0x4000));
        domain.unmap(0x4000, 0x4000);
        domain.set(new Windows(8));
        assertEquals(Refusal.NO_REQUESTER, board.read(1, 0x4000));
        domain.map(0x2000, buffer, 0x2000, 0x2000, Access.READ_WRITE);
        assertEquals(buffer.physical(0x2000), board.read(1, 0x2000));
        assertEquals(Refusal.UNMAPPED, board.read(1, 0x4000));
    }

    @Test
    @DisplayName("PAMU: map refuses what no window can hold, names the rule, and changes nothing")
    void map() {
        refused(Errno.EINVAL, "set the geometry", () -> domain.map(0, buffer, 0, 0x1000, Access.READ));
        domain.set(new Geometry(0x10000, 0x10000));
        refused(Errno.EINVAL, "then the windows", () -> domain.map(0x10000, buffer, 0, 0x1000, Access.READ));
        domain.set(new Windows(4));
        domain.attach(Board.at(1));
        refused(Errno.EINVAL, "access", () -> domain.map(0x10000, buffer, 0, 0x4000, 0));
        refused(Errno.EINVAL, "access", () -> domain.map(0x10000, buffer, 0, 0x4000, 4));
        refused(Errno.EINVAL, "buffer of", () -> domain.map(0x10000, buffer, -1, 0x4000, Access.READ));
        refused(Errno.EINVAL, "buffer of", () -> domain.map(0x10000, buffer, 0, 0, Access.READ));
        refused(Errno.EINVAL, "buffer of", () -> domain.map(0x10000, buffer, 0, -0x4000, Access.READ));
        refused(Errno.EINVAL, "buffer of", () -> domain.map(0x10000, buffer, 0xff000, 0x4000, Access.READ));
        refused(Errno.EINVAL, "aperture 0x10000..0x1ffff", () -> domain.map(0xc000, buffer, 0, 0x4000, Access.READ));
        refused(Errno.EINVAL, "aperture", () -> domain.map(0x1c000, buffer, 0, 0x8000, Access.READ));
        refused(Errno.EINVAL, "aperture", () -> domain.map(-0x4000, buffer, 0, 0x4000, Access.READ));
        refused(Errno.EINVAL, "start of a window", () -> domain.map(0x11000, buffer, 0, 0x1000, Access.READ));
        refused(Errno.EINVAL, "multiple of the window size", () -> domain.map(0x10000, buffer, 0, 0x3000, Access.READ));
        refused(Errno.EINVAL, "multiple of the window size", () -> domain.map(0x10000, buffer, 0, 0x6000, Access.READ));
        refused(Errno.EINVAL, "multiple of the window size", () -> domain.map(0x10000, buffer, 0, 0x800, Access.READ));
        refused(Errno.EFAULT, "multiple of the mapping",
            () -> domain.map(0x10000, buffer, 0x1000, 0x4000, Access.READ));
        refused(Errno.EINVAL, "36-bit", () -> domain.mapDoorbell(0x10000, 1L << 36, 0x1000));
        refused(Errno.EINVAL, "36-bit", () -> domain.mapDoorbell(0x10000, 0, 0));
        refused(Errno.EINVAL, "whole 4 KiB pages", () -> domain.mapDoorbell(0x10000, 0xf_fe04_4140L, 0x1000));
        assertEquals("00000000 000103e0 00000080 00000014 00000000 00000340 00000000 00000000", board.primary(1));

        domain.map(0x18000, buffer, 0, 0x2000, Access.READ);
        refused(Errno.EEXIST, "unmap it", () -> domain.map(0x18000, buffer, 0, 0x4000, Access.READ));
        refused(Errno.EEXIST, "unmap it", () -> domain.map(0x10000, buffer, 0, 0x10000, Access.READ));
        assertEquals(Refusal.UNMAPPED, board.read(1, 0x10000), "all or nothing");
        domain.map(0x10000, buffer, 0, 0x8000, Access.READ);
        domain.map(0x1c000, buffer, 0x1000, 0x1000, Access.WRITE);
        assertEquals(buffer.physical(0x4004), board.read(1, 0x14004));
        assertEquals(buffer.physical(0x1004), board.write(1, 0x1c004));
        assertEquals(Refusal.DENIED, board.read(1, 0x1c004));
        assertEquals(Refusal.UNMAPPED, board.read(1, 0x1a000), "PAMU: beyond SWSE");
    }

    @Test
    @DisplayName("PAMU: memory behind one window is contiguous, that behind several need not be: EFAULT")
    void contiguous() {
        DmaBuffer scattered = board.machine.memory().allocate(0x4000, 0x1000, Layout.SCATTERED);
        aperture(0, 0x8000, 4);
        domain.attach(Board.at(1));
        refused(Errno.EFAULT, "contiguous", () -> domain.map(0, scattered, 0, 0x2000, Access.READ));
        refused(Errno.EFAULT, "contiguous", () -> domain.map(0, scattered, 0, 0x4000, Access.READ));
        domain.set(new Windows(8));
        domain.map(0, scattered, 0, 0x4000, Access.READ);
        for (int page = 0; page < 4; page++) {
            assertEquals(scattered.physical(page * 0x1000), board.read(1, page * 0x1000));
        }
    }

    @Test
    @DisplayName("PAMU: unmap takes windows one by one, never part of one; returns bytes of mappings removed")
    void unmap() {
        aperture(0x10000, 0x10000, 4);
        domain.attach(Board.at(1));
        domain.map(0x10000, buffer, 0, 0xc000, Access.READ);
        domain.mapDoorbell(0x1c000, 0xf_fe04_4000L, 0x1000);
        refused(Errno.EINVAL, "empty", () -> domain.unmap(0x10000, 0));
        refused(Errno.EINVAL, "wraps", () -> domain.unmap(0x10000, -1));
        refused(Errno.EINVAL, "whole windows", () -> domain.unmap(0x10000, 0x2000));
        refused(Errno.EINVAL, "whole windows", () -> domain.unmap(0x12000, 0x10000));
        refused(Errno.EINVAL, "whole windows", () -> domain.unmap(0x10000, 0x6000));
        assertEquals(buffer.physical(0), board.read(1, 0x10000));
        assertEquals(0, domain.unmap(0, 0x10000));
        assertEquals(0, domain.unmap(0x20000, 0x1000));
        assertEquals(0, domain.unmap(0x1d000, 0x3000), "behind the doorbell's 4 KiB");
        assertEquals(0x4000, domain.unmap(0x14000, 0x4000));
        assertEquals(Refusal.UNMAPPED, board.read(1, 0x14000));
        assertEquals(buffer.physical(0x8000), board.read(1, 0x18000));
        assertEquals(0x1000, domain.unmap(0x1c000, 0x1000));
        assertEquals(0x4000, domain.unmap(0xf000, 0x5000));
        assertEquals(Refusal.UNMAPPED, board.read(1, 0x10000));
        assertEquals(0x4000, domain.unmap(0, 1L << 36));
        assertEquals(Refusal.NO_REQUESTER, board.read(1, 0x18000));
    }

    @Test
    @DisplayName("PAMU: LIODNs 0..0x4ff; each in one domain; detached is refused, not bypassed")
    void attach() {
        IommuDomain other = driver.open();
        refused(Errno.EINVAL, "0..0x4ff", () -> domain.attach(Board.at(0x500)));
        refused(Errno.EINVAL, "0..0x4ff", () -> domain.attach(Board.at(-1)));
        domain.attach(Board.at(0x4ff));
        refused(Errno.EEXIST, "0x4ff", () -> domain.attach(Board.at(0x4ff)));
        refused(Errno.EBUSY, "detach", () -> other.attach(Board.at(0x4ff)));
        refused(Errno.ENOENT, "0x4ff", () -> other.detach(Board.at(0x4ff)));
        aperture(0, 0x4000, 4);
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        domain.attach(Board.at(0));
        for (int window = 0; window < 4; window++) {
            assertEquals(buffer.physical(window * 0x1000), board.write(0x4ff, window * 0x1000));
            assertEquals(buffer.physical(window * 0x1000), board.write(0, window * 0x1000), "attached later, replayed");
            assertEquals(buffer.physical(window * 0x1000), domain.lookup(window * 0x1000, Access.WRITE));
        }
        domain.detach(Board.at(0));
        assertEquals(Refusal.NO_REQUESTER, board.write(0, 0));
        assertEquals("00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000", board.primary(0));
        other.attach(Board.at(0));
        other.close();
        other.close();
        domain.attach(Board.at(0));
        domain.close();
        assertEquals(Refusal.NO_REQUESTER, board.write(0x4ff, 0));
        refused(Errno.ENODEV, "closed", () -> domain.attach(Board.at(7)));
        IommuDomain orphan = driver.open();
        driver.close();
        refused(Errno.ENODEV, "closed", () -> orphan.attach(Board.at(7)));
        refused(Errno.ENODEV, "closed", driver::open);
        orphan.close();
    }

    @Test
    @DisplayName("PAMU: ENABLE off refuses everything and keeps mappings; attributes of others are ENOTTY")
    void enable() {
        aperture(0, 0x4000, 4);
        domain.set(new Enable(false));
        domain.attach(Board.at(1));
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        assertEquals(Refusal.NO_REQUESTER, board.read(1, 0x1000));
        assertEquals(buffer.physical(0x1001), domain.lookup(0x1001, Access.READ), "as if it were on");
        domain.detach(Board.at(1));
        assertEquals(buffer.physical(0x1000), domain.lookup(0x1000, Access.WRITE), "of the draft, too");
        domain.attach(Board.at(1));
        domain.unmap(0x1000, 0x1000);
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x1000, Access.READ));
        domain.map(0x1000, buffer, 0x1000, 0x1000, Access.READ_WRITE);
        assertEquals(Refusal.NO_REQUESTER, board.read(1, 0x1000));
        domain.set(new Enable(true));
        assertEquals(new Enable(true), domain.get(Enable.class));
        assertEquals(buffer.physical(0x1000), board.read(1, 0x1000));
        record Other() implements DomainAttribute {
            @Override
            public String name() {
                return "other";
            }

            @Override
            public Map<String, Object> values() {
                return Map.of();
            }
        }
        refused(Errno.ENOTTY, "Other", () -> domain.set(new Other()));
        refused(Errno.ENOTTY, "Other", () -> domain.get(Other.class));
    }

    @Test
    @DisplayName("PAMU: stash id from cache-stash-id, L1 of the cpu, L2 by next-level-cache; what is missing is EINVAL")
    void stash() {
        aperture(0, 0x4000, 4);
        domain.attach(Board.at(1));
        domain.map(0, buffer, 0, 0x4000, Access.READ_WRITE);
        domain.set(new Stash(1, 1));
        assertEquals(0x0021_0014, board.word(board.register64(0, 0) + 64 + 12));
        domain.set(new Stash(0, 2));
        assertEquals(0x0022_0014, board.word(board.register64(0, 0) + 64 + 12));
        assertEquals(0x0022_0004, board.word(board.register64(0, 0x10) + 12), "secondaries too");
        assertEquals(buffer.physical(0x1000), board.read(1, 0x1000));
        refused(Errno.EINVAL, "1, 2 or 3", () -> domain.set(new Stash(0, 0)));
        refused(Errno.EINVAL, "no cpu node has reg 9", () -> domain.set(new Stash(9, 1)));
        refused(Errno.EINVAL, "no property cache-stash-id", () -> domain.set(new Stash(2, 1)));
        refused(Errno.EINVAL, "no next-level-cache", () -> domain.set(new Stash(2, 2)));
        refused(Errno.EINVAL, "does not fit", () -> domain.set(new Stash(0, 3)));
        assertEquals(new Stash(0, 2), domain.get(Stash.class));
    }

    @Test
    @DisplayName("PAMU: SPAACT entries do not leak over 1000 SET WINDOWS (the vendor's did after 8)")
    void noLeak() {
        domain.set(new Geometry(0, 1L << 30));
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        for (int i = 0; i < 1000; i++) {
            domain.set(new Windows(i % 3 == 0 ? 128 : 256));
            domain.set(new Geometry(0, i % 2 == 0 ? 1L << 30 : 1L << 29));
            domain.set(new Windows(256));
        }
        domain.detach(Board.at(2));
        for (int liodn = 2; liodn <= 8; liodn++) {
            domain.attach(Board.at(liodn));
        }
        refused(Errno.ENOSPC, "SPAACT", () -> domain.attach(Board.at(9)));
        IommuDomain other = driver.open();
        other.attach(Board.at(9));
        other.set(new Geometry(0, 0x1000000));
        refused(Errno.ENOSPC, "SPAACT", () -> other.set(new Windows(256)));
        assertEquals(new Windows(0), other.get(Windows.class));
        other.set(new Windows(8));
        domain.set(new Windows(128));
        other.set(new Windows(256));
        domain.close();
        other.close();
        for (int i = 0; i < 8; i++) {
            IommuDomain each = driver.open();
            each.set(new Geometry(0, 1L << 20));
            each.set(new Windows(256));
            each.attach(Board.at(i));
        }
    }

    @Test
    @DisplayName("PAMU: a window count there is no room for is ENOSPC, and the domain keeps the entries it has")
    void noRoom() {
        aperture(0, 1L << 30, 256);
        for (int liodn = 1; liodn <= 7; liodn++) {
            domain.attach(Board.at(liodn));
        }
        IommuDomain other = driver.open();
        other.set(new Geometry(0, 1L << 20));
        other.set(new Windows(8));
        other.attach(Board.at(9));
        domain.attach(Board.at(10));
        refused(Errno.ENOSPC, "SPAACT", () -> other.set(new Windows(16)));
        assertEquals(new Windows(8), other.get(Windows.class));
        IommuDomain third = driver.open();
        third.set(new Geometry(0, 1L << 20));
        refused(Errno.ENOSPC, "SPAACT", () -> third.set(new Windows(8)));
        other.close();
        third.set(new Windows(8));
        domain.detach(Board.at(10));
        third.attach(Board.at(11));
        third.attach(Board.at(12));
        refused(Errno.ENOSPC, "SPAACT", () -> third.set(new Windows(256)));
        third.set(new Windows(64));
        third.detach(Board.at(12));
        domain.close();
        third.set(new Windows(256));
    }

    @Test
    @DisplayName("P1: a driver's tables know nothing of whose lay in the same memory before")
    void freshTables() {
        aperture(0, 0x2000, 2);
        domain.attach(Board.at(5));
        domain.map(0, buffer, 0, 0x2000, Access.READ_WRITE);
        assertEquals(buffer.physical(0x1000), board.write(5, 0x1000));
        long[] bases = {board.register64(0, 0x00), board.register64(0, 0x10), board.register64(0, 0x20)};
        long ends = board.register64(0, 0x28);
        driver.close();
        try (DmaBuffer before = board.machine.memory().allocateAt(bases[0], 0x80000)) {
            byte[] ones = new byte[(int) before.size()];
            Arrays.fill(ones, (byte) -1);
            before.write(0, ones, 0, ones.length);
        }
        board.driver();
        assertArrayEquals(bases,
            new long[] {board.register64(0, 0x00), board.register64(0, 0x10), board.register64(0, 0x20)});
        assertEquals(Refusal.NO_REQUESTER, board.write(5, 0x1000));
        for (long at = bases[0]; at < bases[2]; at += 8) {
            assertEquals(0, board.bus.read(at, 8), "an entry that nobody has written");
        }
        byte[] operations = new byte[(int) (ends - bases[2])];
        board.bus.read(bases[2], operations, 0, operations.length);
        assertArrayEquals(OperationMapping.contents(), operations);
    }

    @Test
    @DisplayName("PAMU: tables above 4 GiB: the upper words of their registers")
    void highTables() {
        driver.close();
        buffer.close();
        board.machine.memory().allocateAt(0x10_0000, (1L << 32) - 0x10_0000);
        IommuDomain high = board.driver().open();
        high.set(new Geometry(0, 0x2000));
        high.set(new Windows(2));
        high.attach(Board.at(1));
        DmaBuffer memory = board.machine.memory().allocate(0x2000, 0x2000, Layout.CONTIGUOUS);
        high.map(0, memory, 0, 0x2000, Access.READ_WRITE);
        for (int register = 0x00; register < 0x30; register += 8) {
            assertEquals(1, board.register(0, register));
        }
        assertEquals(memory.physical(8), board.write(1, 8));
        assertEquals(memory.physical(0x1008), board.write(1, 0x1008));
    }

    @Test
    @DisplayName("P3: a domain whose driver was closed answers ENODEV and writes no word: its tables are somebody "
        + "else's memory")
    void orphan() {
        aperture(0, 0x8000, 8);
        domain.attach(Board.at(1));
        domain.map(0, buffer, 0, 0x1000, Access.READ_WRITE);
        long base = board.register64(0, 0x00);
        driver.close();
        DmaBuffer somebodys = board.machine.memory().allocateAt(base, 0x80000);
        byte[] pattern = new byte[0x80000];
        Arrays.fill(pattern, (byte) 0x5a);
        somebodys.write(0, pattern, 0, pattern.length);
        refused(Errno.ENODEV, "closed", () -> domain.map(0x1000, buffer, 0x1000, 0x1000, Access.READ));
        refused(Errno.ENODEV, "closed", () -> domain.mapDoorbell(0x1000, 0xf_fe04_4000L, 0x1000));
        refused(Errno.ENODEV, "closed", () -> domain.unmap(0, 0x1000));
        refused(Errno.ENODEV, "closed", () -> domain.attach(Board.at(2)));
        refused(Errno.ENODEV, "closed", () -> domain.detach(Board.at(1)));
        refused(Errno.ENODEV, "closed", () -> domain.set(new Enable(true)));
        refused(Errno.ENODEV, "closed", () -> domain.get(Enable.class));
        refused(Errno.ENODEV, "closed", () -> domain.lookup(0, Access.READ));
        CompletableFuture.runAsync(domain::close).join();
        domain.close();
        byte[] now = new byte[pattern.length];
        somebodys.read(0, now, 0, now.length);
        assertArrayEquals(pattern, now);
    }

    @Test
    @DisplayName("PAMU probe: ENODEV without global utilities or instances, ENOMEM without a block for the tables")
    void probe() {
        LocalMachine bare = TestBoard.named("bare").memory(0, 0x40_0000).nodes(board.node).machine();
        refused(Errno.ENODEV, "PAMUBYPENR", () -> new PamuDriver(bare, board.node, PamuSettings.DEFAULT));
        Node childless = Board.pamu("/iommu", 0, 0);
        refused(Errno.ENODEV, "no PAMU instance", () -> new PamuDriver(board.machine, childless, PamuSettings.DEFAULT));
        driver.close();
        DmaMemory memory = board.machine.memory();
        buffer.close();
        DmaBuffer all = memory.allocate(memory.available(), 0x1000, Layout.CONTIGUOUS);
        refused(Errno.ENOMEM, "0x80000", board::driver);
        assertEquals(0x8000_0000, board.register(0, 0xc10));
        all.close();
        board.driver();
    }

    @Test
    @DisplayName("PAMU attach: two nodes of PAMUs, a driver of one: it serves whom that looks up; EINVAL for others, "
        + "naming where they sit")
    void twoNodes() {
        driver.close();
        Node one = Node.at("/one").compatible("fsl,pamu").children(board.node.children().get(0));
        PamuDriver first = new PamuDriver(board.machine, one, PamuSettings.DEFAULT);
        assertTrue(first.serves(Board.at(5)));
        assertFalse(first.serves(Board.at(1, 5)));
        IommuDomain domain = first.open();
        domain.attach(Board.at(5));
        refused(Errno.EINVAL, "LIODN 0x6 sits behind " + Board.path(1), () -> domain.attach(Board.at(1, 6)));
        refused(Errno.EINVAL, "LIODN 0x5 sits behind " + Board.path(1), () -> domain.attach(Board.at(1, 5)));
        refused(Errno.EINVAL, "/elsewhere, which is none of the PAMUs [" + Board.path(0),
            () -> domain.attach(new Requester(6, "/elsewhere", 0)));
        refused(Errno.ENOENT, Board.path(1), () -> domain.detach(Board.at(1, 5)));
        domain.detach(Board.at(5));
        first.close();
    }

    @Test
    @DisplayName("PAMU attach: a LIODN behind two PAMUs has one entry, and is blocked when it is detached behind both")
    void behindTwo() {
        aperture(0, 0x8000, 8);
        domain.attach(Board.at(5));
        domain.attach(Board.at(1, 5));
        refused(Errno.EEXIST, Board.path(1), () -> domain.attach(Board.at(1, 5)));
        refused(Errno.EBUSY, "0x5", () -> driver.open().attach(Board.at(1, 5)));
        domain.map(0, buffer, 0, 0x1000, Access.READ_WRITE);
        domain.detach(Board.at(5));
        refused(Errno.ENOENT, Board.path(0), () -> domain.detach(Board.at(5)));
        assertTrue(board.write(5, 0) >= 0);
        domain.detach(Board.at(1, 5));
        assertEquals(Refusal.NO_REQUESTER, board.write(5, 0));
        refused(Errno.ENOENT, Board.path(1), () -> domain.detach(Board.at(1, 5)));
        domain.attach(Board.at(1, 5));
        assertTrue(board.write(5, 0) >= 0);
    }

    @Test
    @DisplayName("PAMU: a board without PAMU interrupt has no violation wires")
    void silent() {
        Node silent = Node.at("/quiet").compatible("fsl,pamu").children(board.node.children().toArray(Node[]::new));
        driver.close();
        assertEquals(List.of(), new PamuDriver(board.machine, silent, PamuSettings.DEFAULT).violationWires());
    }
}
