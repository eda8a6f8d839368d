// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import iommu.vtd.unit.VtdSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Refusal;
import machine.api.Requester;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The driver on units of several kinds. */
class VtdDriverTest {
    private static final int RW = Access.READ_WRITE;
    private static final long MIB2 = 2L << 20;
    private static final long GIB = 1L << 30;

    private final List<DmaBuffer> buffers = new ArrayList<>();

    private static VtdDriver driver(Bench bench) {
        return new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT);
    }

    private DmaBuffer memory(Bench bench, long size, long alignment) {
        buffers.add(bench.machine.memory().allocate(size, alignment, Layout.CONTIGUOUS));
        return buffers.get(buffers.size() - 1);
    }

    private static void errno(Errno expected, Executable call) {
        assertEquals(expected, assertThrows(ErrnoException.class, call).errno());
    }

    /** Attach, map, use, unmap, detach; every tables' byte comes back. */
    private void life(VtdSettings settings) {
        Bench bench = new Bench(settings);
        long start = bench.machine.memory().available();
        DmaPort device = bench.port(0x10);
        DmaBuffer buffer = memory(bench, 4 * MIB2, MIB2);
        VtdDriver driver = driver(bench);
        assertEquals(Refusal.NO_REQUESTER, device.write(0x1000, 4, 1), "blocked as soon as the driver is there");
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        assertEquals(Refusal.UNMAPPED, device.write(MIB2, 4, 1));
        domain.map(MIB2, buffer, 0, 2 * MIB2 + 0x3000, RW);
        assertEquals(Bus.OK, device.write(MIB2 + 0x100, 4, 0xcafebabeL));
        assertEquals(0xcafebabeL, bench.bus.read(buffer.physical(0x100), 4));
        assertEquals(Bus.OK, device.write(3 * MIB2 + 0x2ffc, 4, 7));
        assertEquals(Refusal.UNMAPPED, device.write(3 * MIB2 + 0x3000, 4, 7));
        assertEquals(0x1000, domain.unmap(MIB2 + 0x1000, 0x1000), "a page out of a superpage");
        assertEquals(Refusal.UNMAPPED, device.write(MIB2 + 0x1000, 4, 1));
        assertEquals(Bus.OK, device.write(MIB2 + 0x2000, 4, 1));
        domain.map(MIB2 + 0x1000, buffer, 3 * MIB2, 0x1000, Access.READ);
        assertEquals(Refusal.DENIED, device.write(MIB2 + 0x1000, 4, 1));
        assertEquals(buffer.physical(3 * MIB2), domain.lookup(MIB2 + 0x1000, Access.READ));
        assertEquals(Refusal.DENIED, domain.lookup(MIB2 + 0x1000, Access.WRITE));
        assertEquals(2 * MIB2 + 0x3000, domain.unmap(0, 1L << 39));
        assertEquals(Refusal.UNMAPPED, device.write(MIB2 + 0x100, 4, 1));
        assertEquals(0, domain.unmap(0, 1L << 39));
        domain.map(MIB2, buffer, 0, MIB2, RW);
        domain.detach(Bench.at(0x10));
        assertEquals(Refusal.NO_REQUESTER, device.write(MIB2, 4, 1));
        domain.attach(Bench.at(0x10));
        assertEquals(Bus.OK, device.write(MIB2, 4, 1));
        domain.close();
        domain.close();
        assertEquals(Refusal.NO_REQUESTER, device.write(MIB2, 4, 1));
        driver.close();
        assertEquals(Refusal.NO_REQUESTER, device.write(MIB2, 4, 1), "after the driver has gone, too");
        buffer.close();
        assertEquals(start - 4096, bench.machine.memory().available(), "one page of zeroes stays with the unit");
        // A successor takes that page over; then nothing is lost from driver to driver.
        for (int i = 0; i < 3; i++) {
            VtdDriver next = driver(bench);
            next.open().attach(Bench.at(0x10));
            next.close();
            assertEquals(start - 4096, bench.machine.memory().available());
            assertEquals(Refusal.NO_REQUESTER, device.write(MIB2, 4, 1));
        }
    }

    @Test
    @DisplayName("a modern client: 4 levels, queue, superpages, interrupt remapping")
    void client() {
        life(VtdSettings.DEFAULT);
    }

    @Test
    @DisplayName("3 and 5 levels")
    void depths() {
        life(Bench.levels(3));
        life(Bench.levels(5));
    }

    @Test
    @DisplayName("a unit without queue is invalidated by registers")
    void registersOnly() {
        life(Bench.with(0, 0, 0, 0xa));
    }

    @Test
    @DisplayName("VT-d: CM=1 needs invalidation on map and attach as well, by queue and by registers")
    void cachingMode() {
        life(Bench.with(1 << 7, 0, 0, 0));
        life(Bench.with(1 << 7, 0, 0, 0xa));
    }

    @Test
    @DisplayName("RWBF, no page-selective invalidation, no superpages, one fault record, 16 domains")
    void poorUnits() {
        life(Bench.with(1 << 4, 0, 0, 0));
        life(Bench.with(0, 1L << 39, 0, 0));
        life(Bench.with(0, 3L << 34 | 0xffL << 40 | 7, 0, 0));
        life(new VtdSettings(new VtdCapabilities(0xd2008c22260286L, 0xf00f4aL), 39, true, false, 1024));
    }

    @Test
    @DisplayName("attach: two units, a driver of one: it serves the requesters of that unit; EINVAL for those behind "
        + "the other, or behind none")
    void oneOfTwo() {
        Bench bench = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes.subList(0, 1), VtdDriverSettings.DEFAULT);
        assertTrue(driver.serves(new Requester(0x10, bench.nodes.get(0).path(), 0)));
        assertFalse(driver.serves(new Requester(0x10, bench.nodes.get(1).path(), 0)));
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        for (Requester requester : List.of(Bench.at(1, 0x110), new Requester(0x110, "/elsewhere", 1))) {
            ErrnoException e = assertThrows(ErrnoException.class, () -> domain.attach(requester));
            assertEquals(Errno.EINVAL, e.errno());
            assertTrue(e.getMessage().contains("requester 0x110 sits behind " + requester.unit()), e.getMessage());
        }
        driver.close();
    }

    @Test
    @DisplayName("the driver drains by descriptor where it is told to")
    void descriptorDrains() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(1000, 0, new Superpages(true, true), true, 256, true));
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.map(0, memory(bench, 4096, 4096), 0, 4096, RW);
        assertEquals(4096, domain.unmap(0, 4096));
        driver.close();
    }

    @Test
    @DisplayName("capabilities: paged, sizes by SLLPS, aperture by MGAW and depth, the interrupt range and RMRRs "
        + "reserved")
    void capabilities() {
        Bench bench = new Bench(VtdSettings.DEFAULT, Bench.with(0, 2L << 34, 0, 0));
        VtdDriver driver = driver(bench);
        assertFalse(driver.capabilities().windowed());
        assertEquals(0x201000, driver.capabilities().pageSizes(), "1 GiB pages are not in both units");
        assertEquals(0, driver.capabilities().apertureStart());
        assertEquals(0xffff_ffff_ffffL, driver.capabilities().apertureEnd());
        ReservedRegion msi = new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI);
        assertEquals(List.of(msi), driver.capabilities().reserved());
        assertEquals(List.of(msi), driver.reservedRegions(Bench.at(0x20)));
        assertEquals(List.of(new ReservedRegion(0xbf000000L, 0xbf1fffffL, ReservedRegion.Kind.DIRECT), msi),
            driver.reservedRegions(Bench.at(0x10)));
        assertTrue(driver.violationWires().isEmpty());
    }

    @Test
    @DisplayName("the largest pages that fit: iova, memory and length decide, extent by extent")
    void largestPages() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        DmaBuffer buffer = memory(bench, GIB + 2 * MIB2, GIB);
        long before = bench.machine.memory().available();
        IommuDomain domain = driver.open();
        domain.map(GIB, buffer, 0, GIB, RW);
        assertEquals(2 * 4096, before - bench.machine.memory().available(), "root and level 3");
        assertEquals(GIB, domain.unmap(GIB, GIB));
        domain.map(GIB - 0x1000, buffer, MIB2 - 0x1000, GIB + 0x2000, RW);
        assertEquals(7 * 4096, before - bench.machine.memory().available(),
            "4 KiB, 512 x 2 MiB, 4 KiB: root, level 3, 3 x level 2, 2 x 1");
        assertEquals(buffer.physical(MIB2), domain.lookup(GIB, RW));
        assertEquals(GIB + 0x2000, domain.unmap(0, 1L << 40));
        domain.map(0x1000, buffer, 0, MIB2, RW);
        assertEquals(4 * 4096 + 4096, before - bench.machine.memory().available(),
            "not aligned to each other: 4 KiB pages");
        domain.close();
        assertEquals(before, bench.machine.memory().available());
    }

    @Test
    @DisplayName("VT-d SLLPS: 1 GiB pages are split down to 4 KiB where a range cuts them, and not made where the "
        + "unit lacks them")
    void gigabytePages() {
        for (VtdSettings settings : new VtdSettings[] {VtdSettings.DEFAULT, Bench.with(0, 2L << 34, 0, 0)}) {
            Bench bench = new Bench(settings);
            DmaBuffer buffer = memory(bench, GIB, GIB);
            IommuDomain domain = driver(bench).open();
            domain.attach(Bench.at(0x10));
            DmaPort device = bench.port(0x10);
            long before = bench.machine.memory().available();
            domain.map(GIB, buffer, 0, GIB, RW);
            assertEquals(Bus.OK, device.write(GIB + 0x1234, 4, 1));
            assertEquals(MIB2 + 0x2000, domain.unmap(GIB + 3 * MIB2 - 0x1000, MIB2 + 0x2000));
            long[] there = {0, 3 * MIB2 - 0x2000, 4 * MIB2 + 0x1000, 5 * MIB2, GIB - 8};
            for (long at : there) {
                assertEquals(Bus.OK, device.write(GIB + at, 4, at));
                assertEquals(at, bench.bus.read(buffer.physical(at), 4));
            }
            for (long at : new long[] {3 * MIB2 - 0x1000, 3 * MIB2, 4 * MIB2, 4 * MIB2 + 0xfff & -4}) {
                assertEquals(Refusal.UNMAPPED, device.write(GIB + at, 4, 1));
            }
            assertEquals(GIB - MIB2 - 0x2000, domain.unmap(0, 1L << 40));
            assertEquals(before, bench.machine.memory().available());
        }
    }

    @Test
    @DisplayName("a scattered buffer is mapped page by page, from an offset in it")
    void scattered() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        IommuDomain domain = driver(bench).open();
        DmaBuffer buffer = bench.machine.memory().allocate(16 * 4096, 4096, Layout.SCATTERED);
        domain.map(0x10000, buffer, 3 * 4096, 10 * 4096, RW);
        for (int i = 0; i < 10; i++) {
            assertEquals(buffer.physical((3 + i) * 4096), domain.lookup(0x10000 + i * 4096, RW));
        }
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x10000 + 10 * 4096, RW));
    }

    @Test
    @DisplayName("errno: each refusal leaves the domain as it was")
    void errnos() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        IommuDomain other = driver.open();
        DmaBuffer buffer = memory(bench, 4 * MIB2, MIB2);
        domain.map(MIB2, buffer, 0, MIB2, RW);
        long available = bench.machine.memory().available();
        errno(Errno.EINVAL, () -> domain.map(0x100, buffer, 0, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, 0, 100, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, 0, 0, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, 0x10, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, 4 * MIB2, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, -4096, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0, buffer, 0, 4096, 0));
        errno(Errno.EINVAL, () -> domain.map(1L << 48, buffer, 0, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map((1L << 48) - 4096, buffer, 0, 8192, RW));
        errno(Errno.EINVAL, () -> domain.map(-4096, buffer, 0, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0xfee00000L, buffer, 0, 4096, RW));
        errno(Errno.EINVAL, () -> domain.map(0xfedff000L, buffer, 0, 8192, RW));
        errno(Errno.EEXIST, () -> domain.map(MIB2 + 0x1000, buffer, 0, 4096, RW));
        errno(Errno.EEXIST, () -> domain.map(0, buffer, 0, 4 * MIB2, RW));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0, 0xfee00000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0, 0x123, 4096));
        errno(Errno.EINVAL, () -> domain.unmap(0, 0));
        errno(Errno.EINVAL, () -> domain.unmap(1, 4096));
        errno(Errno.EINVAL, () -> domain.unmap(0x2000, Long.MAX_VALUE & -4096));
        errno(Errno.ENOTTY, () -> domain.set(new Geometry(0, 4096)));
        errno(Errno.ENOTTY, () -> domain.get(Geometry.class));
        domain.set(new Superpages(true, false));
        assertEquals(new Superpages(true, false), domain.get(Superpages.class));
        errno(Errno.EINVAL, () -> domain.unmap(MIB2, 0x1000));
        errno(Errno.EINVAL, () -> domain.unmap(2 * MIB2 - 0x1000, 0x2000));
        assertEquals(available, bench.machine.memory().available());
        assertEquals(MIB2, domain.unmap(0, 1L << 40), "nothing of it was lost");
        domain.attach(Bench.at(0x10));
        errno(Errno.EEXIST, () -> domain.attach(Bench.at(0x10)));
        errno(Errno.EBUSY, () -> other.attach(Bench.at(0x10)));
        errno(Errno.EINVAL, () -> other.attach(Bench.at(0x10000)));
        errno(Errno.ENOENT, () -> other.detach(Bench.at(0x10)));
        other.close();
        errno(Errno.ENODEV, () -> other.attach(Bench.at(0x11)));
        errno(Errno.ENODEV, () -> other.map(0, buffer, 0, 4096, RW));
    }

    @Test
    @DisplayName("mapDoorbell is checked as map is, and its page besides: below 2^52 and not in the interrupt range, "
        + "to the last page")
    void doorbells() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        IommuDomain domain = driver(bench).open();
        DmaBuffer buffer = memory(bench, 4096, 4096);
        domain.map(0x1000, buffer, 0, 4096, RW);
        errno(Errno.EEXIST, () -> domain.mapDoorbell(0x1000, 0xd0000000L, 4096));
        assertEquals(buffer.physical(0), domain.lookup(0x1000, Access.WRITE));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2800, 0xd0000000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, 0xd0000000L, 100));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(1L << 48, 0xd0000000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0xfee00000L, 0xd0000000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0xfeeff000L, 0xd0000000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, 0xfee00000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, 0xfeeff000L, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, 0xfedff000L, 8192));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, 1L << 52, 4096));
        errno(Errno.EINVAL, () -> domain.mapDoorbell(0x2000, -4096, 4096));
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x2000, Access.WRITE));
        long[][] allowed = {{0xfedff000L, 0xd0000000L}, {0xfef00000L, 0xd0000000L}, {0x2000, 0xfedff000L},
            {0x3000, 0xfef00000L}, {(1L << 48) - 4096, (1L << 52) - 4096}, {0, 0}};
        for (long[] each : allowed) {
            domain.mapDoorbell(each[0], each[1], 4096);
            assertEquals(each[1] + 0xffc, domain.lookup(each[0] + 0xffc, Access.WRITE));
            assertEquals(Refusal.DENIED, domain.lookup(each[0], Access.READ), "nobody reads an interrupt controller");
        }
    }

    @Test
    @DisplayName("ENOMEM in the middle of a map or of a split: nothing is left of it")
    void noMemory() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        DmaBuffer buffer = memory(bench, 4 * MIB2, MIB2);
        domain.map(0, buffer, 0, MIB2, RW);
        fill(bench, 3 * 4096);
        domain.set(new Superpages(false, true));
        errno(Errno.ENOMEM, () -> domain.map(GIB - MIB2, buffer, 0, 4 * MIB2, RW));
        assertEquals(3 * 4096, bench.machine.memory().available());
        assertEquals(Refusal.UNMAPPED, domain.lookup(GIB - MIB2, RW));
        fill(bench, 0);
        DmaBuffer rest = buffers.get(buffers.size() - 1);
        errno(Errno.ENOMEM, () -> domain.unmap(0x1000, 0x1000));
        assertEquals(buffer.physical(0x1000), domain.lookup(0x1000, RW));
        rest.close();
        assertEquals(0x1000, domain.unmap(0x1000, 0x1000));
    }

    @Test
    @DisplayName("a split takes the tables it needs and no more; with one too few it is ENOMEM, and everything is as "
        + "it was")
    void tablesOfSplits() {
        long[][] cuts = {{GIB + MIB2, MIB2, 1}, {GIB + 0x1000, 0x1000, 2}, {GIB + 0x1000, 2 * MIB2, 3},
            {GIB, MIB2 + 0x1000, 2}, {GIB + 0x3000, GIB - 0x3000, 2}, {2 * GIB - 0x1000, 0x2000, 4},
            {2 * GIB - MIB2, 2 * MIB2, 2}, {GIB, GIB, 0}};
        for (long[] each : cuts) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            IommuDomain domain = driver(bench).open();
            DmaBuffer buffer = memory(bench, GIB, GIB);
            domain.map(GIB, buffer, 0, GIB, RW);
            domain.map(2 * GIB, buffer, 0, GIB, RW);
            String what = String.format("unmap 0x%x+0x%x", each[0], each[1]);
            if (each[2] > 0) {
                fill(bench, (each[2] - 1) * 4096);
                errno(Errno.ENOMEM, () -> domain.unmap(each[0], each[1]));
                assertEquals((each[2] - 1) * 4096, bench.machine.memory().available(), what);
                assertEquals(buffer.physical(each[0] % GIB), domain.lookup(each[0], RW), what);
                DmaBuffer filled = buffers.get(buffers.size() - 1);
                filled.close();
            }
            fill(bench, each[2] * 4096);
            assertEquals(each[1], domain.unmap(each[0], each[1]), what);
            assertEquals(Refusal.UNMAPPED, domain.lookup(each[0], RW), what);
            assertEquals(Refusal.UNMAPPED, domain.lookup(each[0] + each[1] - 1, RW), what);
            assertEquals(each[0] == GIB ? Refusal.UNMAPPED : buffer.physical(each[0] % GIB - 1),
                domain.lookup(each[0] - 1, RW), what);
            assertEquals(buffer.physical((each[0] + each[1]) % GIB), domain.lookup(each[0] + each[1], RW), what);
        }
    }

    @Test
    @DisplayName("P3: a driver whose units do not answer at its end, for so long or longer: all memory is back, or "
        + "ETIMEDOUT and it is kept")
    void slowEnd() {
        boolean ended = false;
        boolean kept = false;
        for (int deaf = 0; deaf < 8; deaf++) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            long start = bench.machine.memory().available();
            VtdDriver driver = new VtdDriver(bench.machine, bench.nodes,
                new VtdDriverSettings(5, 0, new Superpages(true, true), true, 256, false));
            IommuDomain domain = driver.open();
            domain.attach(Bench.at(0x10));
            int[] left = {deaf};
            bench.sick = new Bench.Sick() {
                @Override
                public void write(Mmio registers, long offset, int size, long value) {
                    if (offset != VtdRegisters.IQT || value == 0 || left[0]-- <= 0) {
                        registers.write(Bus.CPU, offset, size, value);
                    }
                }
            };
            try {
                driver.close();
                ended = true;
                assertEquals(start - 4096, bench.machine.memory().available());
            } catch (ErrnoException e) {
                kept = true;
                assertEquals(Errno.ETIMEDOUT, e.errno(), deaf + " orders unheard");
                assertTrue(bench.machine.memory().available() < start - 4096);
            }
            assertEquals(Refusal.NO_REQUESTER, bench.port(0x10).write(0, 4, 1));
        }
        assertTrue(ended && kept);
    }

    /** Takes memory until only that much is left. */
    private void fill(Bench bench, long leave) {
        for (long size = 1L << 40; bench.machine.memory().available() > leave; size >>= 1) {
            try {
                while (bench.machine.memory().available() - leave >= size) {
                    memory(bench, size, 4096);
                }
            } catch (ErrnoException e) {
                assertEquals(Errno.ENOMEM, e.errno());
            }
        }
    }

    @Test
    @DisplayName("ENOSPC when a unit's domain ids are used up; they come back")
    void domainIds() {
        Bench bench = new Bench(Bench.with(0, 7, 0, 0));
        VtdDriver driver = driver(bench);
        List<IommuDomain> domains = new ArrayList<>();
        for (int i = 0; i < 15; i++) {
            domains.add(driver.open());
            domains.get(i).attach(Bench.at(i));
        }
        IommuDomain one = driver.open();
        errno(Errno.ENOSPC, () -> one.attach(Bench.at(15)));
        domains.get(7).close();
        one.attach(Bench.at(15));
    }

    @Test
    @DisplayName("units that differ: depth and page sizes are what all have, each requester goes to its own unit")
    void severalUnits() {
        VtdSettings both = Bench.with(1 << 9, 0, 0, 0);
        Bench bench = new Bench(both, Bench.levels(3));
        VtdDriver driver = driver(bench);
        assertEquals(0x7f_ffff_ffffL, driver.capabilities().apertureEnd());
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x0010));
        domain.attach(Bench.at(1, 0x0110));
        DmaBuffer buffer = memory(bench, 8192, 4096);
        domain.map(0x5000, buffer, 0, 8192, RW);
        for (int requester : new int[] {0x10, 0x110}) {
            assertEquals(Bus.OK, bench.port(requester).write(0x5000, 4, requester));
            assertEquals(requester, bench.bus.read(buffer.physical(0), 4));
        }
        domain.unmap(0x5000, 4096);
        assertEquals(Refusal.UNMAPPED, bench.port(0x10).write(0x5000, 4, 0));
        assertEquals(Refusal.UNMAPPED, bench.port(0x110).write(0x5000, 4, 0));
        errno(Errno.EINVAL, () -> domain.attach(Bench.at(2, 0x0200)));
        Bench apart = new Bench(VtdSettings.DEFAULT, Bench.levels(3));
        errno(Errno.EOPNOTSUPP, () -> driver(apart));
        assertEquals(Refusal.NO_REQUESTER, apart.port(0x10).write(0x5000, 4, 0), "refused, and the units block");
    }

    @Test
    @DisplayName("violations: the ring as software reads it, oldest first, cleared; after an overflow recording goes "
        + "on")
    void violations() {
        VtdSettings two = Bench.with(1L << 40, 0xffL << 40, 0, 0);
        Bench bench = new Bench(new VtdSettings(two.capabilities(), 46, false, true, 1024));
        VtdDriver driver = driver(bench);
        assertTrue(driver.violations().isEmpty());
        for (int i = 0; i < 3; i++) {
            bench.port(0x10 + i).write(0x5678, 4, 0);
        }
        List<Violation> found = driver.violations();
        assertEquals(2, found.size());
        assertEquals("/drhd@fed90000", found.get(0).unit());
        assertEquals(0x10, found.get(0).requester());
        assertEquals(0x5000, found.get(0).iova());
        assertEquals("0x01 write: root entry not present", found.get(0).reason());
        assertEquals("FSTS=0x00000003 FRCD=0x80000001000000100000000000005000", found.get(0).registers());
        assertEquals(0x11, found.get(1).requester());
        assertTrue(driver.violations().isEmpty());
        bench.port(0x13).write(0x5678, 4, 0);
        assertEquals(1, driver.violations().size());
    }

    @Test
    @DisplayName("a fault record without F is none, whatever FSTS says; of records read before they are asked for "
        + "the first 64 are kept")
    void records() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        for (int i = 0; i < 70; i++) {
            domain.attach(Bench.at(i));
            bench.port(i).write(0x5000, 4, 0);
            domain.detach(Bench.at(i));
        }
        List<Violation> found = driver.violations();
        assertEquals(64, found.size());
        for (int i = 0; i < 64; i++) {
            assertEquals(i, found.get(i).requester());
            assertEquals(Refusal.NO_REQUESTER, bench.port(i).write(0x5000, 4, 0), "detached");
        }
        Bench other = new Bench(VtdSettings.DEFAULT);
        driver = driver(other);
        other.sick = new Bench.Sick() {
            @Override
            public long read(Mmio registers, long offset, int size) {
                return offset == VtdRegisters.FSTS ? VtdRegisters.PPF : registers.read(offset, size);
            }
        };
        assertEquals(List.of(), driver.violations());
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("VT-d 3: each fault reason, as a port answers it and in words")
    @CsvSource({"1, -2, root entry not present", "2, -2, context entry not present", "3, -2, context entry invalid",
        "4, -3, address beyond the domain's width", "5, -5, no write permission", "6, -5, no read permission",
        "7, -6, page table not readable", "8, -6, root table not readable", "9, -6, context table not readable",
        "a, -6, reserved bits in the root entry", "b, -6, reserved bits in the context entry",
        "c, -6, reserved bits in a page table entry", "d, -8, request type blocked",
        "e, -8, translated into the interrupt range", "20, -8, interrupt request with reserved bits",
        "21, -3, interrupt index beyond the table", "22, -4, interrupt entry not present",
        "23, -6, interrupt table not readable", "24, -6, reserved bits in the interrupt entry",
        "25, -8, compatibility format interrupt blocked", "26, -5, interrupt from another source", "7f, -6, unknown"})
    void reasons(String reason, int refusal, String text) {
        int code = Integer.parseInt(reason, 16);
        for (boolean read : new boolean[] {false, true}) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            VtdDriver driver = driver(bench);
            long high = 1L << 63 | (read ? 1L << 62 : 0) | (long) code << 32 | 0xfff8;
            bench.sick = new Bench.Sick() {
                @Override
                public long read(Mmio registers, long offset, int size) {
                    return offset == VtdRegisters.FSTS ? 7L << 8 | VtdRegisters.PPF
                        : offset == 0x220 + 16 * 7 ? 0xa_b000L
                        : offset == 0x228 + 16 * 7 ? high : registers.read(offset, size);
                }
            };
            String words = String.format("0x%02x %s%s", code, code >= 0x20 ? "" : read ? "read: " : "write: ", text);
            assertEquals(List.of(new Violation("/drhd@fed90000", 0xfff8, 0xa_b000L, refusal, words,
                String.format("FSTS=0x00000702 FRCD=0x%016x%016x", high, 0xa_b000L))), driver.violations());
        }
    }

    @Test
    @DisplayName("P2: protected memory regions that firmware left enabled are switched off, and it is waited for")
    void protectedMemory() {
        for (boolean answers : new boolean[] {true, false}) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            List<Long> written = new ArrayList<>();
            bench.sick = new Bench.Sick() {
                @Override
                public long read(Mmio registers, long offset, int size) {
                    return offset != VtdRegisters.PMEN ? registers.read(offset, size)
                        : written.isEmpty() || !answers ? 0x8000_0001L : 0;
                }

                @Override
                public void write(Mmio registers, long offset, int size, long value) {
                    if (offset == VtdRegisters.PMEN) {
                        written.add(value);
                    }
                    registers.write(Bus.CPU, offset, size, value);
                }
            };
            Executable start = () -> new VtdDriver(bench.machine, bench.nodes,
                new VtdDriverSettings(20, 0, new Superpages(true, true), true, 256, false));
            if (answers) {
                assertDoesNotThrow(start);
            } else {
                errno(Errno.ETIMEDOUT, start);
            }
            assertEquals(List.of(0L), written);
        }
    }

    @Test
    @DisplayName("a unit that walks no tables we make is refused before it is touched: SAGAW without 3, 4 and 5 levels")
    void otherTables() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        bench.sick = new Bench.Sick() {
            @Override
            public long read(Mmio registers, long offset, int size) {
                long value = registers.read(offset, size);
                return offset == VtdRegisters.CAP ? value & ~0x1f00L | 0x1100 : value;
            }
        };
        errno(Errno.EOPNOTSUPP, () -> driver(bench));
        assertEquals(0, bench.reg(VtdRegisters.GSTS));
        assertEquals(0, bench.reg8(VtdRegisters.RTADDR));
    }

    @Test
    @DisplayName("another timeout holds from the next wait on, other superpages for the next domain")
    void change() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(30_000, 0, new Superpages(true, true), true, 256, false));
        IommuDomain before = driver.open();
        before.attach(Bench.at(0x10));
        driver.change(new VtdDriverSettings(7, 0, new Superpages(false, true), true, 256, false));
        assertEquals(new Superpages(true, true), before.get(Superpages.class));
        assertEquals(new Superpages(false, true), driver.open().get(Superpages.class));
        bench.sick = Bench.DEAF;
        ErrnoException e = assertThrows(ErrnoException.class, () -> before.detach(Bench.at(0x10)));
        assertEquals(Errno.ETIMEDOUT, e.errno());
        assertTrue(e.getMessage().contains("after 7 ms"), e.getMessage());
    }

    @Test
    @DisplayName("a superpage that is not to be split: an unmap takes all of it or EINVAL names it, at either end of "
        + "the range")
    void cutsNoSuperpage() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        IommuDomain domain = driver(bench).open();
        domain.set(new Superpages(true, false));
        DmaBuffer buffer = memory(bench, GIB, GIB);
        domain.map(0, buffer, 0, MIB2, RW);
        domain.map(GIB, buffer, 0, GIB, RW);
        domain.map(2 * GIB, buffer, 0, 0x3000, RW);
        long[][] cuts = {{0, 0x1000, 0}, {0x1000, MIB2 - 0x1000, 0}, {MIB2 - 0x1000, 0x2000, 0},
            {GIB - 0x1000, 0x2000, GIB}, {GIB, MIB2, GIB}, {GIB + MIB2, MIB2, GIB}, {2 * GIB - MIB2, MIB2, GIB},
            {2 * GIB - 0x1000, 0x2000, GIB}, {0, GIB + MIB2, GIB}, {0x1000, 3 * GIB, 0}};
        for (long[] each : cuts) {
            ErrnoException e = assertThrows(ErrnoException.class, () -> domain.unmap(each[0], each[1]),
                Long.toHexString(each[0]));
            assertEquals(Errno.EINVAL, e.errno());
            assertTrue(e.getMessage().contains(String.format("the superpage at 0x%x;", each[2])), e.getMessage());
        }
        assertEquals(0x1000, domain.unmap(2 * GIB + 0x1000, 0x1000), "pages of 4 KiB are cut nowhere");
        assertEquals(0, domain.unmap(MIB2, GIB - MIB2));
        assertEquals(GIB, domain.unmap(GIB, GIB));
        assertEquals(MIB2, domain.unmap(0, MIB2));
        assertEquals(0x2000, domain.unmap(0x1000, 3 * GIB));
    }

    @Test
    @DisplayName("a fault record that is read late says that its source id was under another domain then, or under "
        + "none")
    void violationsReadLate() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        for (boolean close : new boolean[] {true, false}) {
            IommuDomain first = driver.open();
            first.attach(Bench.at(0x10));
            first.attach(Bench.at(0x11));
            bench.port(0x10).write(0x5678, 4, 0);
            bench.port(0x18).write(0x5678, 4, 0);
            if (close) {
                first.close();
            } else {
                first.detach(Bench.at(0x10));
            }
            bench.port(0x10).write(0x9678, 4, 0);
            IommuDomain second = driver.open();
            second.attach(Bench.at(0x10));
            bench.port(0x10).write(0xd678, 4, 0);
            assertEquals(
                List.of("0x05 write: no write permission, under a domain it has left",
                    "0x02 write: context entry not present",
                "0x02 write: context entry not present, under no domain", "0x05 write: no write permission"),
                driver.violations().stream().map(Violation::reason).toList());
            assertEquals(List.of(), driver.violations());
            first.close();
            second.close();
        }
    }

    @Test
    @DisplayName("P2: a driver that takes over from one that did not end keeps everything blocked meanwhile")
    void takeOver() {
        Bench bench = new Bench(new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, false, 1024));
        DmaPort device = bench.port(0x10);
        VtdDriver crashed = driver(bench);
        IommuDomain domain = crashed.open();
        domain.attach(Bench.at(0x10));
        domain.map(0, memory(bench, 4096, 4096), 0, 4096, RW);
        assertEquals(Bus.OK, device.write(0, 4, 0));
        VtdDriver next = driver(bench);
        assertEquals(Refusal.NO_REQUESTER, device.write(0, 4, 0));
        next.open().attach(Bench.at(0x10));
        assertEquals(Refusal.UNMAPPED, device.write(0, 4, 0));
    }

    @Test
    @DisplayName("hardware taken out under the driver: domains and driver close, all memory comes back")
    void hardwareGone() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        long start = bench.machine.memory().available();
        DmaPort device = bench.port(0x10);
        VtdDriver driver = driver(bench);
        IommuDomain domain = driver.open();
        DmaBuffer buffer = memory(bench, 4096, 4096);
        domain.attach(Bench.at(0x10));
        domain.map(0, buffer, 0, 4096, RW);
        bench.attachments.get(0).close();
        assertEquals(Refusal.BLOCKED, device.write(0, 4, 0));
        assertEquals(4096, domain.unmap(0, 4096));
        driver.close();
        buffer.close();
        assertEquals(start, bench.machine.memory().available());
        errno(Errno.ENODEV, () -> driver(bench));
    }

    @Test
    @DisplayName("driver and hardware replaced, again and again: the page of zeroes left to the hardware comes back, "
        + "and not before")
    void replaced() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        long start = bench.machine.memory().available();
        for (int i = 0; i < 10; i++) {
            // The second one takes the first one's page over.
            driver(bench).close();
            driver(bench).close();
            assertEquals(start - 4096, bench.machine.memory().available(), "the hardware still reads it");
            bench.attachments.get(i).close();
            assertEquals(start - 4096, bench.machine.memory().available());
            bench.plug(0, VtdSettings.DEFAULT);
            assertEquals(start, bench.machine.memory().available());
        }
    }

    @Test
    @DisplayName("P3: unmap and detach return only when an access under way has left")
    void drain() throws InterruptedException {
        for (boolean detach : new boolean[] {false, true}) {
            Bench bench = new Bench(VtdSettings.DEFAULT);
            CountDownLatch inside = new CountDownLatch(1);
            CountDownLatch leave = new CountDownLatch(1);
            bench.bus.attach(0xd0000000L, 0x1000, new Mmio() {
                @Override
                public long read(long offset, int size) {
                    return 0;
                }

                @Override
                public void write(int requester, long offset, int size, long value) {
                    inside.countDown();
                    try {
                        leave.await();
                    } catch (InterruptedException e) {
                        throw new IllegalStateException(e);
                    }
                }
            });
            IommuDomain domain = driver(bench).open();
            domain.attach(Bench.at(0x10));
            domain.mapDoorbell(0x5000, 0xd0000000L, 0x1000);
            assertEquals(Refusal.DENIED, domain.lookup(0x5000, Access.READ));
            Thread device = new Thread(() -> bench.port(0x10).write(0x5140, 4, 1));
            device.start();
            inside.await();
            Thread core = new Thread(detach ? () -> domain.detach(Bench.at(0x10)) : () -> domain.unmap(0x5000, 0x1000));
            core.start();
            core.join(100);
            assertTrue(core.isAlive(), "the access is still under way");
            leave.countDown();
            core.join(10_000);
            assertFalse(core.isAlive());
            device.join(10_000);
        }
    }

    @DisplayName("P2: a fresh unit passes no message, and the driver sets IRE before TE: nobody rings a vector in "
        + "between")
    @Test
    void noMessageBeforeRemapping() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        DmaPort device = bench.port(0x10);
        assertEquals(Refusal.BLOCKED, device.write(0xfee00000L, 4, 0x40), "nobody has set the unit up");
        Thread sender = new Thread(() -> {
            while (!Thread.interrupted()) {
                device.write(0xfee00000L, 4, 0x40);
            }
        });
        sender.start();
        try {
            for (int i = 0; i < 200; i++) {
                driver(bench).close();
                bench.attachments.get(i).close();
                bench.plug(0, VtdSettings.DEFAULT);
            }
        } finally {
            sender.interrupt();
        }
        assertEquals(List.of(), bench.messages);
    }

    @DisplayName("A driver without remapping lets messages pass, also after one with it")
    @Test
    void messagesWithoutRemapping() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        DmaPort device = bench.port(0x10);
        driver(bench).close();
        assertEquals(Bus.OK, device.write(0xfee00000L, 4, 0x40));
        assertEquals(List.of(), bench.messages, "remapping stays on over an empty table");
        new VtdDriver(bench.machine, bench.nodes,
            new VtdDriverSettings(1000, 0, VtdDriverSettings.DEFAULT.superpages(), false, 4096, false));
        assertEquals(Bus.OK, device.write(0xfee00000L, 4, 0x40));
        assertEquals(1, bench.messages.size());
    }

    @DisplayName("A closed driver opens no domain")
    @Test
    void closedDriver() {
        Bench bench = new Bench(VtdSettings.DEFAULT);
        VtdDriver driver = driver(bench);
        driver.close();
        driver.close();
        errno(Errno.ENODEV, driver::open);
    }
}
