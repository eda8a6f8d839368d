// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.management.ThreadMXBean;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Attachment;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/**
 * Promise P5: no MSI is lost. Whoever waits for an answer before ringing again never waits in vain and is answered
 * once.
 */
@Timeout(60)
class MsiStormTest {
    private static final int THREADS = 6;
    private static final int MESSAGES = 15_000;
    private static final long PATIENCE_NANOS = 10_000_000_000L;

    private final Board board = Board.p4080();
    private final MpicDriver driver = new MpicDriver(board.machine, Board.PIC_NODE, MpicSettings.DEFAULTS,
        board.report);
    private final AtomicReference<String> lost = new AtomicReference<>();

    private long doorbell(MsiMessage message) {
        return driver.doorbells().banks().get(message.bank()).page() + message.offset();
    }

    private void ringAndWait(MsiMessage message, AtomicIntegerArray counts, int index, int expected) {
        board.ring(doorbell(message), message.data());
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        for (int spins = 0; counts.get(index) < expected; spins++) {
            if (spins % 64 == 63) {
                Thread.yield();
            }
            if (lost.get() != null || System.nanoTime() > deadline) {
                lost.compareAndSet(null, "message " + expected + " of thread " + index);
                return;
            }
        }
    }

    @Test
    @DisplayName("P5: threads that ring distinct vectors and wait for each answer: every count is exact, while "
        + "others come and go")
    void storm() throws InterruptedException {
        AtomicIntegerArray counts = new AtomicIntegerArray(THREADS);
        List<Thread> threads = new ArrayList<>();
        for (int t = 0; t < THREADS; t++) {
            int index = t;
            // Half of them share message register 0 of bank 0, the others have one in another bank.
            MsiVector vector = driver.doorbells().allocate(new MsiRequest(1, List.of(t < THREADS / 2 ? 0 : 1 + t % 2),
                () -> counts.incrementAndGet(index)));
            MsiMessage message = driver.doorbells().compose(vector);
            threads.add(new Thread(() -> {
                for (int i = 1; i <= MESSAGES && lost.get() == null; i++) {
                    ringAndWait(message, counts, index, i);
                }
            }));
        }
        AtomicBoolean stop = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        AtomicLong stray = new AtomicLong();
        Thread control = new Thread(() -> comeAndGo(stop, stray));
        control.setUncaughtExceptionHandler((thread, e) -> failure.set(e));
        control.start();
        threads.forEach(Thread::start);
        for (Thread thread : threads) {
            thread.join();
        }
        stop.set(true);
        control.join();
        assertEquals(null, lost.get());
        assertEquals(null, failure.get());
        for (int t = 0; t < THREADS; t++) {
            assertEquals(MESSAGES, counts.get(t));
        }
        assertEquals(0, stray.get(), "no message reached a vector that was not rung yet");
        assertFalse(board.pin(0));
        assertEquals(768 - THREADS,
            driver.doorbells().free(0) + driver.doorbells().free(1) + driver.doorbells().free(2));
        assertEquals(0, driver.unhandled());
        driver.close();
    }

    /** Another user: allocates, rings without waiting, gives back at once, and masks a wire to and fro. */
    private void comeAndGo(AtomicBoolean stop, AtomicLong stray) {
        Wire wire = Board.wire(24, 2);
        while (!stop.get()) {
            AtomicBoolean rung = new AtomicBoolean();
            MsiVector vector = driver.doorbells().allocate(new MsiRequest(1, List.of(0), () -> {
                if (!rung.get()) {
                    stray.incrementAndGet();
                }
            }));
            MsiMessage message = driver.doorbells().compose(vector);
            Attachment request = driver.request(wire, () -> {
            });
            Thread.onSpinWait();
            rung.set(true);
            board.ring(doorbell(message), message.data());
            driver.doorbells().release(vector);
            driver.mask(wire, true);
            driver.mask(wire, false);
            request.close();
        }
    }

    @Test
    @DisplayName("Road: a message from doorbell to handler allocates nothing")
    void allocatesNothing() {
        AtomicInteger calls = new AtomicInteger();
        MsiVector vector = driver.doorbells().allocate(new MsiRequest(1, List.of(0), calls::incrementAndGet));
        MsiMessage message = driver.doorbells().compose(vector);
        long doorbell = doorbell(message);
        int data = message.data();
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        long me = Thread.currentThread().getId();
        for (int i = 0; i < 20_000; i++) {
            board.ring(doorbell, data);
        }
        long before = threads.getThreadAllocatedBytes(me);
        for (int i = 0; i < 100_000; i++) {
            board.ring(doorbell, data);
        }
        long bytes = threads.getThreadAllocatedBytes(me) - before;
        assertEquals(120_000, calls.get());
        assertTrue(bytes < 20_000, bytes + " bytes for 100000 messages");
        driver.close();
    }
}
