// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** What belongs to one owner does not reach the next: domain ids, tables, and the memory they lie in. */
class IsolationTest {
    private static final int RW = Access.READ_WRITE;
    private static final int DIRT = 1 << 20;

    private static VtdDriver driver(Bench bench) {
        return new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(20, 0, new Superpages(true, true), true, 256, false));
    }

    private static DmaBuffer memory(Bench bench, long size) {
        return bench.machine.memory().allocate(size, size, Layout.CONTIGUOUS);
    }

    private static void errno(Errno expected, String what, Executable call) {
        assertEquals(expected, assertThrows(ErrnoException.class, call, what).errno(), what);
    }

    /** The pool hands out from its start on: what is allocated next is full of this word. */
    private static void dirt(Bench bench, long word) {
        DmaBuffer all = memory(bench, DIRT);
        byte[] bytes = new byte[DIRT];
        for (int i = 0; i < DIRT; i++) {
            bytes[i] = (byte) (word >>> 8 * (i & 7));
        }
        all.write(0, bytes, 0, DIRT);
        all.close();
        DmaBuffer next = memory(bench, 4096);
        assertEquals(word, bench.bus.read(next.physical(0), 8), "the pool hands out something else");
        next.close();
    }

    @Test
    @DisplayName("P1: one iova in two domains, both in the IOTLB: each device reaches its own domain's memory")
    void domainsShareNothing() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        DmaBuffer[] buffers = {memory(bench, 4096), memory(bench, 4096)};
        DmaPort[] devices = {bench.port(0x10), bench.port(0x18)};
        for (int i = 0; i < 2; i++) {
            IommuDomain domain = driver.open();
            domain.attach(Bench.at(0x10 + 8 * i));
            domain.map(0x5000, buffers[i], 0, 4096, RW);
        }
        for (int round = 1; round < 5; round++) {
            for (int i = 0; i < 2; i++) {
                assertEquals(Bus.OK, devices[i].write(0x5000 + 8 * round, 8, 16 * round + i));
                assertEquals(16 * round + i, bench.bus.read(buffers[i].physical(8 * round), 8));
            }
        }
    }

    @Test
    @DisplayName("VT-d 4.2: domain id 0 is what not-present entries are cached under, and no domain's")
    void domainIdZero() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        driver.open().attach(Bench.at(0x10));
        driver.open().attach(Bench.at(0x11));
        long contexts = bench.bus.read(bench.reg8(0x20), 8) & -4096;
        assertEquals(0x102, bench.bus.read(contexts + 16 * 0x10 + 8, 8), "domain id 1, 4 levels");
        assertEquals(0x202, bench.bus.read(contexts + 16 * 0x11 + 8, 8));
    }

    @Test
    @DisplayName("P1: a domain id goes to the next domain, what is cached under it does not: after detach and after "
        + "close")
    void domainIdsAreClean() {
        for (boolean close : new boolean[] {false, true}) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            VtdDriver driver = driver(bench);
            DmaBuffer buffer = memory(bench, 4096);
            IommuDomain first = driver.open();
            first.attach(Bench.at(0x10));
            first.map(0x5000, buffer, 0, 4096, RW);
            assertEquals(Bus.OK, bench.port(0x10).write(0x5000, 8, 1));
            if (close) {
                first.close();
            } else {
                first.detach(Bench.at(0x10));
            }
            IommuDomain second = driver.open();
            second.attach(Bench.at(0x18));
            assertEquals(Refusal.UNMAPPED, bench.port(0x18).write(0x5000, 8, 2));
            assertEquals(Refusal.NO_REQUESTER, bench.port(0x10).write(0x5000, 8, 3));
            assertEquals(1, bench.bus.read(buffer.physical(0), 8));
        }
    }

    @Test
    @DisplayName("P1: tables in memory that nobody has zeroed let through what is mapped, and nothing else")
    void dirtyTables() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        // As a root, context or page entry: present, readable, writable.
        dirt(bench, 0x0180_0003L);
        DmaBuffer buffer = memory(bench, 4096);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.map(0x1000, buffer, 0, 4096, RW);
        DmaPort device = bench.port(0x10);
        assertEquals(Bus.OK, device.write(0x1000, 8, 7));
        for (long iova : new long[] {0, 0x2000, 0x20_0000, 0x4000_0000L, 0x80_0000_0000L}) {
            assertEquals(Refusal.UNMAPPED, device.write(iova, 8, 7), "0x" + Long.toHexString(iova));
        }
        assertEquals(Refusal.NO_REQUESTER, bench.port(0x18).write(0x1000, 8, 7), "no context entry");
        assertEquals(Refusal.NO_REQUESTER, bench.port(0x210).write(0x1000, 8, 7), "no root entry");
    }

    @Test
    @DisplayName("P2: a queue in memory that nobody has zeroed: what lies there is no answer of the unit")
    void dirtyQueue() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        dirt(bench, 0x1_0000_0001L);
        // Does not look at the first request before there is a second.
        bench.sick = new Bench.Sick() {
            private int requests;

            @Override
            public void write(Mmio registers, long offset, int size, long value) {
                if (offset != VtdRegisters.IQT || value == 0 || requests++ > 0) {
                    registers.write(Bus.CPU, offset, size, value);
                }
            }
        };
        errno(Errno.ETIMEDOUT, "the number of the first request was there before", () -> driver(bench));
    }

    @Test
    @DisplayName("P1: a root table that is not all zeroes is not taken over, whichever bus its entry is of")
    void othersRootTable() {
        for (int requester : new int[] {0x0010, 0x0510, 0xff10}) {
            Bench bench = new Bench(new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, false, 1024));
            DmaBuffer buffer = memory(bench, 4096);
            IommuDomain crashed = driver(bench).open();
            crashed.attach(Bench.at(requester));
            crashed.map(0x5000, buffer, 0, 4096, RW);
            assertEquals(Bus.OK, bench.port(requester).write(0x5000, 8, 1));
            long root = bench.reg8(0x20);
            IommuDomain next = driver(bench).open();
            assertNotEquals(root, bench.reg8(0x20));
            assertEquals(Refusal.NO_REQUESTER, bench.port(requester).write(0x5000, 8, 2));
            next.attach(Bench.at(requester));
            assertEquals(Refusal.UNMAPPED, bench.port(requester).write(0x5000, 8, 3));
            next.attach(Bench.at(requester ^ 1));
            assertEquals(1, bench.bus.read(buffer.physical(0), 8));
        }
    }

    @Test
    @DisplayName("detach: both halves of a context entry are zeroes; nobody else's entry goes, nor one's own once it "
        + "is there again")
    void detached() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        IommuDomain domain = driver(bench).open();
        DmaBuffer buffer = memory(bench, 4096);
        domain.map(0x5000, buffer, 0, 4096, RW);
        domain.attach(Bench.at(0x10));
        domain.attach(Bench.at(0x11));
        domain.attach(Bench.at(0x12));
        long contexts = bench.bus.read(bench.reg8(0x20), 8) & -4096;
        domain.detach(Bench.at(0x11));
        assertEquals(0, bench.bus.read(contexts + 0x110, 8) | bench.bus.read(contexts + 0x118, 8));
        domain.attach(Bench.at(0x11));
        domain.detach(Bench.at(0x12));
        assertEquals(0, bench.bus.read(contexts + 0x120, 8) | bench.bus.read(contexts + 0x128, 8));
        assertEquals(Bus.OK, bench.port(0x10).write(0x5000, 8, 1));
        assertEquals(Bus.OK, bench.port(0x11).write(0x5000, 8, 1));
        assertEquals(Refusal.NO_REQUESTER, bench.port(0x12).write(0x5000, 8, 1));
    }

    @Test
    @DisplayName("P2: what a driver leaves in RTADDR is a page of zeroes, whichever buses it had")
    void leavesZeroes() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        for (int requester : new int[] {0x0010, 0x7f10, 0xff10}) {
            domain.attach(Bench.at(requester));
        }
        long root = bench.reg8(0x20);
        byte[] page = new byte[4096];
        bench.bus.read(root, page, 0, 4096);
        assertEquals(List.of(1, 1, 1), List.of(page[0] & 1, page[0x7f0] & 1, page[0xff0] & 1));
        driver.close();
        assertEquals(root, bench.reg8(0x20));
        bench.bus.read(root, page, 0, 4096);
        assertArrayEquals(new byte[4096], page);
    }

    @Test
    @DisplayName("P3: a closed domain answers ENODEV to everything and writes no word into what were its tables")
    void closedDomain() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        DmaBuffer buffer = memory(bench, 0x4000);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.map(0x4000, buffer, 0, 0x4000, RW);
        long[] tables = new long[4];
        tables[0] = bench.bus.read((bench.bus.read(bench.reg8(0x20), 8) & -4096) + 16 * 0x10, 8) & -4096;
        for (int i = 1; i < 4; i++) {
            tables[i] = bench.bus.read(tables[i - 1], 8) & -4096;
        }
        domain.close();
        byte[] then = read(bench, tables);
        errno(Errno.ENODEV, "unmap", () -> domain.unmap(0x4000, 0x1000));
        errno(Errno.ENODEV, "map", () -> domain.map(0x10000, buffer, 0, 0x1000, RW));
        errno(Errno.ENODEV, "mapDoorbell", () -> domain.mapDoorbell(0x10000, 0xd000_0000L, 0x1000));
        errno(Errno.ENODEV, "lookup", () -> domain.lookup(0x4000, Access.READ));
        errno(Errno.ENODEV, "attach", () -> domain.attach(Bench.at(0x10)));
        errno(Errno.ENODEV, "set", () -> domain.set(new Superpages(true, true)));
        errno(Errno.ENOENT, "detach", () -> domain.detach(Bench.at(0x10)));
        domain.close();
        assertArrayEquals(then, read(bench, tables));
    }

    @Test
    @DisplayName("P3: a domain whose driver has ended is closed by any thread, and writes no word into what were its "
        + "tables; the driver opens no other")
    void orphan() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        DmaBuffer buffer = memory(bench, 0x1000);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.map(0x4000, buffer, 0, 0x1000, RW);
        driver.close();
        DmaBuffer somebodys = bench.machine.memory().allocate(0x10_0000, 0x1000, DmaMemory.Layout.CONTIGUOUS);
        byte[] pattern = new byte[0x10_0000];
        Arrays.fill(pattern, (byte) 0x5a);
        somebodys.write(0, pattern, 0, pattern.length);
        CompletableFuture.runAsync(domain::close).join();
        domain.close();
        errno(Errno.ENODEV, "open", driver::open);
        byte[] now = new byte[pattern.length];
        somebodys.read(0, now, 0, now.length);
        assertArrayEquals(pattern, now);
    }

    @Test
    @DisplayName("lookup reads the tables before anybody is attached: exact to the byte, a doorbell for WRITE alone; a "
        + "range that was unmapped is mapped again at once")
    void lookups() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        DmaBuffer buffer = memory(bench, 0x4000);
        IommuDomain domain = driver.open();
        domain.map(0x4000, buffer, 0, 0x4000, Access.READ);
        domain.mapDoorbell(0x10000, 0xd000_0000L, 0x1000);
        assertEquals(buffer.physical(0x1235), domain.lookup(0x5235, Access.READ));
        assertTrue(domain.lookup(0x5235, Access.WRITE) < 0);
        assertTrue(domain.lookup(0x8000, Access.READ) < 0);
        assertEquals(0xd000_0140L, domain.lookup(0x10140, Access.WRITE));
        assertTrue(domain.lookup(0x10140, Access.READ) < 0);
        domain.attach(Bench.at(0x10));
        assertEquals(0x4000, domain.unmap(0x4000, 0x4000));
        domain.map(0x4000, buffer, 0, 0x4000, RW);
        assertEquals(0x1000, domain.unmap(0x10000, 0x1000), "a doorbell counts");
        domain.set(new Superpages(false, false));
        assertEquals(new Superpages(false, false), domain.get(Superpages.class));
        driver.close();
    }

    private static byte[] read(Bench bench, long[] pages) {
        byte[] all = new byte[4096 * pages.length];
        for (int i = 0; i < pages.length; i++) {
            bench.bus.read(pages[i], all, 4096 * i, 4096);
        }
        return all;
    }
}
