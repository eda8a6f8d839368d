// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.function.IntFunction;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class RamTest {
    private static final int CHUNK = 2 << 20;

    @Test
    @DisplayName("Ram: 64 GiB cost nothing until written; reading costs nothing and gives zero")
    void sparse() {
        Ram ram = new Ram(0, 64L << 30);
        byte[] block = new byte[64];
        Arrays.fill(block, (byte) 7);
        assertEquals(0, ram.read((64L << 30) - 8, 8));
        assertEquals(0, ram.read((64L << 30) - 7, 4));
        ram.read((32L << 30) - 32, block, 0, 64);
        assertArrayEquals(new byte[64], block);
        assertEquals(0, ram.resident());
        ram.write((64L << 30) - 1, 1, 0xff);
        assertEquals(CHUNK, ram.resident());
        assertEquals(0xff00000000000000L, ram.read((64L << 30) - 8, 8));
    }

    /** Gives so many pieces, and after them what an exhausted JVM says. */
    private static final class Host implements IntFunction<ByteBuffer> {
        private int left;
        private int asked;

        Host(int left) {
            this.left = left;
        }

        @Override
        public ByteBuffer apply(int bytes) {
            asked++;
            if (left-- <= 0) {
                throw new OutOfMemoryError("Cannot reserve " + bytes + " bytes of direct buffer memory");
            }
            return ByteBuffer.allocateDirect(bytes);
        }
    }

    @Test
    @DisplayName("Ram: where the host has no memory left a store is refused, what is there works on, and it is asked "
        + "again a second later")
    void exhausted() {
        Host host = new Host(1);
        long[] now = new long[1];
        Ram ram = new Ram(0x4000_0000, 8L * CHUNK, host, () -> now[0]);
        List<String> log = new ArrayList<>();
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord entry) {
                log.add(entry.getMessage());
            }

            @Override
            public void flush() {
                // Nothing is buffered.
            }

            @Override
            public void close() {
                // Nothing is held.
            }
        };
        Logger logger = Logger.getLogger("machine.local");
        logger.addHandler(handler);
        try {
            ram.write(0, 4, 1);
            ErrnoException refused = assertThrows(ErrnoException.class, () -> ram.write(CHUNK + 8, 4, 2));
            assertEquals(Errno.ENOMEM, refused.errno());
            for (String said : List.of("physical 0x40200000", "0x200000 of this memory are in use", "Cannot reserve",
                "-XX:MaxDirectMemorySize",
                    "GANTRY_JAVA_OPTS")) {
                assertTrue(refused.getMessage().contains(said), refused.getMessage());
            }
            assertThrows(ErrnoException.class, () -> ram.write(3L * CHUNK, new byte[64], 0, 64));
            assertThrows(ErrnoException.class, () -> ram.write(2L * CHUNK - 1, 2, 3));
            assertEquals(2, host.asked, "a host that has just said no is not asked for each store");
            ram.write(4, 4, 5);
            assertEquals(0x5_0000_0001L, ram.read(0, 8));
            assertEquals(0, ram.read(CHUNK + 8, 8));
            assertEquals(CHUNK, ram.resident());

            now[0] += 1_000_000_000L;
            assertThrows(ErrnoException.class, () -> ram.write(CHUNK + 8, 4, 2));
            assertEquals(3, host.asked);
            assertEquals(1, log.size(), "one line, not one a store: " + log);
            assertTrue(log.get(0).contains("-XX:MaxDirectMemorySize") && !log.get(0).contains("\n"), log.get(0));

            host.left = 1;
            now[0] += 1_000_000_000L;
            ram.write(CHUNK + 8, 4, 2);
            assertEquals(2, ram.read(CHUNK + 8, 8));
            assertThrows(ErrnoException.class, () -> ram.write(5L * CHUNK, 1, 1));
            assertEquals(2, log.size(), "there was some in between");
        } finally {
            logger.removeHandler(handler);
        }
    }

    @Test
    @DisplayName("Ram: values are little-endian, zero-extended, and only their own bytes are written")
    void widths() {
        Ram ram = new Ram(0x1000, 0x1000);
        ram.write(0, 8, 0xfedcba9876543210L);
        assertEquals(0x10, ram.read(0, 1));
        assertEquals(0xfe, ram.read(7, 1));
        assertEquals(0xba98, ram.read(4, 2));
        assertEquals(0xfedcba98L, ram.read(4, 4));
        assertEquals(0xfedcba9876543210L, ram.read(0, 8));
        ram.write(4, 1, -1);
        ram.write(2, 2, 0x1_0000);
        assertEquals(0xfedcbaff00003210L, ram.read(0, 8));
        ram.write(0, 4, 0xaaaaaaaa_00000001L);
        assertEquals(0xfedcbaff00000001L, ram.read(0, 8));
    }

    @Test
    @DisplayName("Ram: unaligned values, also across two chunks")
    void unaligned() {
        Ram ram = new Ram(0, 2 * CHUNK);
        ram.write(CHUNK - 3, 8, 0x8877665544332211L);
        assertEquals(0x8877665544332211L, ram.read(CHUNK - 3, 8));
        assertEquals(0x33221100_00000000L, ram.read(CHUNK - 8, 8) & 0xffffffff_00000000L);
        assertEquals(0x8877665544L, ram.read(CHUNK, 8));
        assertEquals(0x4433, ram.read(CHUNK - 1, 2));
    }

    @Test
    @DisplayName("Ram: a block across chunks, one of them untouched")
    void blocks() {
        Ram ram = new Ram(0, 4L * CHUNK);
        byte[] data = new byte[CHUNK + 2];
        new Random(1).nextBytes(data);
        ram.write(CHUNK - 1, data, 0, data.length);
        // Once more: now each chunk is there.
        ram.write(CHUNK - 1, data, 0, data.length);
        byte[] back = new byte[data.length + 2];
        ram.read(CHUNK - 2, back, 0, back.length);
        assertEquals(0, back[0]);
        assertEquals(0, back[back.length - 1]);
        assertArrayEquals(data, Arrays.copyOfRange(back, 1, back.length - 1));
    }

    @Test
    @DisplayName("Ram: whole 4 KiB pages below 2^52 only")
    void limits() {
        assertThrows(IllegalArgumentException.class, () -> new Ram(0x800, 0x1000));
        assertThrows(IllegalArgumentException.class, () -> new Ram(0, 0));
        assertThrows(IllegalArgumentException.class, () -> new Ram(0, 0x1001));
        assertThrows(IllegalArgumentException.class, () -> new Ram(-4096, 4096));
        assertThrows(IllegalArgumentException.class, () -> new Ram(1L << 52, 4096));
        assertThrows(IllegalArgumentException.class, () -> touched().read(0, 3));
    }

    @Test
    @DisplayName("Ram: the last page below 2^52, and a last piece that is not whole; an odd width is a programmer's "
        + "mistake")
    void lastPages() {
        Ram last = new Ram((1L << 52) - 0x1000, 0x1000);
        last.write(0xff8, 8, 0x1234);
        assertEquals(0x1234, last.read(0xff8, 8));
        assertEquals((1L << 52) - 0x1000, last.base());
        assertEquals(0x1000, last.size());
        assertThrows(IllegalArgumentException.class, () -> new Ram((1L << 52) - 0x1000, 0x2000));
        assertThrows(IllegalArgumentException.class, () -> new Ram(0x1000, Long.MAX_VALUE & -0x1000));
        Ram ram = new Ram(0, CHUNK + 0x1000);
        byte[] block = new byte[0x2000];
        Arrays.fill(block, (byte) 5);
        ram.write(CHUNK - 0x1000, block, 0, 0x2000);
        assertEquals(0x0505050505050505L, ram.read(CHUNK + 0xff8, 8));
        assertEquals(2L * CHUNK, ram.resident());
        assertThrows(IllegalArgumentException.class, () -> ram.write(0, 16, 0));
        assertThrows(IllegalArgumentException.class, () -> ram.read(0, 16));
    }

    @Test
    @DisplayName("Ram: threads that touch a chunk first at the same time write into the same one")
    void growRace() throws InterruptedException {
        for (int round = 0; round < 50; round++) {
            Ram ram = new Ram(0, CHUNK);
            CountDownLatch go = new CountDownLatch(1);
            Thread[] threads = new Thread[4];
            for (int i = 0; i < threads.length; i++) {
                int lane = i;
                threads[i] = new Thread(() -> {
                    try {
                        go.await();
                    } catch (InterruptedException e) {
                        throw new AssertionError(e);
                    }
                    ram.write(8L * lane, 8, lane + 1);
                });
                threads[i].start();
            }
            go.countDown();
            for (Thread thread : threads) {
                thread.join();
            }
            for (int i = 0; i < threads.length; i++) {
                assertEquals(i + 1, ram.read(8L * i, 8));
            }
        }
    }

    private static Ram touched() {
        Ram ram = new Ram(0, 0x1000);
        ram.write(0, 1, 1);
        return ram;
    }
}
