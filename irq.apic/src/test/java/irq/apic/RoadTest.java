// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.lang.management.ManagementFactory;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Bus;
import machine.api.DmaPort;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The road of an MSI on x86, with {@code new} alone: DmaPort, LapicUnit, Lapic, Cpu, ApicCore, handler. */
class RoadTest {
    @Test
    @DisplayName("A device's write of the composed message ends in the handler, once, before the write returns")
    void messageReachesHandler() {
        Board board = new Board(4);
        AtomicInteger rung = new AtomicInteger();
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.empty(), RoadTest::fail);
                DmaPort port = board.port(0x0018)) {
            MsiVector vector = driver.doorbells().allocate(new MsiRequest(0x0018, List.of(0), rung::incrementAndGet));
            MsiMessage message = driver.doorbells().compose(vector);
            assertEquals(new MsiMessage(0, 0x0000, 0x30), message);

            assertEquals(Bus.OK, port.write(0xfee00000L + message.offset(), 4, message.data()));
            assertEquals(1, rung.get());
            assertEquals(Bus.OK, port.write(0xfee00000L + message.offset(), 4, message.data()));
            assertEquals(2, rung.get());

            driver.doorbells().release(vector);
            assertEquals(Bus.OK, port.write(0xfee00000L + message.offset(), 4, message.data()),
                "nobody tells a device");
            assertEquals(2, rung.get());
            assertEquals(1, driver.unclaimed());
        }
    }

    @Test
    @DisplayName("Each core's interrupts reach their own handler; a handler may ring another core and its own")
    void handlersRing() {
        Board board = new Board(2);
        AtomicInteger first = new AtomicInteger();
        AtomicInteger second = new AtomicInteger();
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.empty(), RoadTest::fail)) {
            driver.doorbells().allocate(new MsiRequest(1, List.of(0), () -> {
                if (first.getAndIncrement() == 0) {
                    board.ring(0xfee01000, 0x30);
                    board.ring(0xfee00000, 0x30);
                }
            }));
            driver.doorbells().allocate(new MsiRequest(1, List.of(0), second::incrementAndGet));
            board.ring(0xfee00000, 0x30);
            assertEquals(2, first.get());
            assertEquals(1, second.get());
        }
    }

    @Test
    @DisplayName("An MSI allocates nothing between the device and its handler")
    void allocatesNothing() {
        Board board = new Board(2);
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        AtomicInteger rung = new AtomicInteger();
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.empty(), RoadTest::fail);
                DmaPort port = board.port(1)) {
            driver.doorbells().allocate(new MsiRequest(1, List.of(0), rung::incrementAndGet));
            long before = 0;
            for (int i = 0; i < 30_000; i++) {
                if (i == 20_000) {
                    before = threads.getThreadAllocatedBytes(Thread.currentThread().getId());
                }
                port.write(0xfee00000L, 4, 0x30);
            }
            long allocated = threads.getThreadAllocatedBytes(Thread.currentThread().getId()) - before;
            assertEquals(30_000, rung.get());
            assertTrue(allocated < 10_000, "less than a byte each, the measurement's own included: " + allocated);
        }
    }

    private static void fail(String what, Throwable why) {
        throw new AssertionError(what, why);
    }
}
