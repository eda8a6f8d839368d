// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.api.DmaFlags.DIRTY_GET_BITMAP;
import static vfio.api.DmaFlags.DIRTY_START;
import static vfio.api.DmaFlags.DIRTY_STOP;
import static vfio.container.Board.refused;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
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
import vfio.api.swap.Backends;
import vfio.container.dma.DirtyTracking;
import vfio.container.state.Ledger;

/** VFIO_IOMMU_DIRTY_PAGES. */
@Timeout(30)
class DirtyPagesTest {
    private static final long SEED = Long.getLong("gantry.seed", System.nanoTime());
    private final Board board = Board.type1();
    private final Container container = board.vfio.openContainer("one");
    private final DmaBuffer memory = board.memory(0x100000);

    @BeforeEach
    void set() {
        container.addGroup(board.vfio.group(1));
        container.setIommu("type1v2");
        container.map(0x10000, memory, 0, 0x4000, Access.READ_WRITE);
        container.map(0x20000, memory, 0, 0x4000, Access.READ);
    }

    private static DirtyBitmap bitmap(int bytes) {
        return new DirtyBitmap(0x1000, ByteBuffer.allocate(bytes).order(ByteOrder.LITTLE_ENDIAN));
    }

    @ParameterizedTest
    @DisplayName("DIRTY_PAGES (4.4): a v1 container: EACCES, before anything else is looked at")
    @ValueSource(ints = {0, 1, 2, 4, 7, 8})
    void v1(int flags) {
        Container other = board.container("two", 2);
        refused(Errno.EACCES, "type1v2", () -> other.dirtyPages(flags, 0, 0, null));
    }

    @Test
    @DisplayName("DIRTY_PAGES: no IOMMU set: EINVAL; a blocked container: EAGAIN")
    void notActive() {
        refused(Errno.EINVAL, () -> board.vfio.openContainer("two").dirtyPages(DIRTY_START, 0, 0, null));
        board.vfio.removeIommu(board.iommu);
        refused(Errno.EAGAIN, () -> container.dirtyPages(DIRTY_START, 0, 0, null));
    }

    @ParameterizedTest
    @DisplayName("DIRTY_PAGES (4.4): none, several or unknown operations: EINVAL")
    @ValueSource(ints = {0, 3, 5, 6, 7, 8, 9, -1})
    void exactlyOne(int flags) {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        refused(Errno.EINVAL, "exactly one", () -> container.dirtyPages(flags, 0x10000, 0x4000, bitmap(8)));
    }

    @Test
    @DisplayName("DIRTY_PAGES (4.4): repeated START and STOP are harmless; while tracking is off GET_BITMAP is EINVAL")
    void startStop() {
        container.dirtyPages(DIRTY_STOP, 0, 0, null);
        refused(Errno.EINVAL, "START", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap(8)));
        container.dirtyPages(DIRTY_START, 0, 0, null);
        container.dirtyPages(DIRTY_START, 0, 0, null);
        container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap(8));
        container.dirtyPages(DIRTY_STOP, 0, 0, null);
        container.dirtyPages(DIRTY_STOP, 0, 0, null);
        refused(Errno.EINVAL, "START", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap(8)));
    }

    @Test
    @DisplayName("DIRTY_PAGES: tracking lasts over a swap, not over a container that is set anew")
    void swap() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        board.vfio.removeIommu(board.iommu);
        board.vfio.addIommu(board.iommu, "type1");
        container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap(8));
        container.removeGroup(board.vfio.group(1));
        container.addGroup(board.vfio.group(1));
        container.setIommu("type1v2");
        refused(Errno.EINVAL, "START", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap(8)));
    }

    @Test
    @DisplayName("DIRTY_PAGES: a move to type1 ends tracking, one back does not begin it; UNMAP_DMA writes nothing "
        + "and unmaps nothing")
    void move() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        container.as(Backends.class).swap("type1");
        DirtyBitmap bitmap = bitmap(8);
        String before = board.iommu.state() + container.mappings();
        for (long length : new long[] {0x1000, 0x4000, 0x20000}) {
            refused(Errno.EINVAL, "not tracked",
                () -> container.unmap(0x10000, length, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        }
        refused(Errno.EACCES, "type1v2", () -> container.dirtyPages(DIRTY_STOP, 0, 0, null));
        assertEquals(0, bitmap.bits().getLong(0));
        assertEquals(before, board.iommu.state() + container.mappings());
        container.as(Backends.class).swap("type1v2");
        refused(Errno.EINVAL, "START", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap));
        container.dirtyPages(DIRTY_START, 0, 0, null);
        board.trip.at(1);
        refused(Errno.EIO, () -> container.as(Backends.class).swap("type1"));
        container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, bitmap);
        assertEquals(0xf, bitmap.bits().getLong(0), "a move that failed has ended nothing");
    }

    @Test
    @DisplayName("UNMAP_DMA GET_DIRTY_BITMAP: a bitmap that shrinks meanwhile is written as it was given; whatever "
        + "throws, nothing is reported")
    void bitmapOfTheUser() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        DirtyBitmap bitmap = bitmap(8);
        board.trip.each = () -> bitmap.bits().limit(0);
        assertEquals(0x4000, container.unmap(0x10000, 0x4000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        bitmap.bits().limit(8);
        assertEquals(0xf, bitmap.bits().getLong(0));
        bitmap.bits().putLong(0, 0x55);
        board.trip.each = () -> {
            throw new StackOverflowError("a test's");
        };
        refused(Errno.EIO, "StackOverflowError",
            () -> container.unmap(0x20000, 0x4000, DmaFlags.UNMAP_GET_DIRTY_BITMAP, bitmap));
        assertEquals(0x55, bitmap.bits().getLong(0));
    }

    @ParameterizedTest(name = "GET_BITMAP {0}")
    @DisplayName("DIRTY_PAGES (4.4): what GET_BITMAP refuses with EINVAL")
    @CsvSource(delimiter = '|', value = {
        "page size not the smallest    | 0x10000 | 0x4000  | 0x2000   | 8",
        "page size smaller             | 0x10000 | 0x4000  | 0x800    | 8",
        "page size 0                   | 0x10000 | 0x4000  | 0x0      | 8",
        "iova not aligned              | 0x10800 | 0x4000  | 0x1000   | 8",
        "size not aligned              | 0x10000 | 0x4800  | 0x1000   | 8",
        "size 0: no pages              | 0x10000 | 0x0     | 0x1000   | 8",
        "wraps                         | 0x10000 | 0xffffffffffff0000 | 0x1000 | 8",
        "begins inside a mapping       | 0x11000 | 0x3000  | 0x1000   | 8",
        "ends inside a mapping         | 0x0     | 0x11000 | 0x1000   | 8",
        "inside a mapping              | 0x11000 | 0x1000  | 0x1000   | 8",
        "ends inside a later mapping   | 0x10000 | 0x11000 | 0x1000   | 8",
        "bitmap of no bytes            | 0x10000 | 0x4000  | 0x1000   | 0",
        "bitmap of less than a word    | 0x10000 | 0x4000  | 0x1000   | 7",
        "bitmap of a word for 65 pages | 0x0     | 0x41000 | 0x1000   | 15",
        "bitmap too small for a lot    | 0x0     | 0x7ffffffffffff000 | 0x1000 | 4096"})
    void refusals(String rule, String iova, String length, String page, int bytes) {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        ByteBuffer bits = ByteBuffer.allocate(bytes);
        refused(Errno.EINVAL, () -> container.dirtyPages(DIRTY_GET_BITMAP, Long.decode(iova),
            Long.parseUnsignedLong(length.substring(2), 16), new DirtyBitmap(Long.decode(page), bits)));
        for (int i = 0; i < bytes; i++) {
            assertEquals(0, bits.get(i));
        }
    }

    @Test
    @DisplayName("DIRTY_PAGES: no bitmap: EINVAL; one that cannot be written: EFAULT")
    void noBitmap() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        refused(Errno.EINVAL, "bitmap", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000, null));
        refused(Errno.EFAULT, "read-only", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0x10000, 0x4000,
            new DirtyBitmap(0x1000, ByteBuffer.allocate(8).asReadOnlyBuffer())));
    }

    @ParameterizedTest
    @DisplayName("DIRTY_PAGES (4.4): bitmap of ceil(npages / 64) * 8 to 0x10000000 bytes, npages > 0")
    @CsvSource({"0, 8, false", "1, 7, false", "1, 8, true", "64, 8, true", "65, 8, false", "65, 15, false",
        "65, 16, true", "1, 268435456, true", "1, 268435457, false", "2147483648, 268435456, true",
        "2147483649, 268435456, false", "2147483649, 268435464, false", "9223372036854775807, 268435456, false"})
    void sizes(long pages, long bytes, boolean right) {
        if (right) {
            DirtyTracking.checkSize(pages, bytes);
        } else {
            refused(Errno.EINVAL, () -> DirtyTracking.checkSize(pages, bytes));
        }
    }

    @Test
    @DisplayName("DIRTY_PAGES (4.4): all pinned pages are dirty, read-only ones too, each time; bit (iova - start) / "
        + "pgsize")
    void report() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        DirtyBitmap bitmap = new DirtyBitmap(0x1000, ByteBuffer.allocate(24).position(4).limit(20));
        for (int i = 0; i < 24; i++) {
            bitmap.bits().array()[i] = 0x55;
        }
        for (int time = 0; time < 2; time++) {
            container.dirtyPages(DIRTY_GET_BITMAP, 0xf000, 0x16000, bitmap);
            byte[] expected = {0x55, 0x55, 0x55, 0x55, 0b00011110, 0, 0b00011110, 0, 0, 0, 0, 0,
                0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55, 0x55};
            assertEquals(ByteBuffer.wrap(expected), ByteBuffer.wrap(bitmap.bits().array()));
            assertEquals(16, bitmap.bits().remaining());
        }
        container.map(0x14000, memory, 0, 0x1000, Access.WRITE);
        container.unmap(0x20000, 0x4000);
        container.dirtyPages(DIRTY_GET_BITMAP, 0xf000, 0x16000, bitmap);
        assertEquals(0b00111110, bitmap.bits().get(4));
        assertEquals(0, bitmap.bits().get(6));
    }

    @Test
    @DisplayName("DIRTY_PAGES (4.4): the largest report: 2^31 pages, the last bit of 0x10000000 bytes")
    void largest() {
        Assumptions.assumeTrue(Runtime.getRuntime().maxMemory() > 1L << 30,
            "skipped: the largest bitmap takes 256 MiB of a 1 GiB heap");
        long end = 0x800_0000_0000L;
        container.map(end - 0x14000, memory, 0, 0x14000, Access.READ_WRITE);
        container.map(end, memory, 0, 0x1000, Access.READ_WRITE);
        container.dirtyPages(DIRTY_START, 0, 0, null);
        DirtyBitmap bitmap = bitmap(0x1000_0000);
        container.dirtyPages(DIRTY_GET_BITMAP, 0, end, bitmap);
        assertEquals(0xffff_f000_0000_0000L, bitmap.bits().getLong(0x0fff_fff8));
        assertEquals(0, bitmap.bits().getLong(0x0fff_fff0));
        assertEquals(0xf_000f_0000L, bitmap.bits().getLong(0));
        assertTrue(bitmap.dirty(0x7fff_ffffL));
        refused(Errno.EINVAL, "bitmap", () -> container.dirtyPages(DIRTY_GET_BITMAP, 0, end + 0x1000, bitmap));
    }

    @Test
    @DisplayName("DIRTY_PAGES: random mappings and ranges agree with a naive report, page by page")
    void model() {
        System.out.println("DirtyPagesTest.model -Dgantry.seed=" + SEED);
        Random random = new Random(SEED);
        DirtyTracking tracking = new DirtyTracking();
        tracking.operate(DIRTY_START, 0, 0, null, new Ledger(), 0x1000);
        for (int round = 0; round < 300; round++) {
            List<Mapping> mappings = new ArrayList<>();
            int pages = 1 + random.nextInt(300);
            boolean[] mapped = new boolean[pages];
            for (int at = random.nextInt(4); at < pages; ) {
                int count = 1 + random.nextInt(Math.min(pages - at, random.nextInt(8) == 0 ? 150 : 9));
                mappings.add(new Mapping(0x40000 + at * 0x1000L, memory, 0, count * 0x1000L, Access.READ));
                for (int i = at; i < at + count; i++) {
                    mapped[i] = true;
                }
                at += count + random.nextInt(3);
            }
            byte[] bytes = new byte[48];
            random.nextBytes(bytes);
            DirtyBitmap bitmap = new DirtyBitmap(0x1000, ByteBuffer.wrap(bytes));
            tracking.report(0x40000, pages * 0x1000L, bitmap, 0x1000).write(mappings);
            long words = DirtyBitmap.bytes(pages);
            for (int page = 0; page < words * 8; page++) {
                assertEquals(page < pages && mapped[page], bitmap.dirty(page), "round " + round + " page " + page);
            }
        }
    }

    @Test
    @DisplayName("DIRTY_PAGES: a range with nothing mapped is clean")
    void clean() {
        container.dirtyPages(DIRTY_START, 0, 0, null);
        DirtyBitmap bitmap = bitmap(8);
        bitmap.bits().putLong(0, -1);
        container.dirtyPages(DIRTY_GET_BITMAP, 0x40000, 0x40000, bitmap);
        assertFalse(bitmap.dirty(0));
        assertEquals(0, bitmap.bits().getLong(0));
    }
}
