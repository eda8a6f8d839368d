// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import machine.api.DmaBuffer;
import machine.api.DmaBuffer.Extent;
import machine.api.DmaMemory;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class LocalMemoryTest {
    private static final long MIB = 1 << 20;

    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 16 * MIB)));
    private final DmaMemory memory =
        new LocalMemory(bus, List.of(new Node.Range(0x1000, 3 * MIB), new Node.Range(8 * MIB, 4 * MIB)));

    @Test
    @DisplayName("DmaMemory: first fit, rounded up to pages, aligned as asked, merged again when given back")
    void firstFit() {
        DmaBuffer small = memory.allocate(1, 4096, Layout.CONTIGUOUS);
        assertEquals(List.of(new Extent(0x1000, 0x1000)), small.extents());
        DmaBuffer aligned = memory.allocate(MIB, MIB, Layout.CONTIGUOUS);
        assertEquals(List.of(new Extent(MIB, MIB)), aligned.extents());
        assertEquals(0x2000, memory.allocate(4096, 4096, Layout.CONTIGUOUS).physical(0));
        assertEquals(8 * MIB, memory.allocate(4 * MIB, 4096, Layout.CONTIGUOUS).physical(0));
        small.close();
        aligned.close();
        assertEquals(0x1000, memory.allocate(4096, 4096, Layout.CONTIGUOUS).physical(0));
    }

    @Test
    @DisplayName("DmaMemory: SCATTERED gives single pages, descending, no two adjacent")
    void scattered() {
        DmaBuffer buffer = memory.allocate(5 * 4096 - 1, 4096, Layout.SCATTERED);
        assertEquals(5, buffer.extents().size());
        assertEquals(5 * 4096, buffer.size());
        for (int i = 0; i < 5; i++) {
            assertEquals(4096, buffer.extents().get(i).length());
            if (i > 0) {
                assertTrue(buffer.extents().get(i - 1).physical() - buffer.extents().get(i).physical() > 4096);
            }
        }
    }

    @Test
    @DisplayName("DmaMemory: wrong wishes are EINVAL, too large ones ENOMEM, and neither costs memory")
    void refusals() {
        assertEquals(Errno.EINVAL, errno(() -> memory.allocate(0, 4096, Layout.CONTIGUOUS)));
        assertEquals(Errno.EINVAL, errno(() -> memory.allocate(-1, 4096, Layout.CONTIGUOUS)));
        assertEquals(Errno.EINVAL, errno(() -> memory.allocate(1, 2048, Layout.CONTIGUOUS)));
        assertEquals(Errno.EINVAL, errno(() -> memory.allocate(1, 0x3000, Layout.CONTIGUOUS)));
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocate(5 * MIB, 4096, Layout.CONTIGUOUS)));
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocate(4096, 1L << 62, Layout.CONTIGUOUS)));
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocate(3 * MIB, 4096, Layout.SCATTERED)));
        assertEquals(Errno.EINVAL, errno(() -> memory.allocateAt(0x1800, 0x1000)));
        assertEquals(Errno.EINVAL, errno(() -> memory.allocateAt(0x1000, 0)));
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocateAt(0, 0x2000)));
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocateAt(3 * MIB, 0x2000)));
        assertEquals(7 * MIB, memory.available());
        DmaBuffer there = memory.allocateAt(0x3000, 0x2000);
        assertEquals(Errno.ENOMEM, errno(() -> memory.allocateAt(0x4000, 0x1000)));
        there.close();
        assertEquals(7 * MIB, memory.available());
    }

    @Test
    @DisplayName("DmaMemory: random allocate and close: no overlap, alignment kept, all given back and merged (naive "
        + "oracle)")
    void model() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("DmaMemoryTest.model -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        BitSet used = new BitSet();
        List<DmaBuffer> buffers = new ArrayList<>();
        for (int step = 0; step < 20_000; step++) {
            if (random.nextInt(100) < 52 && !buffers.isEmpty()) {
                DmaBuffer gone = buffers.remove(random.nextInt(buffers.size()));
                gone.close();
                gone.extents()
                    .forEach(extent -> used.clear(page(extent.physical()), page(extent.physical() + extent.length())));
            } else {
                Layout layout = random.nextInt(4) == 0 ? Layout.SCATTERED : Layout.CONTIGUOUS;
                long alignment = 4096L << random.nextInt(7);
                long size = 1 + random.nextInt(40 * 4096);
                DmaBuffer buffer;
                try {
                    if (random.nextInt(5) == 0) {
                        layout = Layout.CONTIGUOUS;
                        alignment = 4096;
                        buffer = memory.allocateAt(4096L * random.nextInt(4096), size + 4095 & -4096);
                    } else {
                        buffer = memory.allocate(size, alignment, layout);
                    }
                } catch (ErrnoException e) {
                    assertEquals(Errno.ENOMEM, e.errno());
                    continue;
                }
                buffers.add(buffer);
                assertEquals(size + 4095 & -4096, buffer.size());
                long before = -1;
                for (Extent extent : buffer.extents()) {
                    assertEquals(0, extent.physical() & (layout == Layout.CONTIGUOUS ? alignment - 1 : 4095));
                    assertTrue(extent.physical() >= 0x1000 && extent.physical() + extent.length() <= 3 * MIB + 0x1000
                        || extent.physical() >= 8 * MIB && extent.physical() + extent.length() <= 12 * MIB,
                        extent::toString);
                    assertEquals(0,
                        used.get(page(extent.physical()), page(extent.physical() + extent.length())).cardinality());
                    used.set(page(extent.physical()), page(extent.physical() + extent.length()));
                    assertTrue(before < 0 || before - extent.physical() > 4096, "adjacent pages");
                    before = extent.physical();
                }
            }
            assertEquals(7 * MIB - 4096L * used.cardinality(), memory.available());
        }
        buffers.forEach(DmaBuffer::close);
        assertEquals(7 * MIB, memory.available());
        memory.allocate(3 * MIB, 4096, Layout.CONTIGUOUS);
        memory.allocate(4 * MIB, 4096, Layout.CONTIGUOUS);
    }

    @Test
    @DisplayName("DmaBuffer: memory goes back when the last holder lets go, and not before")
    void counting() {
        DmaBuffer buffer = memory.allocate(4096, 4096, Layout.CONTIGUOUS);
        buffer.retain();
        buffer.retain();
        buffer.close();
        buffer.close();
        assertEquals(7 * MIB - 4096, memory.available());
        buffer.release();
        buffer.retain();
        buffer.release();
        assertEquals(7 * MIB - 4096, memory.available());
        buffer.release();
        assertEquals(7 * MIB, memory.available());
        buffer.release();
        assertEquals(7 * MIB, memory.available());
        assertEquals(Errno.EFAULT, errno(buffer::retain));
    }

    @Test
    @DisplayName("DmaBuffer: offsets lead into the right extent; contents cross extents")
    void contents() {
        DmaBuffer buffer = memory.allocate(3 * 4096, 4096, Layout.SCATTERED);
        List<Extent> extents = buffer.extents();
        assertEquals(new Extent(extents.get(0).physical(), 4096), buffer.at(0));
        assertEquals(new Extent(extents.get(0).physical() + 4095, 1), buffer.at(4095));
        assertEquals(new Extent(extents.get(1).physical(), 4096), buffer.at(4096));
        assertEquals(new Extent(extents.get(2).physical() + 1, 4095), buffer.at(8193));
        assertThrows(IllegalArgumentException.class, () -> buffer.at(-1));
        assertThrows(IllegalArgumentException.class, () -> buffer.at(3 * 4096));
        byte[] data = new byte[4096 + 4];
        new Random(7).nextBytes(data);
        buffer.write(4094, data, 0, data.length);
        assertEquals(data[2], (byte) bus.read(extents.get(1).physical(), 1));
        assertEquals(data[4098], (byte) bus.read(extents.get(2).physical(), 1));
        byte[] back = new byte[data.length];
        buffer.read(4094, back, 0, back.length);
        assertArrayEquals(data, back);
        assertThrows(IllegalArgumentException.class, () -> buffer.write(3 * 4096 - 1, data, 0, 2));
        assertThrows(IllegalArgumentException.class, () -> buffer.read(-1, back, 0, 2));
    }

    @Test
    @DisplayName("DmaBuffer: a block ends with the buffer at most; one of no bytes may lie at its end")
    void ends() {
        DmaBuffer buffer = memory.allocate(4096, 4096, Layout.CONTIGUOUS);
        byte[] block = new byte[16];
        buffer.write(4096 - 16, block, 0, 16);
        buffer.read(4096 - 16, block, 0, 16);
        buffer.write(4096, block, 0, 0);
        assertThrows(IllegalArgumentException.class, () -> buffer.write(4096 - 15, block, 0, 16));
        assertThrows(IllegalArgumentException.class, () -> buffer.read(4096 - 15, block, 0, 16));
        assertThrows(IllegalArgumentException.class, () -> buffer.write(-1, block, 0, 1));
        assertThrows(IllegalArgumentException.class, () -> buffer.read(0, block, 0, -1));
        assertThrows(IllegalArgumentException.class, () -> buffer.at(4096));
        assertEquals(4095 + buffer.physical(0), buffer.physical(4095));
    }

    @Test
    @DisplayName("DmaBuffer: memory that is handed out and not there is EIO")
    void notThere() {
        DmaBuffer buffer = new LocalMemory(new PhysicalBus(List.of()), List.of(new Node.Range(0, 4096))).allocateAt(0,
            4096);
        assertEquals(Errno.EIO, errno(() -> buffer.write(0, new byte[4], 0, 4)));
        assertEquals(Errno.EIO, errno(() -> buffer.read(0, new byte[4], 0, 4)));
    }

    @Test
    @DisplayName("DmaMemory: a range is cut out of the middle, the start and the end of what is free, and is not had "
        + "twice")
    void exactRanges() {
        DmaMemory small = new LocalMemory(bus, List.of(new Node.Range(0x1000, 0x8000)));
        DmaBuffer middle = small.allocateAt(0x4000, 0x1000);
        assertEquals(0x7000, small.available());
        for (long[] taken : new long[][] {{0x4000, 0x1000}, {0x3000, 0x2000}, {0, 0x1000}, {0x9000, 0x1000},
            {0x8000, 0x2000}}) {
            assertEquals(Errno.ENOMEM, errno(() -> small.allocateAt(taken[0], taken[1])));
        }
        for (long[] wrong : new long[][] {{-0x1000, 0x1000}, {0x5000, 0}, {0x5000, -0x1000}, {0x5001, 0x1000},
            {0x5000, 0x800}}) {
            assertEquals(Errno.EINVAL, errno(() -> small.allocateAt(wrong[0], wrong[1])));
        }
        DmaBuffer start = small.allocateAt(0x1000, 0x1000);
        DmaBuffer end = small.allocateAt(0x8000, 0x1000);
        assertEquals(0x2000, small.allocate(0x2000, 0x1000, Layout.CONTIGUOUS).physical(0));
        assertEquals(0x5000, small.allocate(0x3000, 0x1000, Layout.CONTIGUOUS).physical(0));
        assertEquals(0, small.available());
        start.close();
        end.close();
        middle.close();
        assertEquals(Errno.ENOMEM, errno(() -> small.allocate(0x2000, 0x1000, Layout.CONTIGUOUS)));
        assertEquals(0x3000, small.available());
    }

    @Test
    @DisplayName("DmaBuffer: a large scattered buffer is walked in time (an offset costs O(log n))")
    void largeScattered() {
        DmaMemory large = new LocalMemory(new PhysicalBus(List.of()), List.of(new Node.Range(0, 2L << 30)));
        DmaBuffer buffer = large.allocate(1L << 30, 4096, Layout.SCATTERED);
        long sum = 0;
        long start = System.nanoTime();
        for (long offset = 0; offset < buffer.size(); offset += 4096) {
            sum += buffer.at(offset).length();
        }
        assertEquals(buffer.size(), sum);
        assertTrue(System.nanoTime() - start < 3_000_000_000L, "262144 pages took more than 3 s");
    }

    private static int page(long physical) {
        return (int) (physical >>> 12);
    }

    private static Errno errno(Runnable call) {
        return assertThrows(ErrnoException.class, call::run).errno();
    }

    @Test
    @DisplayName("DmaMemory: memory that is all taken is in no piece; what is too large by a page is ENOMEM, "
        + "what no address "
        + "has EINVAL")
    void allTaken() {
        memory.allocate(3 * MIB, 4096, Layout.CONTIGUOUS);
        memory.allocate(4 * MIB, 4096, Layout.CONTIGUOUS);
        assertEquals(0, memory.available());
        ErrnoException e = assertThrows(ErrnoException.class, () -> memory.allocate(1, 4096, Layout.CONTIGUOUS));
        assertEquals(Errno.ENOMEM, e.errno());
        assertTrue(e.getMessage().contains("0x0 bytes are free in 0 pieces"), e.getMessage());
        assertEquals(Errno.ENOMEM, assertThrows(ErrnoException.class,
            () -> memory.allocate(1L << 52, 4096, Layout.CONTIGUOUS)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class,
            () -> memory.allocate((1L << 52) + 1, 4096, Layout.CONTIGUOUS)).errno());
    }
}
