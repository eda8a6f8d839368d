// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Installed
@Timeout(60)
class QtestTest {
    private static final long SEED = Long.getLong("gantry.seed", System.nanoTime());
    private static final long PIC = 0xf_e004_0000L;
    private static final long RAM = 0x20_0000;

    private static Qemu pc;
    private static Qemu board;

    @BeforeAll
    static void start() {
        pc = Qemu.start(Launch.q35(64, "edu,addr=3.0"));
        board = Qemu.start(Launch.e500("ppce500", 64, 1));
    }

    @AfterAll
    static void stop() {
        for (Qemu qemu : new Qemu[] {pc, board}) {
            if (qemu != null) {
                qemu.close();
            }
        }
    }

    @DisplayName("Values are the target's own numbers: the same bytes read differently on a little- and on a "
        + "big-endian core")
    @Test
    void order() {
        for (Qemu qemu : List.of(pc, board)) {
            Qtest qtest = qemu.qtest();
            qtest.memwrite(RAM, new byte[] {1, 2, 3, 4, 5, 6, 7, (byte) 0x88});
            boolean little = qemu == pc;
            assertEquals(little ? ByteOrder.LITTLE_ENDIAN : ByteOrder.BIG_ENDIAN, qtest.order());
            assertEquals(1, qtest.readb(RAM));
            assertEquals(little ? 0x201 : 0x102, qtest.readw(RAM));
            assertEquals(little ? 0x4030201L : 0x1020304L, qtest.readl(RAM));
            assertEquals(little ? 0x8807_0605_0403_0201L : 0x0102_0304_0506_0788L, qtest.readq(RAM));
            qtest.writeb(RAM, 0xfff);
            qtest.writew(RAM + 2, 0xdead_1234L);
            qtest.writel(RAM + 4, -2);
            assertArrayEquals(
                little ? new byte[] {-1, 2, 0x34, 0x12, -2, -1, -1, -1}
                    : new byte[] {-1, 2, 0x12, 0x34, -1, -1, -1, -2},
                qtest.memread(RAM, 8));
            qtest.writeq(RAM, 0x8000_0000_0000_0001L);
            assertEquals(0x8000_0000_0000_0001L, qtest.readq(RAM));
        }
    }

    @DisplayName("Blocks of any size and alignment arrive as they were sent, hex or base64")
    @Test
    void blocks() {
        Random random = new Random(SEED);
        for (int i = 0; i < 40; i++) {
            byte[] bytes = new byte[i == 0 ? 0 : i == 1 ? 700_001 : 1 + random.nextInt(3000)];
            random.nextBytes(bytes);
            long at = RAM + random.nextInt(5000);
            pc.qtest().memset(at, bytes.length + 8, 0x5a);
            if (i % 2 == 0) {
                pc.qtest().batch().write(at, bytes, 0, bytes.length).run();
            } else {
                pc.qtest().memwrite(at, bytes);
            }
            assertArrayEquals(bytes, pc.qtest().memread(at, bytes.length), () -> "seed " + SEED);
            assertEquals(0x5a5a_5a5a_5a5a_5a5aL, pc.qtest().readq(at + bytes.length), () -> "seed " + SEED);
        }
    }

    @DisplayName("A batch is carried out in order, with a result for each command, and can be used again")
    @Test
    void batch() {
        Batch batch = pc.qtest().batch();
        for (int i = 0; i < 20_000; i++) {
            batch.writel(RAM, i).readl(RAM);
        }
        assertEquals(40_000, batch.size());
        long[] results = batch.run();
        for (int i = 0; i < 20_000; i++) {
            assertEquals(0, results[2 * i]);
            assertEquals(i, results[2 * i + 1]);
        }
        assertEquals(0, batch.size());
        assertArrayEquals(new long[0], batch.run());
        assertArrayEquals(new long[] {19_999, 0, 0x11e8_1234L},
            batch.readl(RAM).outl(0xcf8, 0x8000_1800L).inl(0xcfc).run());
    }

    @DisplayName("A refused command is an error with QEMU's own word, wherever it stands; the others of its batch "
        + "are carried out")
    @Test
    void refused() {
        Qtest qtest = board.qtest();
        ErrnoException e = assertThrows(ErrnoException.class, () -> qtest.ask("clock_stop now"));
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("\"clock_stop now\""), e.getMessage());
        assertTrue(e.getMessage().contains("Unknown command"), e.getMessage());
        e = assertThrows(ErrnoException.class,
            () -> qtest.batch().writel(RAM, 1).setIrqIn("/machine/nowhere", Qtest.UNNAMED_IN, 1, 1)
            .writel(RAM, 2).run());
        assertTrue(e.getMessage().contains("set_irq_in /machine/nowhere"), e.getMessage());
        assertEquals(2, qtest.readl(RAM));
        e = assertThrows(ErrnoException.class, () -> board.qmp().execute("no-such-command"));
        assertTrue(e.getMessage().contains("CommandNotFound"), e.getMessage());
    }

    @DisplayName("An intercepted line is told before the command that changed it returns")
    @Test
    void interrupts() {
        Qtest qtest = board.qtest();
        List<String> told = new ArrayList<>();
        qtest.interceptIrqIn("/machine/unattached/device[0]");
        qtest.listen((line, raised) -> told.add(line + (raised ? "+" : "-")));
        // MPIC: source 224, priority 5, vector 0x123, to core 0; CTPR 0; then MSIIR.
        qtest.batch().writel(PIC + 0x11c00, 5 << 16 | 0x123).writel(PIC + 0x11c10, 1).writel(PIC + 0x20080, 0).run();
        assertFalse(qtest.irq(4));
        qtest.writel(PIC + 0x1740, 7L << 24);
        assertEquals(List.of("4+"), told);
        assertTrue(qtest.irq(4));
        assertArrayEquals(new long[] {0x123, 1 << 7, 0},
            qtest.batch().readl(PIC + 0x200a0).readl(PIC + 0x1600).writel(PIC + 0x200b0, 0).run());
        assertEquals(List.of("4+", "4-"), told);
        assertFalse(qtest.irq(4));
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> qtest.interceptIrqIn("/machine/unattached/device[0]/../device[1]"));
        assertTrue(e.getMessage().contains("FAIL"), e.getMessage());
    }

    @DisplayName("Several threads at once each get their own replies; a thread's interrupt does not break the "
        + "connection")
    @Test
    void threads() throws InterruptedException {
        List<Throwable> failures = new ArrayList<>();
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < 4; t++) {
            long at = RAM + 0x10_0000 + 64 * t;
            int own = t + 1;
            Thread thread = new Thread(() -> {
                try {
                    for (int i = 0; i < 500; i++) {
                        if (i % 10 == 0) {
                            Thread.currentThread().interrupt();
                        }
                        pc.qtest().writel(at, own << 16 | i);
                        assertEquals(own << 16 | i, pc.qtest().readl(at));
                        assertEquals(i % 10 == 0, Thread.interrupted());
                        if (i % 100 == 0) {
                            assertTrue(pc.qmp().hmp("info status").contains("running"));
                        }
                    }
                } catch (Throwable e) {
                    synchronized (failures) {
                        failures.add(e);
                    }
                }
            });
            threads.add(thread);
            thread.start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(List.of(), failures);
    }
}
