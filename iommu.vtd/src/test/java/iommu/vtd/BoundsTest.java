// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import iommu.vtd.unit.VtdSettings;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Node;
import machine.api.Requester;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** The first and the last that is legal, and the one beyond. */
class BoundsTest {
    private static final int RW = Access.READ_WRITE;
    private static final long LAST = (1L << 48) - 0x1000;

    private final Bench bench = new Bench(VtdSettings.DEFAULT);
    private final VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT);
    private final IommuDomain domain = driver.open();
    private final DmaBuffer buffer = bench.machine.memory().allocate(0x4000, 0x4000, Layout.CONTIGUOUS);

    private static void refused(Errno errno, Executable call) {
        assertEquals(errno, assertThrows(ErrnoException.class, call).errno());
    }

    private long write(long iova) {
        return bench.units.get(0).translate(0x10, iova, 4, Access.WRITE);
    }

    @Test
    @DisplayName("VT-d: a mapping lies in the aperture, up to its last page, in whole pages; EINVAL, and nothing is "
        + "mapped")
    void aperture() {
        domain.attach(Bench.at(0x10));
        domain.map(LAST, buffer, 0, 0x1000, RW);
        assertEquals(buffer.physical(0xffc), write(LAST + 0xffc));
        domain.map(0, buffer, 0, 0x1000, RW);
        assertEquals(buffer.physical(4), write(4));
        for (long[] each : new long[][] {{LAST + 0x1000, 0x1000}, {LAST - 0x1000, 0x3000}, {-0x1000, 0x1000},
            {0x1000, 0}, {0x1000, -0x1000}, {0x1800, 0x1000}, {0x1000, 0x800}, {0x1000, Long.MAX_VALUE & -0x1000}}) {
            refused(Errno.EINVAL, () -> domain.map(each[0], buffer, 0, each[1], RW));
            refused(Errno.EINVAL, () -> domain.mapDoorbell(each[0], 0x1_0000_0000L, each[1]));
        }
        for (int access : new int[] {0, 4, 7, -1}) {
            refused(Errno.EINVAL, () -> domain.map(0x1000, buffer, 0, 0x1000, access));
        }
        assertEquals(0x1000, domain.unmap(LAST, 0x1000));
        assertEquals(0x1000, domain.unmap(0, LAST));
        assertEquals(Refusal.UNMAPPED, write(4));
        assertEquals(0, domain.unmap(0, 1L << 52), "beyond the aperture there is nothing");
        assertEquals(0, domain.unmap(LAST + 0x1000, 0x1000));
        for (long[] each : new long[][] {{0, 0}, {0, -0x1000}, {0x800, 0x1000}, {0, 0x1800}, {-0x1000, 0x1000},
            {Long.MAX_VALUE & -0x1000, 0x2000}}) {
            refused(Errno.EINVAL, () -> domain.unmap(each[0], each[1]));
        }
    }

    @Test
    @DisplayName("VT-d: memory is mapped from its buffer's first page to its last; EINVAL beyond, and for a part of "
        + "a page")
    void buffer() {
        domain.attach(Bench.at(0x10));
        domain.map(0x10000, buffer, 0x3000, 0x1000, RW);
        assertEquals(buffer.physical(0x3000), write(0x10000));
        for (long[] each : new long[][] {{-0x1000, 0x1000}, {0x3000, 0x2000}, {0x4000, 0x1000},
            {0x800, 0x1000}, {0, 0x5000}}) {
            refused(Errno.EINVAL, () -> domain.map(0x20000, buffer, each[0], each[1], RW));
        }
        refused(Errno.EEXIST, () -> domain.map(0x10000, buffer, 0, 0x1000, RW));
        refused(Errno.EEXIST, () -> domain.map(0xf000, buffer, 0, 0x2000, RW));
        domain.map(0xf000, buffer, 0, 0x1000, RW);
        domain.map(0x11000, buffer, 0, 0x1000, RW);
        DmaBuffer scattered = bench.machine.memory().allocate(0x8000, 0x1000, Layout.SCATTERED);
        domain.map(0x40000, scattered, 0x2000, 0x5000, RW);
        for (long page = 0; page < 0x5000; page += 0x1000) {
            assertEquals(scattered.physical(0x2000 + page), write(0x40000 + page));
        }
        assertEquals(Refusal.UNMAPPED, write(0x45000));
        assertEquals(Refusal.UNMAPPED, write(0x3f000));
    }

    @Test
    @DisplayName("VT-d: nothing is mapped at 0xfee00000..0xfeefffff, nor are doorbells to there; the pages beside "
        + "are like others")
    void interruptRange() {
        domain.attach(Bench.at(0x10));
        for (long[] each : new long[][] {{0xfee00000L, 0x1000}, {0xfeeff000L, 0x1000}, {0xfedff000L, 0x2000},
            {0xfeeff000L, 0x2000}, {0xfe000000L, 0x2000000}}) {
            refused(Errno.EINVAL, () -> domain.mapDoorbell(each[0], 0x1_0000_0000L, each[1]));
            refused(Errno.EINVAL, () -> domain.mapDoorbell(0x10000, each[0], each[1]));
        }
        domain.mapDoorbell(0xfedff000L, 0xfef00000L, 0x1000);
        domain.mapDoorbell(0xfef00000L, 0xfedff000L, 0x1000);
        assertEquals(0xfef00000L, write(0xfedff000L));
        assertEquals(0xfedffffcL, write(0xfef00ffcL));
    }

    @Test
    @DisplayName("VT-d: a doorbell is a page below 2^52, write-only; EINVAL at 2^52, above all addresses, and for a "
        + "part of a page")
    void doorbells() {
        domain.attach(Bench.at(0x10));
        for (long[] each : new long[][] {{1L << 52, 0x1000}, {(1L << 52) - 0x1000, 0x2000}, {-0x1000, 0x1000},
            {0x800, 0x1000}, {Long.MAX_VALUE & -0x1000, 0x1000}, {Long.MAX_VALUE & -0x1000, 0x2000}}) {
            refused(Errno.EINVAL, () -> domain.mapDoorbell(0x10000, each[0], each[1]));
        }
        assertEquals(Refusal.UNMAPPED, domain.lookup(0x10000, Access.WRITE));
        domain.mapDoorbell(0x10000, (1L << 52) - 0x1000, 0x1000);
        assertEquals((1L << 52) - 0x1000, domain.lookup(0x10000, Access.WRITE));
        assertEquals(Refusal.DENIED, domain.lookup(0x10000, Access.READ));
        domain.mapDoorbell(0x20000, 0, 0x1000);
        assertEquals(0, write(0x20000));
    }

    @Test
    @DisplayName("VT-d: an RMRR is reserved for its requesters, from its first byte to its last, and the interrupt "
        + "range for everybody")
    void reserved() {
        ReservedRegion interrupts = new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI);
        assertEquals(List.of(interrupts), driver.reservedRegions(Bench.at(0x11)));
        assertEquals(List.of(new ReservedRegion(0xbf000000L, 0xbf1fffffL, ReservedRegion.Kind.DIRECT), interrupts),
            driver.reservedRegions(Bench.at(0x10)));
        assertEquals(2, driver.reservedRegions(Bench.at(0xe8)).size());
        assertTrue(driver.serves(new Requester(0x10, bench.nodes.get(0).path(), 0)));
        assertFalse(driver.serves(new Requester(0x10, "/elsewhere", 0)));
        assertEquals(List.of(), driver.violationWires());
    }

    @Test
    @DisplayName("VT-d: domain id 0 is nobody's; a unit with 16 has 15 domains, and who is detached gives its own back")
    void domainIds() {
        Bench small = new Bench(Bench.with(0, 7, 0, 0));
        VtdDriver of = new VtdDriver(small.machine, small.nodes, VtdDriverSettings.DEFAULT);
        IommuDomain[] domains = new IommuDomain[16];
        for (int i = 0; i < 16; i++) {
            domains[i] = of.open();
            int source = 0x20 + i;
            IommuDomain each = domains[i];
            if (i < 15) {
                each.attach(Bench.at(source));
            } else {
                refused(Errno.ENOSPC, () -> each.attach(Bench.at(source)));
            }
        }
        domains[0].attach(Bench.at(0x40));
        domains[0].detach(Bench.at(0x20));
        refused(Errno.ENOSPC, () -> domains[15].attach(Bench.at(0x41)));
        domains[0].detach(Bench.at(0x40));
        domains[15].attach(Bench.at(0x41));
        refused(Errno.EINVAL, () -> domains[1].attach(Bench.at(0x10000)));
        refused(Errno.EINVAL, () -> domains[1].attach(Bench.at(-1)));
        refused(Errno.ENOENT, () -> domains[1].detach(Bench.at(0x40)));
        of.close();
    }

    @Test
    @DisplayName("VT-d: records read while source ids change hands are kept for who asks next, the first 64")
    void earlyRecords() {
        for (int i = 0; i < 70; i++) {
            bench.units.get(0).translate(0x100 + i, 0x5000, 4, i % 2 == 0 ? Access.READ : Access.WRITE);
            domain.attach(Bench.at(0x10));
            domain.detach(Bench.at(0x10));
        }
        List<Violation> records = driver.violations();
        assertEquals(64, records.size());
        assertEquals(0x100, records.get(0).requester());
        assertEquals(0x13f, records.get(63).requester());
        assertEquals("0x01 read: root entry not present", records.get(0).reason());
        assertEquals("0x01 write: root entry not present", records.get(1).reason());
        assertEquals(List.of(), driver.violations());
    }

    @Test
    @DisplayName("VT-d attach: one source id behind two units is two requesters, as with two PCI segments; each has "
        + "its domain and comes and goes alone")
    void namesakes() {
        Bench two = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
        VtdDriver both = new VtdDriver(two.machine, two.nodes, VtdDriverSettings.DEFAULT);
        IommuDomain of = both.open();
        of.map(0x1000, two.machine.memory().allocate(0x1000, 0x1000, Layout.CONTIGUOUS), 0, 0x1000, RW);
        of.attach(Bench.at(0, 0x10));
        refused(Errno.EEXIST, () -> of.attach(Bench.at(0, 0x10)));
        IommuDomain other = both.open();
        other.attach(Bench.at(1, 0x10));
        assertTrue(two.units.get(0).translate(0x10, 0x1000, 4, Access.READ) >= 0);
        assertTrue(two.units.get(1).translate(0x10, 0x1000, 4, Access.READ) < 0, "it is under the other domain");
        refused(Errno.EBUSY, () -> of.attach(Bench.at(1, 0x10)));
        refused(Errno.ENOENT, () -> of.detach(Bench.at(1, 0x10)));
        other.detach(Bench.at(1, 0x10));
        of.attach(Bench.at(1, 0x10));
        assertTrue(two.units.get(1).translate(0x10, 0x1000, 4, Access.READ) >= 0);
        of.detach(Bench.at(0, 0x10));
        assertTrue(two.units.get(0).translate(0x10, 0x1000, 4, Access.READ) < 0);
        assertTrue(two.units.get(1).translate(0x10, 0x1000, 4, Access.READ) >= 0);
        both.close();
    }

    @Test
    @DisplayName("VT-d: an RMRR is reserved for the source ids of its PCI segment, and not for namesakes of another")
    void segments() {
        Node first = Node.at("/drhd0").compatible("intel,vt-d").registers(new Node.Range(Bench.BASE, 0x1000));
        Node second = Node.at("/drhd1").compatible("intel,vt-d").registers(new Node.Range(Bench.BASE + 0x1000, 0x1000))
            .with("segment", 1);
        Bench two = new Bench(VtdSettings.DEFAULT, VtdSettings.DEFAULT);
        LocalMachine machine = new LocalMachine(TestBoard.named("segments").free(0x0100_0000L, 0x1000_0000L)
            .nodes(first, second, Node.at("/rmrr").compatible("intel,rmrr").with("segment", 1).with("requesters", 0x10)
                .registers(new Node.Range(0xbf000000L, 0x1000))).board(), two.bus);
        VtdDriver both = new VtdDriver(machine, List.of(first, second), VtdDriverSettings.DEFAULT);
        assertEquals(1, both.reservedRegions(new Requester(0x10, "/drhd0", 0)).size());
        assertEquals(2, both.reservedRegions(new Requester(0x10, "/drhd1", 0)).size());
        both.close();
    }
}
