// SPDX-License-Identifier: Apache-2.0
package device.edu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.concurrent.BrokenBarrierException;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.CyclicBarrier;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.BooleanSupplier;
import machine.api.Bus;
import machine.api.Gate;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

@Timeout(20)
class EduTest {
    private static final long IOVA = 0x10000;

    private final Board board = new Board();
    private Edu edu;

    @BeforeEach
    void powerUp() {
        edu = new Edu(board.machine, board.slot, 0, 0, EduSettings.DEFAULT);
        edu.writeConfig(0x04, 2, 0x6);
    }

    @AfterEach
    void powerDown() {
        edu.close();
    }

    // Registers.

    @Test
    @DisplayName("edu 0x00: identification is 0x010000ed and read-only")
    void identification() {
        edu.writeBar(0, 0x00, 4, 0);
        assertEquals(0x010000edL, edu.readBar(0, 0x00, 4));
    }

    @Test
    @DisplayName("edu 0x04: the liveness register reads back inverted")
    void liveness() {
        edu.writeBar(0, 0x04, 4, 0x12345678);
        assertEquals(0xedcba987L, edu.readBar(0, 0x04, 4));
    }

    @ParameterizedTest
    @CsvSource({"0, 1", "1, 1", "5, 120", "10, 3628800", "12, 479001600", "13, 1932053504", "33, 2147483648", "34, 0",
        "4294967295, 0"})
    @DisplayName("edu 0x08: n becomes n! modulo 2^32 when bit 0 of the status is clear")
    void factorial(long number, long result) {
        edu.writeBar(0, 0x08, 4, number);
        await(() -> (edu.readBar(0, 0x20, 4) & 1) == 0);
        assertEquals(result, edu.readBar(0, 0x08, 4));
        assertEquals(0, edu.readBar(0, 0x24, 4));
    }

    @Test
    @DisplayName("edu 0x20: bit 7 asks for interrupt 0x1 after the factorial; bit 0 cannot be written")
    void factorialInterrupt() {
        edu.writeBar(0, 0x20, 4, 0xff);
        assertEquals(0x80, edu.readBar(0, 0x20, 4));
        edu.writeBar(0, 0x08, 4, 4);
        await(() -> edu.readBar(0, 0x24, 4) == 0x1);
        assertEquals(24, edu.readBar(0, 0x08, 4));
        assertEquals(0x80, edu.readBar(0, 0x20, 4));
        edu.writeBar(0, 0x20, 4, 0);
        assertEquals(0, edu.readBar(0, 0x20, 4));
    }

    @Test
    @DisplayName("edu: while a factorial is computed the status says so and another number is dropped")
    void computing() throws InterruptedException {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        board.handler = () -> {
            entered.countDown();
            await(() -> leave.getCount() == 0);
        };
        msi(Board.DOORBELL, 1);
        edu.writeBar(0, 0x20, 4, 0x80);
        edu.writeBar(0, 0x08, 4, 3);
        assertTrue(entered.await(5, TimeUnit.SECONDS));
        edu.writeBar(0, 0x08, 4, 5);                    // the engine is held in its interrupt: nobody computes
        assertEquals(0x81, edu.readBar(0, 0x20, 4));
        edu.writeBar(0, 0x08, 4, 6);
        assertEquals(5, edu.readBar(0, 0x08, 4));
        leave.countDown();
        await(() -> (edu.readBar(0, 0x20, 4) & 1) == 0);
        assertEquals(120, edu.readBar(0, 0x08, 4));
    }

    @Test
    @DisplayName("edu 0x60/0x64: raised bits are or-ed into 0x24, acknowledged ones cleared")
    void raiseAndAcknowledge() {
        edu.writeBar(0, 0x60, 4, 0x5);
        edu.writeBar(0, 0x60, 4, 0x80000000L);
        assertEquals(0x80000005L, edu.readBar(0, 0x24, 4));
        edu.writeBar(0, 0x24, 4, 0);
        assertEquals(0x80000005L, edu.readBar(0, 0x24, 4));
        edu.writeBar(0, 0x64, 4, 0x1);
        assertEquals(0x80000004L, edu.readBar(0, 0x24, 4));
        edu.writeBar(0, 0x64, 4, 0xffffffffL);
        assertEquals(0, edu.readBar(0, 0x24, 4));
        assertEquals(0xffffffffL, edu.readBar(0, 0x60, 4));
        assertEquals(0xffffffffL, edu.readBar(0, 0x64, 4));
    }

    @Test
    @DisplayName("edu: below 0x80 4 bytes only, from 0x80 on 4 or 8; anything else reads ones and writes nothing")
    void accessSizes() {
        assertEquals(0xffL, edu.readBar(0, 0x00, 1));
        assertEquals(0xffffL, edu.readBar(0, 0x00, 2));
        assertEquals(-1L, edu.readBar(0, 0x00, 8));
        edu.writeBar(0, 0x60, 8, 1);
        edu.writeBar(0, 0x60, 2, 1);
        assertEquals(0, edu.readBar(0, 0x24, 4));
        edu.writeBar(0, 0x80, 8, 0x1122334455667788L);
        edu.writeBar(0, 0x80, 2, 0);
        edu.writeBar(0, 0x84, 4, 0);
        assertEquals(0x1122334455667788L, edu.readBar(0, 0x80, 8));
        assertEquals(0x55667788L, edu.readBar(0, 0x80, 4));
        assertEquals(0xffffffffL, edu.readBar(0, 0x84, 4));
        edu.writeBar(0, 0x80, 4, 0xfffffff0L);
        assertEquals(0xfffffff0L, edu.readBar(0, 0x80, 8));
        assertEquals(0xffffffffL, edu.readBar(0, 0xffffc, 4));
        assertThrows(IllegalArgumentException.class, () -> edu.readBar(0, 0x100000, 4));
        assertThrows(IllegalArgumentException.class, () -> edu.readBar(0, 0x2, 4));
        assertThrows(IllegalArgumentException.class, () -> edu.readBar(0, 0x0, 3));
        assertThrows(IllegalArgumentException.class, () -> edu.readBar(1, 0x0, 4));
        assertThrows(IllegalArgumentException.class, () -> edu.readBar(6, 0x0, 4));
    }

    @Test
    @DisplayName("PCI command: without memory enable the BAR reads ones and takes nothing")
    void memoryDisabled() {
        edu.writeConfig(0x04, 2, 0x4);
        assertEquals(0xffffffffL, edu.readBar(0, 0x00, 4));
        edu.writeBar(0, 0x60, 4, 1);
        edu.writeConfig(0x04, 2, 0x6);
        assertEquals(0, edu.readBar(0, 0x24, 4));
    }

    // DMA.

    @Test
    @DisplayName("edu DMA: memory to the buffer and back, all 4096 bytes, across a page boundary")
    void bothWays() {
        byte[] data = pattern(4096);
        board.bus.write(Bus.CPU, IOVA + 0x800, data, 0, 4096);
        dma(IOVA + 0x800, 0x40000, 4096, 1);
        dma(0x40000, 0x20000, 4096, 3);
        assertArrayEquals(data, memory(0x20000, 4096));
        assertEquals(0, edu.readBar(0, 0x24, 4));
        assertEquals(0x2, edu.readBar(0, 0x98, 8));
        assertEquals(List.of(), board.faults);
    }

    @Test
    @DisplayName("edu DMA: part of the buffer; what is not transferred stays")
    void part() {
        board.bus.write(Bus.CPU, IOVA, pattern(4096), 0, 4096);
        dma(IOVA, 0x40ff0, 16, 1);
        dma(0x40fe0, 0x20000, 32, 3);
        byte[] expected = new byte[32];
        System.arraycopy(pattern(16), 0, expected, 16, 16);
        assertArrayEquals(expected, memory(0x20000, 32));
    }

    @Test
    @DisplayName("edu DMA: bit 2 of the command raises 0x100 when done; a count of 0 is done at once")
    void completion() {
        dma(IOVA, 0x40000, 0, 5);
        assertEquals(0x100, edu.readBar(0, 0x24, 4));
        assertEquals(0x4, edu.readBar(0, 0x98, 8));
    }

    @ParameterizedTest
    @CsvSource({"40000, 1001", "40fff, 2", "3ffff, 1", "41001, 0", "0, 10", "40000, ffffffffffffffff",
        "ffffffffffffffff, 1", "8000000000040000, 10"})
    @DisplayName("edu DMA: beyond the buffer nothing moves, it is counted, and it completes")
    void outOfBuffer(String address, String count) {
        long inside = Long.parseUnsignedLong(address, 16);
        long bytes = Long.parseUnsignedLong(count, 16);
        dma(inside, 0x20000, bytes, 7);
        dma(0x20000, inside, bytes, 5);
        assertEquals(2, edu.outOfBuffer());
        assertEquals(0x100, edu.readBar(0, 0x24, 4));
        assertEquals(List.of(), board.translated);
        dma(0x40000, 0x20000, 4096, 3);
        assertArrayEquals(new byte[4096], memory(0x20000, 4096));
    }

    @Test
    @DisplayName("edu DMA: a transfer the IOMMU refuses completes and interrupts; a refused read fills the buffer "
        + "with ones")
    void refused() {
        board.bus.write(Bus.CPU, 0x800000, pattern(64), 0, 64);
        dma(0x40000, 0x800000, 64, 7);
        assertArrayEquals(pattern(64), memory(0x800000, 64));
        assertEquals(0x100, edu.readBar(0, 0x24, 4));
        dma(0x800000, 0x40000, 64, 5);
        dma(0x40000, 0x20000, 65, 3);
        byte[] ones = new byte[65];
        Arrays.fill(ones, 0, 64, (byte) -1);
        assertArrayEquals(ones, memory(0x20000, 65));
        assertEquals(2, edu.refusedTransfers());
        assertEquals(List.of(Refusal.UNMAPPED, Refusal.UNMAPPED),
            board.faults.stream().map(fault -> fault.refusal()).toList());
    }

    @Test
    @DisplayName("PCI command: without bus master there is no DMA and no MSI, but the transfer completes")
    void noBusMaster() {
        edu.writeConfig(0x04, 2, 0x2);
        msi(Board.DOORBELL, 0x41);
        board.bus.write(Bus.CPU, IOVA, pattern(64), 0, 64);
        dma(IOVA, 0x40000, 64, 5);
        await(() -> edu.refusedMessages() == 1);
        assertEquals(1, edu.refusedTransfers());
        assertEquals(0x100, edu.readBar(0, 0x24, 4));
        assertEquals(List.of(), board.translated);
        edu.writeConfig(0x04, 2, 0x6);
        dma(0x40000, 0x20000, 64, 3);
        assertArrayEquals(new byte[64], memory(0x20000, 64));
        assertEquals(List.of(), board.messages);
    }

    @Test
    @DisplayName("QEMU: device addresses are cut to 28 bits unless dma.mask says otherwise")
    void mask() {
        dma(0x40000, 0xf_0000_0000L | 0x20000, 4, 3);
        assertEquals(List.of(0x20000L), board.translated);
        try (Edu wide = new Edu(board.machine, board.slot, 1, 0, new EduSettings(0x1fffffff, 0))) {
            board.translated.clear();
            wide.writeConfig(0x04, 2, 0x6);
            program(wide, 0x40000, 0x3000_0000L, 4, 3);
            await(() -> (wide.readBar(0, 0x98, 8) & 1) == 0);
            assertEquals(List.of(0x1000_0000L), board.translated);
        }
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> new EduSettings(0xffffff0, 0)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> new EduSettings(0x7ff, 0)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> new EduSettings(-1, -1)).errno());
    }

    @Test
    @DisplayName("QEMU: while a transfer runs its registers do not change; a command without the run bit is dropped")
    void runningIsFrozen() {
        try (Edu slow = new Edu(board.machine, board.slot, 1, 0, new EduSettings(0xfffffff, 60_000))) {
            slow.writeConfig(0x04, 2, 0x6);
            slow.writeBar(0, 0x98, 8, 6);
            assertEquals(0, slow.readBar(0, 0x98, 8));
            program(slow, IOVA, 0x40000, 64, 1);
            program(slow, 1, 2, 3, 5);
            assertEquals(IOVA, slow.readBar(0, 0x80, 8));
            assertEquals(0x40000, slow.readBar(0, 0x88, 8));
            assertEquals(64, slow.readBar(0, 0x90, 8));
            assertEquals(1, slow.readBar(0, 0x98, 8));
            slow.writeBar(0, 0x08, 4, 5);               // a transfer that waits does not keep a factorial waiting
            await(() -> slow.readBar(0, 0x08, 4) == 120);
        }
    }

    @Test
    @DisplayName("dma.delay.millis: the transfer waits that long")
    void delay() {
        try (Edu slow = new Edu(board.machine, board.slot, 1, 0, new EduSettings(0xfffffff, 50))) {
            slow.writeConfig(0x04, 2, 0x6);
            long start = System.nanoTime();
            program(slow, IOVA, 0x40000, 64, 1);
            await(() -> (slow.readBar(0, 0x98, 8) & 1) == 0);
            assertTrue(System.nanoTime() - start >= 50_000_000, "done before its time");
        }
    }

    // Interrupts.

    @Test
    @DisplayName("PCI 6.8: an MSI is a 4-byte write of the data to the address, by the device's requester, for every "
        + "raise")
    void msi() {
        msi(Board.DOORBELL + 0x140, 0x67);
        edu.writeBar(0, 0x60, 4, 1);
        edu.writeBar(0, 0x60, 4, 1);
        assertEquals(List.of(193L << 48 | 0x140L << 40 | 4L << 32 | 0x67, 193L << 48 | 0x140L << 40 | 4L << 32 | 0x67),
            board.messages);
        edu.writeBar(0, 0x64, 4, 1);
        edu.writeBar(0, 0x60, 4, 0);                    // raises nothing while nothing is raised
        assertEquals(2, board.messages.size());
        assertEquals(List.of(), board.levels);
    }

    @Test
    @DisplayName("PCI: the answer to a config read does not pass a message that was posted before it, but by the "
        + "handler's own read")
    void postedMessage() throws InterruptedException {
        msi(Board.DOORBELL + 0x140, 0x67);
        CountDownLatch arrived = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        board.handler = () -> {
            edu.readConfig(0, 4);
            arrived.countDown();
            try {
                leave.await();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        };
        Thread device = new Thread(() -> edu.writeBar(0, 0x60, 4, 1));
        device.start();
        arrived.await();
        Thread host = new Thread(() -> edu.readConfig(0, 4));
        host.start();
        host.join(100);
        assertTrue(host.isAlive(), "the read has passed the message");
        leave.countDown();
        host.join();
        device.join();
    }

    @Test
    @DisplayName("an MSI is translated: aimed at memory it lands there, aimed at nothing it is a fault and not an "
        + "error")
    void msiIsTranslated() {
        msi(0x30010, 0x4321);
        edu.writeBar(0, 0x60, 4, 1);
        assertEquals(0x4321, board.bus.read(0x30010, 8));
        msi(0x1_0000_0000L, 0x4321);
        edu.writeBar(0, 0x60, 4, 1);
        assertEquals(1, edu.refusedMessages());
        assertEquals(0x1_0000_0000L, board.faults.get(0).iova());
    }

    @Test
    @DisplayName("a handler may acknowledge, reset and start the next transfer on the thread of the interrupt")
    void handlerInsideInterrupt() {
        msi(Board.DOORBELL, 1);
        board.handler = () -> {
            assertEquals(0x100, edu.readBar(0, 0x24, 4));
            edu.writeBar(0, 0x64, 4, 0x100);
            if (board.messages.size() < 100) {
                program(edu, IOVA, 0x40000, 64, 5);
            } else {
                edu.reset();
            }
        };
        program(edu, IOVA, 0x40000, 64, 5);
        await(() -> board.messages.size() == 100 && edu.readConfig(0x04, 2) == 0);
    }

    @Test
    @DisplayName("INTx: the wire is asserted while the interrupt status is not zero")
    void intx() {
        edu.writeBar(0, 0x60, 4, 3);
        edu.writeBar(0, 0x64, 4, 1);
        assertEquals(List.of(true), board.levels);
        assertEquals(0x18, edu.readConfig(0x06, 2));
        edu.writeBar(0, 0x64, 4, 2);
        assertEquals(List.of(true, false), board.levels);
        assertEquals(0x10, edu.readConfig(0x06, 2));
    }

    @Test
    @DisplayName("INTx: the disable bit and MSI enable take the wire down; taking them back raises it again")
    void intxDisabled() {
        edu.writeBar(0, 0x60, 4, 1);
        edu.writeConfig(0x04, 2, 0x406);
        assertEquals(List.of(true, false), board.levels);
        assertEquals(0x18, edu.readConfig(0x06, 2));
        edu.writeConfig(0x04, 2, 0x6);
        edu.writeConfig(0x42, 2, 1);
        assertEquals(List.of(true, false, true, false), board.levels);
        assertEquals(0x10, edu.readConfig(0x06, 2));
        edu.writeConfig(0x42, 2, 0);
        assertEquals(List.of(true, false, true, false, true), board.levels);
        edu.reset();
        assertEquals(List.of(true, false, true, false, true, false), board.levels);
    }

    @Test
    @DisplayName("INTx: acknowledged while the wire is still going up, it goes down afterwards")
    void intxAcknowledgedInside() {
        board.asserted = () -> edu.writeBar(0, 0x64, 4, 1);
        edu.writeBar(0, 0x60, 4, 1);
        assertEquals(List.of(true, false), board.levels);
    }

    @Test
    @DisplayName("INTx: raised and acknowledged by several threads, the wire ends where the status is")
    void intxRace() throws InterruptedException {
        AtomicInteger wrong = new AtomicInteger();
        CyclicBarrier start = new CyclicBarrier(2);
        CyclicBarrier end = new CyclicBarrier(2, () -> {
            if (!board.levels.isEmpty() && board.levels.get(board.levels.size() - 1)) {
                wrong.incrementAndGet();
            }
        });
        Thread[] threads = new Thread[2];
        for (int i = 0; i < threads.length; i++) {
            long bit = 1L << i;
            threads[i] = new Thread(() -> {
                try {
                    for (int round = 0; round < 10_000; round++) {
                        start.await();
                        edu.writeBar(0, 0x60, 4, bit);
                        edu.writeBar(0, 0x64, 4, bit);
                        end.await();
                    }
                } catch (InterruptedException | BrokenBarrierException e) {
                    throw new AssertionError(e);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(0, edu.readBar(0, 0x24, 4));
        assertEquals(0, wrong.get(), "rounds that left the wire asserted");
    }

    @Test
    @DisplayName("a handler that throws on the device's thread is reported and does not end the device")
    void handlerThrows() {
        Thread.UncaughtExceptionHandler before = Thread.getDefaultUncaughtExceptionHandler();
        List<Throwable> reported = Collections.synchronizedList(new ArrayList<>());
        Thread.setDefaultUncaughtExceptionHandler((thread, e) -> reported.add(e));
        try {
            msi(Board.DOORBELL, 1);
            board.handler = () -> {
                throw new IllegalStateException("a bad driver");
            };
            dma(IOVA, 0x40000, 64, 5);
            await(() -> reported.size() == 1);
            board.handler = () -> {
            };
            dma(IOVA, 0x40000, 64, 5);
            await(() -> board.messages.size() == 2);
            board.broken = true;
            dma(IOVA, 0x40000, 64, 1);
            assertEquals(2, reported.size(), "a broken unit");
            assertEquals(1, edu.refusedTransfers());
        } finally {
            Thread.setDefaultUncaughtExceptionHandler(before);
        }
    }

    // Configuration space.

    @Test
    @DisplayName("PCI 6.1: identity, class, subsystem and pin as QEMU's device has them, and none can be written")
    void identity() {
        for (int offset = 0; offset < 256; offset += 4) {
            edu.writeConfig(offset, 4, 0xffffffffL);
        }
        assertEquals(0x11e81234L, edu.readConfig(0x00, 4));
        assertEquals(0x00100547L, edu.readConfig(0x04, 4));
        assertEquals(0x00ff0010L, edu.readConfig(0x08, 4));
        assertEquals(0x00, edu.readConfig(0x0e, 1));
        assertEquals(0x11001af4L, edu.readConfig(0x2c, 4));
        assertEquals(0x40, edu.readConfig(0x34, 1));
        assertEquals(0x01ff, edu.readConfig(0x3c, 2));
        assertEquals(0x00810005L, edu.readConfig(0x40, 4));
        assertEquals(0xfffffffcL, edu.readConfig(0x44, 4));
        assertEquals(0xffffffffL, edu.readConfig(0x48, 4));
        assertEquals(0x0000ffffL, edu.readConfig(0x4c, 4));
        assertEquals(0, edu.readConfig(0xfc, 4));
        assertEquals(256, edu.configSize());
        assertThrows(IllegalArgumentException.class, () -> edu.readConfig(0x100, 4));
        assertThrows(IllegalArgumentException.class, () -> edu.readConfig(0x01, 2));
        assertThrows(IllegalArgumentException.class, () -> edu.writeConfig(0x00, 8, 0));
    }

    @Test
    @DisplayName("PCI 6.2.5.1: ones written to BAR0 read back its size, 1 MiB; the other BARs are zero")
    void barSizing() {
        edu.writeConfig(0x10, 4, 0xffffffffL);
        assertEquals(0xfff00000L, edu.readConfig(0x10, 4));
        edu.writeConfig(0x10, 4, 0xfeb12345L);
        assertEquals(0xfeb00000L, edu.readConfig(0x10, 4));
        for (int bar = 1; bar < 6; bar++) {
            edu.writeConfig(0x10 + 4 * bar, 4, 0xffffffffL);
            assertEquals(0, edu.readConfig(0x10 + 4 * bar, 4));
            assertEquals(0, edu.barSize(bar));
        }
        assertEquals(0x100000, edu.barSize(0));
    }

    // Life.

    @Test
    @DisplayName("reset: as after power-up, the transfer that waited is dropped, the next one works")
    void reset() {
        try (Edu slow = new Edu(board.machine, board.slot, 1, 0, new EduSettings(0xfffffff, 300))) {
            slow.writeConfig(0x04, 2, 0x6);
            slow.writeBar(0, 0x04, 4, 1);
            slow.writeBar(0, 0x60, 4, 1);
            program(slow, IOVA, 0x40000, 64, 5);
            slow.reset();
            assertEquals(0, slow.readConfig(0x04, 2));
            slow.writeConfig(0x04, 2, 0x6);
            for (int register : new int[] {0x04, 0x08, 0x20, 0x24, 0x80, 0x88, 0x90, 0x98}) {
                assertEquals(0, slow.readBar(0, register, 4), () -> "register 0x" + Integer.toHexString(register));
            }
            program(slow, IOVA, 0x40000, 64, 5);
            await(() -> slow.readBar(0, 0x24, 4) == 0x100);
            assertEquals(List.of(IOVA), board.translated);
        }
    }

    @Test
    @DisplayName("reset, close: a transfer that waits at a shut gate is dropped, and not waited for until the gate's "
        + "bound")
    void resetAtGate() {
        Gate gate = board.machine.gate((requester, iova, data) -> false);
        gate.requesters(Set.of(edu.requester().id()));
        for (boolean last : new boolean[] {false, true}) {
            long stalled = gate.stalled();
            gate.shut(TimeUnit.MINUTES.toNanos(5));
            edu.writeConfig(0x04, 2, 0x6);
            program(edu, IOVA, 0x40000, 64, 1);
            await(() -> gate.stalled() > stalled);
            if (last) {
                edu.close();
            } else {
                edu.reset();
                edu.writeConfig(0x04, 2, 0x6);
                assertEquals(0, edu.readBar(0, 0x98, 4));
                gate.open();
                dma(IOVA, 0x40000, 64, 1);
            }
        }
        assertEquals(2, edu.refusedTransfers());
        gate.close();
    }

    @Test
    @DisplayName("reset: when it returns nothing of the old life moves any more, neither data nor interrupts")
    void resetWhileRunning() {
        for (int i = 0; i < 500; i++) {
            edu.writeConfig(0x04, 2, 0x6);
            msi(Board.DOORBELL, 1);
            program(edu, IOVA, 0x40000, 4096, 5);
            if (i % 3 == 0) {
                Thread.onSpinWait();
            } else if (i % 3 == 1) {
                Thread.yield();
            }
            edu.reset();
            int translated = board.translated.size();
            int messages = board.messages.size();
            edu.writeConfig(0x04, 2, 0x6);
            assertEquals(0, edu.readBar(0, 0x24, 4));
            assertEquals(translated, board.translated.size());
            assertEquals(messages, board.messages.size());
        }
        board.bus.write(Bus.CPU, IOVA, pattern(4096), 0, 4096);
        dma(IOVA, 0x40000, 4096, 1);
        edu.reset();
        edu.writeConfig(0x04, 2, 0x6);
        dma(0x40000, 0x20000, 4096, 3);
        assertArrayEquals(new byte[4096], memory(0x20000, 4096));
    }

    @Test
    @DisplayName("reset waits for the interrupt that is under way")
    void resetWaits() throws InterruptedException {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        board.handler = () -> {
            entered.countDown();
            await(() -> leave.getCount() == 0);
        };
        msi(Board.DOORBELL, 1);
        program(edu, IOVA, 0x40000, 64, 5);
        assertTrue(entered.await(5, TimeUnit.SECONDS));
        Thread resetting = new Thread(edu::reset);
        resetting.start();
        resetting.join(50);
        assertTrue(resetting.isAlive(), "reset returned while the device's interrupt was being handled");
        leave.countDown();
        resetting.join(5_000);
        assertFalse(resetting.isAlive());
    }

    @Test
    @DisplayName("a second device at the same place is EBUSY and says where; after close the place is free")
    void samePlace() {
        ErrnoException busy = assertThrows(ErrnoException.class,
            () -> new Edu(board.machine, board.slot, 0, 0, EduSettings.DEFAULT));
        assertEquals(Errno.EBUSY, busy.errno());
        assertTrue(busy.getMessage().contains("0000:01:00.0 (pcie0)"), busy.getMessage());
        edu.close();
        new Edu(board.machine, board.slot, 0, 0, EduSettings.DEFAULT).close();
    }

    @Test
    @DisplayName("close: the thread has ended, the wire is low, nothing answers; twice is once")
    void close() {
        for (int i = 1; i < 32; i++) {
            Edu device = new Edu(board.machine, board.slot, i, 0, new EduSettings(0xfffffff, 60_000));
            device.writeConfig(0x04, 2, 0x6);
            device.writeBar(0, 0x60, 4, 1);
            program(device, IOVA, 0x40000, 64, 5);
            device.close();
            device.close();
            device.writeConfig(0x04, 2, 0x6);
            device.writeBar(0, 0x60, 4, 1);
            assertEquals(0xffffffffL, device.readBar(0, 0x00, 4));
        }
        assertEquals(false, board.levels.get(board.levels.size() - 1));
        assertEquals(1, engines("device.edu 0000:01:"), "threads of closed devices");
        assertEquals(List.of(), board.translated);
    }

    @Test
    @DisplayName("address, slot, requester and wire are the slot's")
    void description() {
        assertEquals("0000:01:00.0", edu.name());
        assertEquals("pcie0", edu.slot().name());
        assertEquals(193, edu.requester().id());
        assertEquals(Board.WIRE, edu.interrupt().orElseThrow());
    }

    private void msi(long address, int data) {
        edu.writeConfig(0x44, 4, address & 0xffffffffL);
        edu.writeConfig(0x48, 4, address >>> 32);
        edu.writeConfig(0x4c, 2, data);
        edu.writeConfig(0x42, 2, 1);
    }

    private void dma(long from, long to, long bytes, long command) {
        program(edu, from, to, bytes, command);
        await(() -> (edu.readBar(0, 0x98, 8) & 1) == 0);
    }

    private static void program(Edu device, long from, long to, long bytes, long command) {
        device.writeBar(0, 0x80, 8, from);
        device.writeBar(0, 0x88, 8, to);
        device.writeBar(0, 0x90, 8, bytes);
        device.writeBar(0, 0x98, 8, command);
    }

    private byte[] memory(long physical, int length) {
        byte[] bytes = new byte[length];
        board.bus.read(physical, bytes, 0, length);
        return bytes;
    }

    private static byte[] pattern(int length) {
        byte[] bytes = new byte[length];
        for (int i = 0; i < length; i++) {
            bytes[i] = (byte) (i * 7 + i / 256 + 3);
        }
        return bytes;
    }

    private static long engines(String prefix) {
        return Thread.getAllStackTraces().keySet().stream().filter(thread -> thread.getName().startsWith(prefix))
            .count();
    }

    private static void await(BooleanSupplier condition) {
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < end, "not within 10 s");
            Thread.yield();
        }
    }
}
