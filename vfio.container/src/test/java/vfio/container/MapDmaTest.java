// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.refused;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.ReservedRegion;
import iommu.api.Stash;
import iommu.api.Windows;
import java.util.List;
import java.util.Optional;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Container;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.ContainerInfo.Migration;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.api.Type1Info;
import vfio.api.msi.Msis;

@Timeout(30)
class MapDmaTest {
    private static final int RW = Access.READ_WRITE;
    private final Board board = Board.type1(5);
    private final Container container = board.container();
    private final DmaBuffer memory = board.memory(0x10000);

    private Container of(String type) {
        Container other = board.vfio.openContainer(type);
        other.addGroup(board.vfio.group(2));
        other.setIommu(type);
        return other;
    }

    // Each row breaks its own rule and all later ones where that can be, so the errno and the text tell the order.
    @ParameterizedTest(name = "MAP_DMA #{0}")
    @DisplayName("MAP_DMA (4.2): the checks in VFIO's order, v1 and v2 alike")
    @CsvSource(delimiter = '|', value = {
        "1 unknown flag                        | 0x800  | 0x0     | 0x0                | 8 | EINVAL | flags",
        "3 neither READ nor WRITE              | 0x800  | 0x0     | 0x0                | 0 | EINVAL | access",
        "3 READ with VADDR                     | 0x800  | 0x0     | 0x0                | 5 | EINVAL | access",
        "3 WRITE with VADDR                    | 0x800  | 0x0     | 0x0                | 6 | EINVAL | access",
        "4 VADDR, size 0                       | 0x0    | 0x0     | 0x0                | 4 | EINVAL | multiples",
        "4 size 0                              | 0x0    | 0x0     | 0x0                | 3 | EINVAL | multiples",
        "4 iova not aligned                    | 0x800  | 0x0     | 0x1000             | 3 | EINVAL | multiples",
        "4 size not aligned                    | 0x0    | 0x0     | 0x1800             | 3 | EINVAL | multiples",
        "4 memory not aligned                  | 0x0    | 0x800   | 0x1000             | 3 | EINVAL | multiples",
        "5 wraps                               | 0xfffffffffffff000 | 0x0 | 0x2000     | 3 | EINVAL | wraps",
        "5 memory wraps                        | 0x10000 | 0xfffffffffffff000 | 0x2000  | 3 | EINVAL | offset",
        "6 overlaps                            | 0x11000 | 0x20000 | 0x1000            | 3 | EEXIST | 0x10000+0x4000",
        "6 overlaps across an end              | 0xf000 | 0x0     | 0x2000             | 3 | EEXIST | unmap that first",
        "6' VADDR, no mapping there            | 0xfee00000 | 0x20000 | 0x1000         | 4 | ENOENT | 0xfee00000",
        "6'' VADDR, not its iova               | 0x11000 | 0x20000 | 0x3000            | 4 | EINVAL | exactly",
        "6'' VADDR, not its size               | 0x10000 | 0x20000 | 0x3000            | 4 | EINVAL | exactly",
        "6'' VADDR, more than it               | 0xf000 | 0x20000 | 0x6000             | 4 | EINVAL | exactly",
        "6'' VADDR, still valid                | 0x10000 | 0x20000 | 0x4000            | 4 | EINVAL | a valid vaddr",
        "8 inside a reserved range             | 0xfee00000 | 0x20000 | 0x1000         | 3 | EINVAL | 0xfef00000",
        "8 across a reserved range             | 0xfedff000 | 0x0 | 0x2000             | 3 | EINVAL | valid ranges",
        "8 beyond the address width            | 0x1000000000000 | 0x0 | 0x1000        | 3 | EINVAL | valid ranges",
        "11 memory beyond the buffer           | 0x0    | 0x10000 | 0x1000             | 3 | EFAULT | 0x10000",
        "11 memory before the buffer           | 0x0    | 0xfffffffffffff000 | 0x1000  | 3 | EFAULT | buffer"})
    void order(String rule, String iova, String offset, String length, int flags, Errno errno, String text) {
        for (String type : List.of("type1", "type1v2")) {
            Container other = of(type);
            other.map(0x10000, memory, 0, 0x4000, RW);
            String before = board.iommu.state() + other.mappings();
            refused(errno, text, () -> other.map(Long.parseUnsignedLong(iova.substring(2), 16), memory,
                Long.parseUnsignedLong(offset.substring(2), 16), Long.parseUnsignedLong(length.substring(2), 16),
                flags));
            assertEquals(before, board.iommu.state() + other.mappings());
            other.close();
        }
    }

    @ParameterizedTest
    @DisplayName("MAP_DMA #9 and #12: what the IOMMU throws (no memory for a table: ENOMEM) is passed on, all as "
        + "before, memory let go")
    @ValueSource(strings = {"type1", "type1v2"})
    void iommuFails(String type) {
        Container other = of(type);
        DmaBuffer fresh = board.memory(0x1000);
        String before = board.iommu.state();
        for (Errno errno : List.of(Errno.ENOMEM, Errno.EIO)) {
            board.trip.errno = errno;
            board.trip.at(1);
            refused(errno, "map", () -> other.map(0, fresh, 0, 0x1000, RW));
        }
        assertEquals(before, board.iommu.state());
        assertEquals(List.of(), other.mappings());
        long available = board.machine.memory().available();
        fresh.close();
        assertEquals(available + 0x1000, board.machine.memory().available());
    }

    @ParameterizedTest
    @DisplayName("MAP_DMA #10: over the limit of locked memory: ENOMEM, after the valid ranges, before the memory; "
        + "UNMAP gives it back")
    @ValueSource(strings = {"type1", "type1v2"})
    void lockedMemory(String type) {
        Board limited = Board.type1(Board.settings(10, 0x8000));
        Container one = limited.vfio.openContainer("one");
        one.addGroup(limited.vfio.group(1));
        one.setIommu(type);
        DmaBuffer pages = limited.memory(0x10000);
        refused(Errno.EINVAL, "valid ranges", () -> one.map(0xfee00000L, pages, 0, 0x9000, RW));
        refused(Errno.ENOMEM, "locked.memory.limit", () -> one.map(0, pages, 0x20000, 0x9000, RW));
        refused(Errno.EFAULT, () -> one.map(0, pages, 0x20000, 0x8000, RW));
        one.map(0, pages, 0, 0x5000, RW);
        one.map(0x10000, pages, 0, 0x3000, Access.READ);
        String before = limited.iommu.state();
        refused(Errno.ENOMEM, "0x8000", () -> one.map(0x20000, pages, 0, 0x1000, RW));
        assertEquals(before, limited.iommu.state());

        // Each container has its own account.
        Container two = limited.container("two", 2);
        two.map(0, pages, 0, 0x8000, RW);

        // What fails is not charged, what goes is given back, on whatever way.
        assertEquals(0x3000, one.unmap(0x10000, 0x3000));
        limited.trip.at(1);
        refused(Errno.EIO, () -> one.map(0x10000, pages, 0, 0x3000, RW));
        limited.trip.at(1);
        refused(Errno.EIO, () -> one.unmap(0, 0x5000));
        refused(Errno.ENOMEM, () -> one.map(0x10000, pages, 0, 0x4000, RW));
        one.map(0x10000, pages, 0, 0x3000, RW);
        assertEquals(0x8000, one.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
        one.map(0, pages, 0, 0x8000, RW);
        one.removeGroup(limited.vfio.group(1));
        one.addGroup(limited.vfio.group(1));
        one.setIommu(type);
        one.map(0, pages, 0, 0x8000, RW);
    }

    @Test
    @DisplayName("locked memory, windowed: a window cut out of a mapping is given back; a doorbell and a swap are "
        + "not charged")
    void lockedWindows() {
        Board limited = Board.pamu(Board.settings(10, 0x30000));
        Container windowed = limited.container();
        windowed.set(new Geometry(0, 16 * MB));
        windowed.set(new Windows(256));
        DmaBuffer block = limited.memory(0x40000);
        windowed.map(0, block, 0, 0x30000, RW);
        windowed.as(Msis.class).call("MAP", 0, 0x100000);
        refused(Errno.ENOMEM, () -> windowed.map(0x200000, block, 0, 0x10000, RW));
        assertEquals(0x10000, windowed.unmap(0x10000, 0x10000));
        limited.vfio.removeIommu(limited.iommu);
        limited.vfio.addIommu(limited.iommu, "pamu");
        assertEquals("", windowed.reason());
        refused(Errno.ENOMEM, () -> windowed.map(0x200000, block, 0, 0x20000, RW));
        windowed.map(0x200000, block, 0, 0x10000, RW);
    }

    @Test
    @DisplayName("MAP_DMA #7: no entries left: ENOSPC, before the range is looked at, after the overlap; UNMAP gives "
        + "one back")
    void limit() {
        assertEquals(5, container.info().mappingsAvailable());
        for (int i = 0; i < 5; i++) {
            container.map(0x10000 + i * 0x2000L, memory, 0, 0x1000, RW);
        }
        assertEquals(0, container.info().mappingsAvailable());
        refused(Errno.ENOSPC, "5 mappings", () -> container.map(0xfee00000L, memory, 0, 0x1000, RW));
        refused(Errno.EEXIST, () -> container.map(0x10000, memory, 0, 0x1000, RW));
        container.unmap(0x10000, 0x1000);
        container.map(0x10000, memory, 0, 0x1000, RW);
    }

    @Test
    @DisplayName("MAP_DMA: memory that has gone back already: EFAULT, and no device can reach it")
    void closedMemory() {
        memory.close();
        String before = board.iommu.state();
        refused(Errno.EFAULT, "closed", () -> container.map(0, memory, 0, 0x1000, RW));
        assertEquals(before, board.iommu.state());
        assertEquals(List.of(), container.mappings());
    }

    @Test
    @DisplayName("MAP_DMA: the container holds the memory until it is unmapped")
    void holds() {
        long available = board.machine.memory().available();
        container.map(0x10000, memory, 0, 0x4000, RW);
        container.map(0x20000, memory, 0x4000, 0x1000, Access.READ);
        memory.close();
        assertEquals(0x4000, container.unmap(0x10000, 0x4000));
        assertEquals(available, board.machine.memory().available());
        assertEquals(0x1000, container.unmap(0x20000, 0x1000));
        assertEquals(available + 0x10000, board.machine.memory().available());
    }

    @Test
    @DisplayName("MAP_DMA: what a device reaches is the memory, with that access, page by page of scattered memory")
    void lookup() {
        DmaBuffer pages = board.scattered(0x4000);
        container.map(0x7000, pages, 0x1000, 0x3000, Access.READ);
        assertEquals(pages.physical(0x1000), container.lookup(0x7000, Access.READ));
        assertEquals(pages.physical(0x3fff), container.lookup(0x9fff, Access.READ));
        assertEquals(Refusal.DENIED, container.lookup(0x7000, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(0xa000, Access.READ));
        assertEquals(List.of(new Mapping(0x7000, pages, 0x1000, 0x3000, Access.READ)), container.mappings());
    }

    @Test
    @DisplayName("GET_INFO: x86 with 48 bits: 0..0xfedfffff, 0xfef00000..0xffffffffffff")
    void info() {
        assertEquals(List.of(new IovaRange(0, 0xfedfffffL), new IovaRange(0xfef00000L, 0xffff_ffff_ffffL)),
            container.info().ranges());
        assertEquals(0x1000, container.info().capabilities().smallestPage());
    }

    @Test
    @DisplayName("GET_INFO: page sizes, MIGRATION (smallest page, 0x10000000 bytes) and DMA_AVAIL; a windowed type "
        + "has no MIGRATION")
    void capabilityChain() {
        assertEquals(0x1000, container.info().pageSizes());
        assertEquals(Optional.of(new Migration(0, 0x1000, 0x1000_0000)), container.info().migration());
        container.map(0x10000, memory, 0, 0x4000, RW);
        assertEquals(4, container.info().mappingsAvailable());
        assertEquals(116, Type1Info.encode(container.info(), 4096).length);
        assertEquals(Optional.empty(), Board.pamu().container().info().migration());
    }

    @Test
    @DisplayName("GET_INFO: a device's own reserved range leaves the valid ones; attaching it where something is "
        + "mapped: EINVAL")
    void ownReserved() {
        ReservedRegion own = new ReservedRegion(0x30000, 0x3ffff, ReservedRegion.Kind.RESERVED);
        board.iommu.own.put(0x21, List.of(own));
        container.map(0x3f000, memory, 0, 0x1000, RW);
        refused(Errno.EINVAL, "requester 0x21", () -> container.addGroup(board.vfio.group(2)));
        assertEquals(1, container.groups().size());
        container.unmap(0x3f000, 0x1000);
        container.addGroup(board.vfio.group(2));
        refused(Errno.EINVAL, "valid ranges", () -> container.map(0x3f000, memory, 0, 0x1000, RW));
        assertEquals(List.of(new IovaRange(0, 0x2ffff), new IovaRange(0x40000, 0xfedfffffL),
            new IovaRange(0xfef00000L, 0xffff_ffff_ffffL)), container.info().ranges());
        assertEquals(List.of(own, new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI)),
            container.reserved());
    }

    // UNMAP_DMA. Three mappings of 0x4000: 0x10000, 0x14000 (adjacent), 0x20000.

    private Container three(String type) {
        Container other = board.vfio.openContainer("three");
        other.addGroup(board.vfio.group(2));
        other.setIommu(type);
        other.map(0x10000, memory, 0, 0x4000, RW);
        other.map(0x14000, memory, 0x4000, 0x4000, RW);
        other.map(0x20000, memory, 0x8000, 0x4000, RW);
        return other;
    }

    @ParameterizedTest(name = "UNMAP_DMA {0}: {1}")
    @DisplayName("UNMAP_DMA (4.3): what goes, by type; the result is what has gone")
    @CsvSource(delimiter = '|', value = {
        "type1v2 | nothing mapped there            | 0x40000 | 0x1000  | 0       | 3",
        "type1   | nothing mapped there            | 0x40000 | 0x1000  | 0       | 3",
        "type1v2 | several whole, holes allowed    | 0xf000  | 0x20000 | 0xc000  | 0",
        "type1   | several whole, holes allowed    | 0xf000  | 0x20000 | 0xc000  | 0",
        "type1v2 | start inside a mapping          | 0x11000 | 0x7000  | EINVAL  | 3",
        "type1   | start inside a mapping          | 0x11000 | 0x13000 | 0       | 3",
        "type1v2 | end inside a mapping            | 0x10000 | 0x5000  | EINVAL  | 3",
        "type1   | end inside a mapping            | 0x10000 | 0x5000  | 0x8000  | 1",
        "type1v2 | sub-range from its iova         | 0x20000 | 0x1000  | EINVAL  | 3",
        "type1   | sub-range from its iova         | 0x20000 | 0x1000  | 0x4000  | 2",
        "type1   | sub-range inside                | 0x21000 | 0x1000  | 0       | 3",
        "type1v2 | sub-range inside                | 0x21000 | 0x1000  | EINVAL  | 3",
        "type1v2 | range cuts both ends            | 0x11000 | 0x10000 | EINVAL  | 3",
        "type1   | range cuts both ends            | 0x11000 | 0x10000 | 0       | 3",
        "type1v2 | start in a hole, end inside     | 0xf000  | 0x2000  | EINVAL  | 3",
        "type1   | start in a hole, end inside     | 0xf000  | 0x2000  | 0x4000  | 2",
        "type1v2 | iova not aligned                | 0x10800 | 0x1000  | EINVAL  | 3",
        "type1   | iova not aligned                | 0x10800 | 0x1000  | EINVAL  | 3",
        "type1v2 | size 0                          | 0x10000 | 0x0     | EINVAL  | 3",
        "type1   | size 0                          | 0x10000 | 0x0     | EINVAL  | 3",
        "type1v2 | size not aligned                | 0x10000 | 0x4800  | EINVAL  | 3",
        "type1   | size not aligned                | 0x10000 | 0x4800  | EINVAL  | 3",
        "type1v2 | wraps                           | 0xfffffffffffff000 | 0x2000 | EINVAL | 3",
        "type1   | all there is                    | 0x0     | 0xfffffffffffff000 | 0xc000 | 0",
        "type1   | wraps                           | 0xfffffffffffff000 | 0x2000 | EINVAL | 3",
        "type1v2 | all there is                    | 0x0     | 0xfffffffffffff000 | 0xc000 | 0"})
    void unmap(String type, String rule, String iova, String length, String result, int left) {
        Container other = three(type);
        long from = Long.parseUnsignedLong(iova.substring(2), 16);
        long bytes = Long.parseUnsignedLong(length.substring(2), 16);
        if (result.equals("EINVAL")) {
            refused(Errno.EINVAL, () -> other.unmap(from, bytes));
        } else {
            assertEquals(Long.decode(result), other.unmap(from, bytes));
        }
        assertEquals(left, other.mappings().size());
        for (Mapping mapping : other.mappings()) {
            assertEquals(mapping.buffer().physical(mapping.offset()), other.lookup(mapping.iova(), Access.WRITE));
        }
    }

    @Test
    @DisplayName("UNMAP_DMA windowed: a mapping of several windows is cut between them, not inside one; a doorbell "
        + "is not touched")
    void windows() {
        Board pamu = Board.pamu();
        Container windowed = pamu.container();
        windowed.set(new Geometry(0, MB));
        windowed.set(new Windows(16));
        DmaBuffer block = pamu.memory(0x40000);
        long available = pamu.machine.memory().available();
        windowed.map(0x10000, block, 0, 0x40000, RW);
        windowed.as(Msis.class).call("MAP", 0, 0x50000);
        block.close();
        refused(Errno.EINVAL, "windows of 0x10000", () -> windowed.unmap(0x20000, 0x8000));
        refused(Errno.EINVAL, "0x10000..0x4ffff", () -> windowed.unmap(0x28000, 0x8000));
        assertEquals(0x10000, windowed.unmap(0x20000, 0x10000));
        assertEquals(
            List.of(new Mapping(0x10000, block, 0, 0x10000, RW), new Mapping(0x30000, block, 0x20000, 0x20000, RW)),
            windowed.mappings());
        assertEquals(Refusal.UNMAPPED, windowed.lookup(0x20000, Access.READ));
        assertEquals(block.physical(0x20000), windowed.lookup(0x30000, Access.READ));
        assertEquals(available, pamu.machine.memory().available());
        assertEquals(0x30000, windowed.unmap(0, 0x80000));
        assertEquals(Board.BANKS, windowed.lookup(0x50000, Access.WRITE));
        assertEquals(available + 0x40000, pamu.machine.memory().available());
    }

    @Test
    @DisplayName("UNMAP_DMA windowed: a mapping smaller than its window goes with the window")
    void smallInWindow() {
        Board pamu = Board.pamu();
        Container windowed = pamu.container();
        windowed.map(0, pamu.memory(0x1000), 0, 0x1000, RW);
        assertEquals(0x1000, windowed.unmap(0, 8 * MB));
    }

    // Attributes

    @Test
    @DisplayName("SET_ATTR: ENOTTY for an attribute the type does not have, EBUSY while something is mapped; nothing "
        + "recorded then")
    void attributes() {
        refused(Errno.ENOTTY, () -> container.set(new Stash(0, 1)));
        refused(Errno.ENOTTY, () -> container.get(Geometry.class));
        Board pamu = Board.pamu();
        Container windowed = pamu.container();
        windowed.map(0, pamu.memory(0x1000), 0, 0x1000, RW);
        refused(Errno.EBUSY, () -> windowed.set(new Geometry(0, 16 * MB)));
        windowed.set(new Enable(false));
        assertEquals(new Enable(false), windowed.get(Enable.class));
        assertEquals(new Windows(64), windowed.get(Windows.class));
        assertEquals(Refusal.BLOCKED, windowed.lookup(0, Access.READ));
        windowed.set(new Enable(true));
        assertTrue(windowed.lookup(0, Access.READ) >= 0);
    }

    // Doorbells

    @Test
    @DisplayName("a bank is placed where the user may map and has not; memory is not mapped over it")
    void placing() {
        Container other = container;
        assertEquals(7, other.as(Msis.class).call("MAP", 1, 0x50000));
        assertEquals(Board.BANKS + 0x1000, other.lookup(0x50000, Access.WRITE));
        assertEquals(Refusal.DENIED, other.lookup(0x50000, Access.READ));
        refused(Errno.EEXIST, () -> other.map(0x50000, memory, 0, 0x1000, RW));
        other.map(0x10000, memory, 0, 0x4000, RW);
        refused(Errno.EEXIST, "0x10000+0x4000", () -> other.as(Msis.class).call("MAP", 0, 0x13000));
        refused(Errno.EINVAL, "valid ranges", () -> other.as(Msis.class).call("MAP", 0, 0xfee00000L));
        refused(Errno.EINVAL, () -> other.as(Msis.class).call("MAP", 0, 0x60800));
        refused(Errno.EINVAL, () -> other.as(Msis.class).call("MAP", 0, -0x1000));
        refused(Errno.ENODEV, "bank 3", () -> other.as(Msis.class).call("MAP", 3, 0x60000));
        refused(Errno.ENODEV, "bank -1", () -> other.as(Msis.class).call("MAP", -1, 0x60000));
        refused(Errno.ENOENT, () -> other.as(Msis.class).call("UNMAP", 0x60000));
        refused(Errno.ENOTTY, () -> other.as(Msis.class).call("RING"));
        assertEquals(1, other.as(Msis.class).placements().size());
        assertEquals(7, other.as(Msis.class).call("UNMAP", 0x50000));
        assertEquals(Refusal.UNMAPPED, other.lookup(0x50000, Access.WRITE));
        assertTrue(other.as(Msis.class).placements().isEmpty());
    }

    @Test
    @DisplayName("P6: a map that ends in an Error has changed nothing, and holds no memory: what is closed then goes "
        + "back")
    void errorInMap() {
        long available = board.machine.memory().available();
        DmaBuffer one = board.memory(0x1000);
        String before = board.iommu.state();
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            throw new NoClassDefFoundError("a class that is gone");
        };
        refused(Errno.EIO, "a class that is gone", () -> container.map(0x0900_0000, one, 0, 0x1000, RW));
        assertEquals(before, board.iommu.state());
        assertEquals(Refusal.UNMAPPED, container.lookup(0x0900_0000, Access.READ));
        one.close();
        assertEquals(available, board.machine.memory().available());
    }

    @Test
    @DisplayName("a strategy that objects to a mapping is heard before anything is mapped")
    void objection() {
        container.as(Msis.class).strategy("");
        board.vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        String before = board.iommu.state();
        refused(Errno.EINVAL, "bank 0 will be", () -> container.map(0x0800_0000, memory, 0, 0x1000, RW));
        assertEquals(before, board.iommu.state());
    }
}
