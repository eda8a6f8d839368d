// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Snoop;
import machine.api.Unit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class PhysicalBusTest {
    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0x100000, 0x1000), new Ram(0, 0x2000)));

    /** Logs every access; reads answer the offset in every byte. */
    private static final class Log implements Mmio {
        private final List<String> accesses = new ArrayList<>();

        @Override
        public long read(long offset, int size) {
            accesses.add(String.format("r%d@%x", size, offset));
            return 0x0101010101010101L * offset;
        }

        @Override
        public void write(int requester, long offset, int size, long value) {
            accesses.add(String.format("w%d@%x=%x by %d", size, offset, value, requester));
        }
    }

    @Test
    @DisplayName("Bus: every address goes to the memory or the window that has it")
    void decode() {
        Log low = new Log();
        Log high = new Log();
        bus.attach(0xff000, 0x1000, low);
        bus.attach(0x7fff_ffff_ffff_0000L, 0xffff, high);
        assertEquals(Bus.OK, bus.write(0x1ff8, 8, 1));
        assertEquals(Bus.OK, bus.write(0x100ff8, 8, 2));
        assertEquals(1, bus.read(0x1ff8, 8));
        assertEquals(2, bus.read(0x100ff8, 8));
        assertEquals(Bus.OK, bus.write(193, 0xff000, 4, 0xffff_ffff_0000_0067L));
        assertEquals(Bus.OK, bus.write(0xfffff, 1, 0x1ff));
        assertEquals(0x10, bus.read(0x7fff_ffff_ffff_0010L, 1));
        assertEquals(List.of("w4@0=67 by 193", "w1@fff=ff by -1"), low.accesses);
        assertEquals(List.of("r1@10"), high.accesses);
    }

    @Test
    @DisplayName("Bus: where nothing answers reads are all ones of their size and writes are NO_TARGET")
    void nothing() {
        bus.attach(0x3000, 0x10, new Log());
        for (long hole : new long[] {0x2000, 0x2ffc, 0x3010, 0x300e, 0x1ffe, 0xffffe, -8, Long.MIN_VALUE,
            Long.MAX_VALUE - 7}) {
            assertEquals(0xffffffffL, bus.read(hole, 4), () -> Long.toHexString(hole));
            assertEquals(Refusal.NO_TARGET, bus.write(hole, 4, 0), () -> Long.toHexString(hole));
        }
        assertEquals(0xff, bus.read(0x2000, 1));
        assertEquals(0xffff, bus.read(0x2000, 2));
        assertEquals(-1, bus.read(0x2000, 8));
    }

    @Test
    @DisplayName("Bus: a window on memory or on another window is EEXIST and names both; state is unchanged")
    void overlap() {
        Attachment window = bus.attach(0x3000, 0x1000, new Log());
        for (long[] taken : new long[][] {{0x3000, 0x1000}, {0x2fff, 2}, {0x3fff, 1}, {0x2000, 0x4000},
            {0x1fff, 1}, {0xff000, 0x1001}}) {
            ErrnoException e = assertThrows(ErrnoException.class, () -> bus.attach(taken[0], taken[1], new Log()));
            assertEquals(Errno.EEXIST, e.errno());
            assertTrue(e.getMessage().contains("0x" + Long.toHexString(taken[0])), e.getMessage());
        }
        bus.attach(0x2000, 0x1000, new Log()).close();
        bus.attach(0x4000, 1, new Log());
        window.close();
        Attachment again = bus.attach(0x3000, 0x1000, new Log());
        window.close();
        assertEquals(Bus.OK, bus.write(0x3000, 4, 0), "closing twice took the successor away");
        again.close();
        assertEquals(Refusal.NO_TARGET, bus.write(0x3000, 4, 0));
        assertThrows(IllegalArgumentException.class, () -> bus.attach(0x3000, 0, new Log()));
        assertThrows(IllegalArgumentException.class, () -> bus.attach(Long.MAX_VALUE, 2, new Log()));
        assertThrows(IllegalArgumentException.class,
            () -> new PhysicalBus(List.of(new Ram(0, 0x2000), new Ram(0x1000, 0x1000))));
    }

    @Test
    @DisplayName("Bus: a block over registers is cut into naturally aligned pieces of at most 4 bytes, upwards")
    void blockOverRegisters() {
        Log log = new Log();
        bus.attach(0x3000, 0x1000, log);
        byte[] data = {9, 1, 2, 3, 4, 5, 6, 7, 8, 9};
        assertEquals(Bus.OK, bus.write(5, 0x3003, data, 1, 8));
        assertEquals(List.of("w1@3=1 by 5", "w4@4=5040302 by 5", "w2@8=706 by 5", "w1@a=8 by 5"), log.accesses);
        byte[] back = new byte[8];
        assertEquals(Bus.OK, bus.read(0x3001, back, 1, 7));
        assertArrayEquals(new byte[] {0, 1, 2, 2, 4, 4, 4, 4}, back);
    }

    @Test
    @DisplayName("Bus: a block over the end of memory writes what is there, reads ones beyond, and says NO_TARGET")
    void blockOverEnd() {
        byte[] data = new byte[16];
        java.util.Arrays.fill(data, (byte) 0x11);
        assertEquals(Refusal.NO_TARGET, bus.write(Bus.CPU, 0x1ff8, data, 0, 16));
        assertEquals(0x1111111111111111L, bus.read(0x1ff8, 8));
        byte[] back = new byte[16];
        assertEquals(Refusal.NO_TARGET, bus.read(0x1ff8, back, 0, 16));
        for (int i = 0; i < 16; i++) {
            assertEquals(i < 8 ? 0x11 : -1, back[i]);
        }
        Log log = new Log();
        bus.attach(0x2000, 0x1000, log);
        assertEquals(Bus.OK, bus.write(Bus.CPU, 0x1ffc, data, 0, 8));
        assertEquals(List.of("w4@0=11111111 by -1"), log.accesses);
    }

    @Test
    @DisplayName("Bus, port: memory that does not begin at 0: values and blocks, by cores and by devices, the "
        + "largest piece and the others")
    void bases() {
        long[] bases = {0, 1L << 32, 1L << 40};
        PhysicalBus pieces = new PhysicalBus(
            List.of(new Ram(bases[1], 0x2000), new Ram(bases[0], 0x1000), new Ram(bases[2], 0x1000)));
        assertEquals(List.of(bases[0], bases[1], bases[2]), pieces.memory().stream().map(Ram::base).toList());
        LocalMachine machine = new LocalMachine(
            new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), pieces);
        machine.attach(Node.at("/iommu"),
            new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> iova),
            InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(1, "/iommu", 0));
        byte[] block = {1, 2, 3, 4, 5, 6, 7, 8};
        for (int i = 0; i < bases.length; i++) {
            byte[] back = new byte[8];
            assertEquals(Bus.OK, port.write(bases[i] + 0x100, 8, 0x1122334455667700L + i));
            assertEquals(0x1122334455667700L + i, pieces.read(bases[i] + 0x100, 8));
            block[0] = (byte) i;
            assertEquals(Bus.OK, port.write(bases[i] + 0x200, block, 0, 8));
            assertEquals(Bus.OK, port.read(bases[i] + 0x200, back, 0, 8));
            assertArrayEquals(block, back);
            assertEquals(0x0807060504030200L + i, pieces.read(bases[i] + 0x200, 8));
            assertEquals(Bus.OK, pieces.write(Bus.CPU, bases[i] + 0x300, block, 0, 8));
            assertEquals(Bus.OK, pieces.read(bases[i] + 0x300, back, 0, 8));
            assertArrayEquals(block, back);
            assertEquals(Bus.OK, pieces.write(bases[i] + 0x400, 8, 0x55 + i));
        }
        for (int i = 0; i < bases.length; i++) {
            assertEquals(0x1122334455667700L + i, pieces.read(bases[i] + 0x100, 8), "each has its own");
            assertEquals(i, pieces.read(bases[i] + 0x300, 1));
            assertEquals(0x55 + i, pieces.read(bases[i] + 0x400, 8));
        }
    }

    @Test
    @DisplayName("Bus: memory side by side is no overlap; a window may begin at 0 and end where addresses end")
    void limits() {
        new PhysicalBus(List.of(new Ram(0x1000, 0x1000), new Ram(0, 0x1000)));
        assertThrows(IllegalArgumentException.class,
            () -> new PhysicalBus(List.of(new Ram(0x1000, 0x2000), new Ram(0x2000, 0x1000))));
        PhysicalBus bare = new PhysicalBus(List.of());
        bare.attach(0, 0x1000, new Log());
        bare.attach(Long.MAX_VALUE - 0xfff, 0xfff, new Log());
        assertEquals(Bus.OK, bare.write(0xffc, 4, 0));
        assertEquals(Refusal.NO_TARGET, bare.write(0x1000, 4, 0));
        assertThrows(IllegalArgumentException.class, () -> bare.attach(-1, 1, new Log()));
        assertThrows(IllegalArgumentException.class, () -> bare.attach(0x2000, -1, new Log()));
        assertThrows(IllegalArgumentException.class, () -> new PhysicalBus(List.of(), Duration.ZERO));
        assertThrows(IllegalArgumentException.class, () -> new PhysicalBus(List.of(), Duration.ofNanos(-1)));
    }

    @Test
    @DisplayName("Bus: windows that come and go in random order always answer where they are (naive oracle)")
    void model() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("PhysicalBusTest.model -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        TreeMap<Long, Attachment> attached = new TreeMap<>();
        TreeMap<Long, Long> sizes = new TreeMap<>();
        for (int step = 0; step < 5_000; step++) {
            long start = 0x10000 + 0x100L * random.nextInt(64);
            long size = 0x100L * (1 + random.nextInt(4));
            if (random.nextInt(3) == 0 && !attached.isEmpty()) {
                long first = attached.ceilingKey(start) == null ? attached.firstKey() : attached.ceilingKey(start);
                attached.remove(first).close();
                sizes.remove(first);
            } else {
                boolean free = sizes.entrySet().stream()
                    .noneMatch(e -> start < e.getKey() + e.getValue() && e.getKey() < start + size);
                long tag = start;
                try {
                    attached.put(start, bus.attach(start, size, new Mmio() {
                        @Override
                        public long read(long offset, int bytes) {
                            return tag + offset;
                        }

                        @Override
                        public void write(int requester, long offset, int bytes, long value) {
                        }
                    }));
                    assertTrue(free, "attached over another window");
                    sizes.put(start, size);
                } catch (ErrnoException e) {
                    assertTrue(!free, e.getMessage());
                }
            }
            long probe = 0x10000 + 8L * random.nextInt(0x1000);
            boolean hit = sizes.floorKey(probe) != null
                && probe < sizes.floorKey(probe) + sizes.floorEntry(probe).getValue();
            assertEquals(hit ? probe : -1, bus.read(probe, 8));
        }
    }

    @Test
    @DisplayName("Bus: a window of no byte is none; one that touches memory or a window is told where that "
        + "begins and ends")
    void windowText() {
        assertThrows(IllegalArgumentException.class, () -> bus.attach(0x3000, 0, new Log()));
        ErrnoException memory = assertThrows(ErrnoException.class, () -> bus.attach(0x1ff0, 0x20, new Log()));
        assertTrue(memory.getMessage().contains("register window 0x1ff0..0x200f touches memory at 0x0..0x1fff"),
            memory.getMessage());
        bus.attach(0x3000, 0x1000, new Log());
        ErrnoException window = assertThrows(ErrnoException.class, () -> bus.attach(0x3800, 0x1000, new Log()));
        assertTrue(window.getMessage().contains("touches a window at 0x3000..0x3fff"), window.getMessage());
        PhysicalBus bare = new PhysicalBus(List.of());
        bare.attach(0, 0x1000, new Log());
        assertEquals(Bus.OK, bare.write(0, 4, 1));
    }

    @Test
    @DisplayName("Bus: a block ends where it was asked to end: the last piece of six bytes of registers has two")
    void lastPiece() {
        Log log = new Log();
        bus.attach(0x3000, 0x1000, log);
        byte[] six = new byte[6];
        assertEquals(Bus.OK, bus.read(0x3010, six, 0, 6));
        assertEquals(Bus.OK, bus.write(7, 0x3010, six, 0, 6));
        assertEquals(List.of("r4@10", "r2@14", "w4@10=10101010 by 7", "w2@14=1414 by 7"), log.accesses);
    }

    @Test
    @Timeout(30)
    @DisplayName("P1: a store that throws is counted out, on a core that shares its count with others, too")
    void strangerThrows() throws Exception {
        List<Thread> owners = new ArrayList<>();
        CountDownLatch end = new CountDownLatch(1);
        for (int i = 0; i < InFlight.OWNERS; i++) {
            CountDownLatch there = new CountDownLatch(1);
            Thread owner = new Thread(() -> {
                bus.write(0, 8, 1);
                there.countDown();
                try {
                    end.await();
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            });
            owner.start();
            owners.add(owner);
            there.await();
        }
        try {
            assertThrows(IllegalArgumentException.class, () -> bus.write(0, 3, 1), "no core stores three bytes");
            assertThrows(IndexOutOfBoundsException.class, () -> bus.write(-1, 0, new byte[4], 2, 4));
            Snoop snoop = bus.snoop(List.of(new Node.Range(0, 0x1000)));
            bus.sync();
            snoop.close();
        } finally {
            end.countDown();
            for (Thread owner : owners) {
                owner.join();
            }
        }
    }

    @Test
    @DisplayName("Bus: a block of one byte goes where it is sent")
    void oneByte() {
        bus.write(0x100, 8, -1);
        assertEquals(Bus.OK, bus.write(Bus.CPU, 0x103, new byte[] {9}, 0, 1));
        assertEquals(0xffff_ffff_09ff_ffffL, bus.read(0x100, 8));
    }
}
