// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.refused;

import java.nio.ByteBuffer;
import java.util.List;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.Node;
import machine.local.LocalMemory;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Container;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.api.msi.Msis;

/**
 * The flags of UNMAP_DMA, and MAP_DMA's VADDR. Mappings 0x10000 and 0x14000 (adjacent), 0x20000, each of 0x4000 bytes.
 */
@Timeout(30)
class UnmapFlagsTest {
    private static final int RW = Access.READ_WRITE;
    private static final int VADDR = DmaFlags.UNMAP_VADDR;
    private final Board board = Board.type1();
    private final DmaBuffer memory = board.memory(0x10000);
    /** Another buffer over the very memory: what a program that was started anew has. */
    private final DmaBuffer again = new LocalMemory(board.bus, List.of(new Node.Range(0, 64 * MB)))
        .allocateAt(memory.physical(0), 0x10000);

    private Container three(String type) {
        Container container = board.vfio.openContainer("three");
        container.addGroup(board.vfio.group(1));
        container.setIommu(type);
        container.map(0x10000, memory, 0, 0x4000, RW);
        container.map(0x14000, memory, 0x4000, 0x4000, Access.READ);
        container.map(0x20000, memory, 0x8000, 0x4000, RW);
        return container;
    }

    private static List<Boolean> valid(Container container) {
        return container.mappings().stream().map(Mapping::vaddrValid).toList();
    }

    private static DirtyBitmap bitmap(int bytes) {
        return new DirtyBitmap(0x1000, ByteBuffer.allocate(bytes));
    }

    @Test
    @DisplayName("CHECK_EXTENSION: UNMAP_ALL and UPDATE_VADDR are what paged types have")
    void extensions() {
        Board pamu = Board.pamu();
        assertFalse(pamu.vfio.openContainer("x").checkExtension(Container.UNMAP_ALL));
        pamu.vfio.addIommu(new FakeIommu(false, pamu.bus, pamu.trip), "type1");
        assertTrue(pamu.vfio.openContainer("y").checkExtension(Container.UNMAP_ALL));
        assertFalse(pamu.container().checkExtension(Container.UPDATE_VADDR));
        assertTrue(three("type1").checkExtension(Container.UPDATE_VADDR));
    }

    // Flags: 1 GET_DIRTY_BITMAP, 2 ALL, 4 VADDR. Tracking is on where that is possible.
    @ParameterizedTest(name = "UNMAP_DMA {0}: {1}")
    @DisplayName("UNMAP_DMA (4.3): flags that do not exist, do not go together or do not fit the range: EINVAL, "
        + "nothing unmapped")
    @CsvSource(delimiter = '|', value = {
        "type1v2 | unknown flag                    | 8 | 0x10000 | 0x4000",
        "type1   | unknown flag                    | 8 | 0x10000 | 0x4000",
        "type1v2 | unknown flag beside a known one | 10 | 0x0    | 0x0",
        "type1v2 | ALL with an iova                | 2 | 0x10000 | 0x0",
        "type1   | ALL with an iova                | 2 | 0x10000 | 0x0",
        "type1v2 | ALL with a size                 | 2 | 0x0     | 0x4000",
        "type1   | ALL with a size                 | 2 | 0x0     | 0x4000",
        "type1v2 | DIRTY with ALL                  | 3 | 0x0     | 0x0",
        "type1v2 | DIRTY with VADDR                | 5 | 0x10000 | 0x4000",
        "type1   | DIRTY, tracking cannot be on    | 1 | 0x10000 | 0x4000",
        "type1v2 | DIRTY, iova not aligned         | 1 | 0x10800 | 0x4000",
        "type1v2 | DIRTY, size 0                   | 1 | 0x10000 | 0x0",
        "type1v2 | DIRTY, cuts a mapping           | 1 | 0x10000 | 0x1000",
        "type1v2 | DIRTY, bitmap too small         | 1 | 0x0     | 0x41000",
        "type1v2 | VADDR, iova not aligned         | 4 | 0x10800 | 0x4000",
        "type1   | VADDR, size 0                   | 4 | 0x10000 | 0x0",
        "type1v2 | VADDR, cuts a mapping           | 4 | 0x10000 | 0x5000",
        "type1v2 | ALL and VADDR with a size       | 6 | 0x0     | 0x4000"})
    void refusals(String type, String rule, int flags, String iova, String length) {
        Container container = three(type);
        if (type.equals("type1v2")) {
            container.dirtyPages(DmaFlags.DIRTY_START, 0, 0, null);
        }
        String before = board.iommu.state() + container.mappings();
        refused(Errno.EINVAL, () -> container.unmap(Long.decode(iova), Long.decode(length), flags, bitmap(8)));
        assertEquals(before, board.iommu.state() + container.mappings());
    }

    @ParameterizedTest
    @DisplayName("UNMAP_DMA windowed: no flag; MAP_DMA windowed: no VADDR; DIRTY_PAGES: ENOTTY")
    @ValueSource(ints = {1, 2, 4, 8})
    void windowed(int flags) {
        Board pamu = Board.pamu();
        Container container = pamu.container();
        DmaBuffer block = pamu.memory(0x1000);
        container.map(0, block, 0, 0x1000, RW);
        refused(Errno.EINVAL, "flags", () -> container.unmap(0, 0, flags, null));
        refused(Errno.EINVAL, "VADDR", () -> container.map(0, block, 0, 0x1000, DmaFlags.MAP_VADDR));
        refused(Errno.ENOTTY, "pamu", () -> container.dirtyPages(DmaFlags.DIRTY_START, 0, 0, null));
        assertEquals(1, container.mappings().size());
    }

    @ParameterizedTest
    @DisplayName("UNMAP_DMA ALL: everything, up to the highest address; nothing mapped: 0")
    @ValueSource(strings = {"type1", "type1v2"})
    void all(String type) {
        Container container = three(type);
        container.map(0xffff_ffff_f000L, memory, 0, 0x1000, RW);
        container.map(0, memory, 0, 0x1000, RW);
        container.as(Msis.class).call("MAP", 0, 0x50000);
        assertEquals(0xe000, container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
        assertEquals(List.of(), container.mappings());
        assertTrue(container.lookup(0x10000, Access.READ) < 0);
        assertEquals(Board.BANKS, container.lookup(0x50000, Access.WRITE));
        assertEquals(0, container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
    }

    @Test
    @DisplayName("UNMAP_DMA ALL: one that fails puts all back")
    void allFails() {
        Container container = three("type1v2");
        String before = board.iommu.state() + container.mappings();
        for (int call = 1; call <= 3; call++) {
            board.trip.at(call);
            refused(Errno.EIO, () -> container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
            assertEquals(before, board.iommu.state() + container.mappings());
        }
    }

    // VADDR

    @ParameterizedTest
    @DisplayName("UNMAP_DMA VADDR: mappings stay, held and reachable by devices; MAP_DMA VADDR: another buffer for "
        + "the same memory")
    @ValueSource(strings = {"type1", "type1v2"})
    void update(String type) {
        Container container = three(type);
        String tables = board.iommu.state();
        assertEquals(0x8000, container.unmap(0x10000, 0x8000, VADDR, null));
        assertEquals(List.of(false, false, true), valid(container));
        long available = board.machine.memory().available();
        memory.close();
        assertEquals(available, board.machine.memory().available(), "the container holds it");
        assertEquals(0, board.portA.write(0x10ffc, 4, 0x12345678));
        byte[] word = new byte[4];
        again.read(0xffc, word, 0, 4);
        assertEquals(0x78, word[0]);

        container.map(0x10000, again, 0, 0x4000, DmaFlags.MAP_VADDR);
        container.map(0x14000, again, 0x4000, 0x4000, DmaFlags.MAP_VADDR);
        assertEquals(List.of(true, true, true), valid(container));
        assertSame(again, container.mappings().get(1).buffer());
        assertEquals(Access.READ, container.mappings().get(1).access(), "access stays as it was mapped");
        assertEquals(tables, board.iommu.state(), "nothing was mapped or unmapped");
        assertEquals(0x4000, container.unmap(0x20000, 0x4000));
        assertEquals(available + 0x10000, board.machine.memory().available(), "the old buffer's last hold is given up");
        assertEquals(0x8000, container.unmap(0, 0, DmaFlags.UNMAP_ALL, null));
    }

    @Test
    @DisplayName("MAP_DMA VADDR: the very same buffer will do")
    void sameBuffer() {
        Container container = three("type1v2");
        container.unmap(0x10000, 0x4000, VADDR, null);
        container.map(0x10000, memory, 0, 0x4000, DmaFlags.MAP_VADDR);
        memory.close();
        long available = board.machine.memory().available();
        container.unmap(0, 0, DmaFlags.UNMAP_ALL, null);
        assertEquals(available + 0x10000, board.machine.memory().available());
    }

    @Test
    @DisplayName("UNMAP_DMA VADDR: by v1's rule a mapping whose first address is covered, none if the range begins "
        + "inside one")
    void firstAddress() {
        Container container = three("type1");
        assertEquals(0, container.unmap(0x11000, 0x10000, VADDR, null));
        assertEquals(List.of(true, true, true), valid(container));
        assertEquals(0x8000, container.unmap(0x10000, 0x5000, VADDR, null));
        assertEquals(List.of(false, false, true), valid(container));
    }

    @ParameterizedTest
    @DisplayName("UNMAP_DMA VADDR: one of them invalid already: EINVAL, and the others stay valid; ALL with VADDR too")
    @ValueSource(strings = {"type1", "type1v2"})
    void alreadyInvalid(String type) {
        Container container = three(type);
        container.unmap(0x14000, 0x4000, VADDR, null);
        refused(Errno.EINVAL, "0x14000", () -> container.unmap(0x10000, 0x14000, VADDR, null));
        refused(Errno.EINVAL, "0x14000", () -> container.unmap(0, 0, VADDR | DmaFlags.UNMAP_ALL, null));
        assertEquals(List.of(true, false, true), valid(container));
        container.map(0x14000, memory, 0x4000, 0x4000, DmaFlags.MAP_VADDR);
        assertEquals(0xc000, container.unmap(0, 0, VADDR | DmaFlags.UNMAP_ALL, null));
        assertEquals(List.of(false, false, false), valid(container));
    }

    @ParameterizedTest(name = "MAP_DMA {0}")
    @DisplayName("MAP_DMA VADDR (4.2): vaddr invalid, but another range, other memory, or none")
    @CsvSource(delimiter = '|', value = {
        "6' no mapping there    | 0x30000 | 0x0    | 0x4000 | ENOENT",
        "6'' not its iova       | 0x11000 | 0x1000 | 0x3000 | EINVAL",
        "6'' not its size       | 0x10000 | 0x0    | 0x3000 | EINVAL",
        "6'' two of them        | 0x10000 | 0x0    | 0x8000 | EINVAL",
        "    other memory       | 0x10000 | 0x4000 | 0x4000 | EINVAL",
        "11  no such memory     | 0x10000 | 0x10000 | 0x4000 | EFAULT"})
    void updateRefused(String rule, String iova, String offset, String length, Errno errno) {
        for (String type : List.of("type1", "type1v2")) {
            Container container = three(type);
            container.unmap(0, 0, VADDR | DmaFlags.UNMAP_ALL, null);
            refused(errno, () -> container.map(Long.decode(iova), again, Long.decode(offset), Long.decode(length),
                DmaFlags.MAP_VADDR));
            assertEquals(List.of(false, false, false), valid(container));
            container.close();
        }
    }

    @Test
    @DisplayName("MAP_DMA VADDR: memory that is the same only in its first extent: EINVAL; a closed buffer: EFAULT")
    void scattered() {
        Container container = three("type1v2");
        DmaBuffer pages = board.scattered(0x2000);
        DmaMemory whole = new LocalMemory(board.bus, List.of(new Node.Range(0, 64 * MB)));
        DmaBuffer straight = whole.allocateAt(pages.physical(0), 0x2000);
        container.map(0x40000, pages, 0, 0x2000, RW);
        container.unmap(0x40000, 0x2000, VADDR, null);
        refused(Errno.EINVAL, "iova 0x41000", () -> container.map(0x40000, straight, 0, 0x2000, DmaFlags.MAP_VADDR));
        container.unmap(0x10000, 0x4000, VADDR, null);
        again.close();
        refused(Errno.EFAULT, "closed", () -> container.map(0x10000, again, 0, 0x4000, DmaFlags.MAP_VADDR));
        assertEquals(List.of(false, true, true, false), valid(container));
    }

    @Test
    @DisplayName("an invalid vaddr: unmapping is allowed; a swap keeps it; overlaps are EEXIST; a container set anew "
        + "has none")
    void otherwise() {
        Container container = three("type1v2");
        container.unmap(0x10000, 0x8000, VADDR, null);
        refused(Errno.EEXIST, () -> container.map(0x10000, memory, 0, 0x4000, RW));
        board.vfio.removeIommu(board.iommu);
        board.vfio.addIommu(board.iommu, "type1");
        assertEquals(List.of(false, false, true), valid(container));
        refused(Errno.EBUSY, "2 mappings", () -> container.addGroup(board.vfio.group(2)));
        assertEquals(0x4000, container.unmap(0x10000, 0x4000));
        refused(Errno.EBUSY, "1 mappings", () -> container.addGroup(board.vfio.group(2)));
        assertEquals(0x4000, container.unmap(0x14000, 0x4000));
        container.addGroup(board.vfio.group(2));
        container.removeGroup(board.vfio.group(2));
        container.unmap(0x20000, 0x4000, VADDR, null);
        container.removeGroup(board.vfio.group(1));
        container.addGroup(board.vfio.group(1));
        container.setIommu("type1");
        container.addGroup(board.vfio.group(2));
    }

    // GET_DIRTY_BITMAP

    @Test
    @DisplayName("UNMAP_DMA GET_DIRTY_BITMAP: what has gone, page by page from the range's start; holes are clean")
    void dirty() {
        Container container = three("type1v2");
        DirtyBitmap bitmap = bitmap(16);
        refused(Errno.EINVAL, "START", () -> container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        container.dirtyPages(DmaFlags.DIRTY_START, 0, 0, null);
        refused(Errno.EINVAL, "bitmap", () -> container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, null));
        refused(Errno.EINVAL, "0x2000 bytes", () -> container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP,
            new DirtyBitmap(0x2000, ByteBuffer.allocate(8))));
        refused(Errno.EFAULT, "read-only", () -> container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP,
            new DirtyBitmap(0x1000, ByteBuffer.allocate(8).asReadOnlyBuffer())));
        board.trip.at(2);
        refused(Errno.EIO, () -> container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        assertEquals(0, bitmap.bits().getLong(0), "what failed has reported nothing");
        bitmap.bits().putLong(0, -1).putLong(8, -1);
        assertEquals(0xc000, container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        for (int page = 0; page < 64; page++) {
            assertEquals(page >= 2 && page < 10 || page >= 18 && page < 22, bitmap.dirty(page), "page " + page);
        }
        assertEquals(-1, bitmap.bits().getLong(8), "bytes behind the words of the range stay");
        assertEquals(List.of(), container.mappings());
        assertEquals(0, container.unmap(0xe000, 0x18000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        assertEquals(0, bitmap.bits().getLong(0));
    }
}
