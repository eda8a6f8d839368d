// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Attachment;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

@Timeout(30)
class LocalCpuTest {
    private final Cpu cpu = new LocalCpu(0);

    /** A controller of one source: pending bits and a pin that follows them, as a unit would drive it. */
    private final class Source {
        private int pending;

        synchronized void raise() {
            pending++;
            cpu.pin(true);
        }

        /** Takes one; lowers the pin with the last. */
        synchronized boolean take() {
            if (pending == 0) {
                return false;
            }
            if (--pending == 0) {
                cpu.pin(false);
            }
            return true;
        }
    }

    @Test
    @DisplayName("Cpu: the handler runs on the asserting thread until the pin is low")
    void untilLow() {
        AtomicInteger runs = new AtomicInteger();
        Thread self = Thread.currentThread();
        cpu.attach(() -> {
            assertSame(self, Thread.currentThread());
            if (runs.incrementAndGet() == 3) {
                cpu.pin(false);
            }
        });
        cpu.pin(true);
        assertEquals(3, runs.get());
        assertFalse(cpu.asserted());
    }

    @Test
    @DisplayName("Cpu: an assertion nobody handled waits for the handler")
    void attachLater() {
        cpu.pin(true);
        AtomicInteger runs = new AtomicInteger();
        Attachment attachment = cpu.attach(() -> {
            runs.incrementAndGet();
            cpu.pin(false);
        });
        assertEquals(1, runs.get());
        assertEquals(Errno.EBUSY, assertThrows(ErrnoException.class, () -> cpu.attach(() -> { })).errno());
        attachment.close();
        cpu.pin(true);
        assertEquals(1, runs.get());
    }

    @Test
    @DisplayName("Cpu: many threads assert; the handler is never on two of them and no assertion is lost")
    void neverConcurrentNeverLost() throws InterruptedException {
        int threads = 4;
        int each = 20_000;
        AtomicInteger pending = new AtomicInteger();
        AtomicInteger handled = new AtomicInteger();
        AtomicInteger inside = new AtomicInteger();
        AtomicBoolean concurrent = new AtomicBoolean();
        Object level = new Object();
        cpu.attach(() -> {
            if (inside.incrementAndGet() != 1) {
                concurrent.set(true);
            }
            synchronized (level) {
                handled.addAndGet(pending.getAndSet(0));
                cpu.pin(false);
            }
            inside.decrementAndGet();
        });
        Thread[] asserting = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            asserting[i] = new Thread(() -> {
                for (int n = 0; n < each; n++) {
                    synchronized (level) {
                        pending.incrementAndGet();
                    }
                    cpu.pin(true);
                }
            });
            asserting[i].start();
        }
        for (Thread thread : asserting) {
            thread.join();
        }
        assertFalse(concurrent.get(), "the handler ran on two threads at once");
        assertEquals(threads * each, handled.get(), "assertions were lost");
        assertEquals(0, pending.get());
    }

    @Test
    @DisplayName("Cpu: a handler that asserts again, directly or through its device, is called again")
    void assertedInside() {
        Source source = new Source();
        AtomicInteger handled = new AtomicInteger();
        cpu.attach(() -> {
            if (source.take() && handled.incrementAndGet() < 10) {
                source.raise();
            }
        });
        source.raise();
        assertEquals(10, handled.get());
    }

    @Test
    @DisplayName("Cpu: detach returns only when the handler has left, and it does not run any more")
    void detachWaits() throws InterruptedException {
        CountDownLatch entered = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        Attachment attachment = cpu.attach(() -> {
            entered.countDown();
            try {
                leave.await(10, TimeUnit.SECONDS);
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
            cpu.pin(false);
        });
        Thread asserting = new Thread(() -> cpu.pin(true));
        asserting.start();
        assertTrue(entered.await(5, TimeUnit.SECONDS));
        Thread detaching = new Thread(attachment::close);
        detaching.start();
        detaching.join(50);
        assertTrue(detaching.isAlive(), "detach returned while the handler ran");
        leave.countDown();
        detaching.join(5_000);
        assertFalse(detaching.isAlive());
        asserting.join();
    }

    @Test
    @DisplayName("Cpu: handlers come and go under fire: none runs after its detach has returned, every detach returns")
    void detachUnderFire() throws InterruptedException {
        AtomicBoolean stop = new AtomicBoolean();
        Thread[] asserting = new Thread[3];
        for (int i = 0; i < asserting.length; i++) {
            asserting[i] = new Thread(() -> {
                while (!stop.get()) {
                    cpu.pin(true);
                }
            });
            asserting[i].start();
        }
        AtomicBoolean late = new AtomicBoolean();
        AtomicInteger ran = new AtomicInteger();
        try {
            for (int n = 0; n < 3_000 || ran.get() < 100; n++) {
                AtomicBoolean gone = new AtomicBoolean();
                Attachment attachment = cpu.attach(() -> {
                    ran.incrementAndGet();
                    cpu.pin(false);
                    if (gone.get()) {
                        late.set(true);
                    }
                });
                attachment.close();
                gone.set(true);
            }
        } finally {
            stop.set(true);
        }
        for (Thread thread : asserting) {
            thread.join();
        }
        assertFalse(late.get(), "a handler ran after its detach had returned");
    }

    @Test
    @DisplayName("Cpu: a handler may detach itself; closing an attachment twice does not take the successor away")
    void detachInside() {
        Attachment[] self = new Attachment[1];
        AtomicInteger runs = new AtomicInteger();
        Runnable code = () -> {
            runs.incrementAndGet();
            self[0].close();
        };
        self[0] = cpu.attach(code);
        Attachment first = self[0];
        cpu.pin(true);
        assertEquals(1, runs.get());
        cpu.pin(false);
        self[0] = cpu.attach(code);
        first.close();
        cpu.pin(true);
        assertEquals(2, runs.get());
    }

    static List<Throwable> anything() {
        return List.of(new IllegalStateException("a bad driver"), new StackOverflowError(),
            new IOException("a checked one"));
    }

    @ParameterizedTest
    @MethodSource("anything")
    @DisplayName("Cpu: a handler that throws, whatever it is, is not its caller's concern, and loses nobody else's "
        + "assertion")
    void handlerThrows(Throwable thrown) {
        AtomicInteger runs = new AtomicInteger();
        cpu.attach(() -> {
            if (runs.incrementAndGet() == 1) {
                cpu.pin(true);                          // as another thread would: leaves word
                Throwing.any(thrown);
            }
            cpu.pin(false);
        });
        cpu.pin(true);
        assertEquals(2, runs.get());
        cpu.pin(true);
        assertEquals(3, runs.get());
        assertTrue(cpu.rest(0), "the core is as dead as if a handler still ran");
    }

    @ParameterizedTest
    @MethodSource("anything")
    @DisplayName("Cpu: a handler that throws when it is attached is attached, and can be taken away")
    void attachThrows(Throwable thrown) {
        cpu.pin(true);
        Attachment bad = cpu.attach(() -> Throwing.any(thrown));
        bad.close();
        cpu.attach(() -> cpu.pin(false)).close();
        assertFalse(cpu.asserted());
    }

    @Test
    @DisplayName("Cpu: who asserted a pin that stays asserted is relieved by another thread that asserts it; the "
        + "handler is never on two")
    void relieved() throws InterruptedException {
        AtomicBoolean relieved = new AtomicBoolean();
        AtomicInteger inside = new AtomicInteger();
        AtomicBoolean concurrent = new AtomicBoolean();
        CountDownLatch serving = new CountDownLatch(1);
        cpu.attach(() -> {
            concurrent.compareAndSet(false, inside.incrementAndGet() != 1);
            serving.countDown();
            if (relieved.get()) {
                cpu.pin(false);
            }
            inside.decrementAndGet();
        });
        Thread first = new Thread(() -> {
            cpu.pin(true);
            relieved.set(true);
        });
        first.setDaemon(true);
        first.start();
        assertTrue(serving.await(10, TimeUnit.SECONDS));
        // Ends only if the first is let go: until then the pin stays asserted.
        while (!relieved.get()) {
            cpu.pin(true);
        }
        first.join();
        cpu.serve();
        assertFalse(concurrent.get(), "the handler ran on two threads at once");
        assertFalse(cpu.asserted());
    }

    @Test
    @DisplayName("Cpu: of four threads that assert an endless storm each is let go again and again, and nothing is "
        + "lost at its end")
    void storm() throws InterruptedException {
        int threads = 4;
        int each = 2_000;
        AtomicInteger left = new AtomicInteger(threads);
        AtomicInteger inside = new AtomicInteger();
        AtomicBoolean concurrent = new AtomicBoolean();
        cpu.attach(() -> {
            concurrent.compareAndSet(false, inside.incrementAndGet() != 1);
            if (left.get() == 0) {
                cpu.pin(false);
            }
            inside.decrementAndGet();
        });
        Thread[] asserting = new Thread[threads];
        for (int i = 0; i < threads; i++) {
            asserting[i] = new Thread(() -> {
                for (int n = 0; n < each; n++) {
                    cpu.pin(true);
                }
                if (left.decrementAndGet() == 0) {
                    cpu.pin(true);
                }
            });
            asserting[i].start();
        }
        // The last one would serve for ever, had it asserted before the others were done.
        while (left.get() != 0) {
            cpu.pin(true);
        }
        for (Thread thread : asserting) {
            thread.join();
        }
        assertFalse(concurrent.get(), "the handler ran on two threads at once");
        assertFalse(cpu.asserted(), "the last assertion was not served");
        assertTrue(cpu.rest(0));
    }

    @Test
    @DisplayName("Cpu: a level is noted where no handler may run, and served elsewhere; one that is low again by "
        + "then is not served")
    void levelAndServe() {
        AtomicInteger runs = new AtomicInteger();
        cpu.attach(() -> {
            runs.incrementAndGet();
            cpu.level(false);
        });
        cpu.level(true);
        assertTrue(cpu.asserted());
        assertEquals(0, runs.get());
        cpu.serve();
        assertEquals(1, runs.get());
        cpu.level(true);
        cpu.level(false);
        cpu.serve();
        assertEquals(1, runs.get());
    }

    @Test
    @DisplayName("Cpu: it rests while nothing is asserted or nobody is behind the pin; a handler that asks is told "
        + "no at once")
    void rest() {
        Cpu cpu = new LocalCpu(7);
        assertEquals(7, cpu.number());
        cpu.pin(true);
        assertTrue(cpu.rest(0), "nobody will serve it");
        cpu.pin(false);
        List<Boolean> inside = new ArrayList<>();
        Attachment handler = cpu.attach(() -> {
            inside.add(cpu.rest(Long.MAX_VALUE));
            cpu.level(false);
            inside.add(cpu.rest(Long.MAX_VALUE));
        });
        cpu.pin(true);
        assertEquals(List.of(false, false), inside);
        assertTrue(cpu.rest(0));
        cpu.level(true);
        assertFalse(cpu.rest(0), "asserted, and not served yet");
        assertFalse(cpu.rest(1_000));
        cpu.serve();
        assertTrue(cpu.rest(0));
        handler.close();
    }
}
