// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.container.irq.LocalEventFd;

@Timeout(60)
class LocalEventFdTest {
    @Test
    @DisplayName("eventfd: starts at 4, signal, read 5, then 0")
    void five() throws InterruptedException {
        LocalEventFd eventFd = new LocalEventFd(4);
        eventFd.signal();
        assertEquals(5, eventFd.count());
        assertEquals(5, eventFd.read(0, TimeUnit.SECONDS));
        assertEquals(0, eventFd.count());
        assertEquals(0, eventFd.poll());
    }

    @Test
    @DisplayName("eventfd: a negative start is misuse")
    void negative() {
        assertThrows(IllegalArgumentException.class, () -> new LocalEventFd(-1));
    }

    @Test
    @DisplayName("eventfd: a read without a signal gives 0 after its time, not before")
    void timeout() throws InterruptedException {
        long before = System.nanoTime();
        assertEquals(0, new LocalEventFd(0).read(30, TimeUnit.MILLISECONDS));
        assertTrue(System.nanoTime() - before >= 30_000_000);
        assertEquals(0, new LocalEventFd(0).read(-1, TimeUnit.SECONDS));
    }

    @Test
    @DisplayName("eventfd: a signal wakes a reader that waits for ever")
    void wakes() throws InterruptedException {
        LocalEventFd eventFd = new LocalEventFd(0);
        AtomicLong taken = new AtomicLong();
        Thread reader = new Thread(() -> {
            try {
                taken.set(eventFd.read(Long.MAX_VALUE, TimeUnit.DAYS));
            } catch (InterruptedException e) {
                taken.set(-1);
            }
        });
        reader.start();
        while (reader.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        eventFd.signal();
        reader.join();
        assertEquals(1, taken.get());
    }

    @Test
    @DisplayName("eventfd: a second reader waits its own time only while the first waits longer")
    void secondReader() throws InterruptedException {
        LocalEventFd eventFd = new LocalEventFd(0);
        Thread first = new Thread(
            () -> assertThrows(InterruptedException.class, () -> eventFd.read(60, TimeUnit.SECONDS)));
        first.start();
        while (first.getState() != Thread.State.TIMED_WAITING) {
            Thread.onSpinWait();
        }
        assertEquals(0, eventFd.read(20, TimeUnit.MILLISECONDS));
        first.interrupt();
        first.join();
        eventFd.signal();
        assertEquals(1, eventFd.read(1, TimeUnit.SECONDS));
    }

    @Test
    @DisplayName("eventfd: an interrupted reader takes no signal")
    void interrupted() {
        LocalEventFd eventFd = new LocalEventFd(3);
        Thread.currentThread().interrupt();
        assertThrows(InterruptedException.class, () -> eventFd.read(1, TimeUnit.SECONDS));
        assertFalse(Thread.currentThread().isInterrupted());
        assertEquals(3, eventFd.count());
    }

    @Test
    @DisplayName("eventfd: many signallers and readers lose nothing and wait for nothing that is there")
    void loseNothing() throws InterruptedException {
        LocalEventFd eventFd = new LocalEventFd(0);
        AtomicLong taken = new AtomicLong();
        AtomicBoolean over = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        List<Thread> readers = new ArrayList<>();
        List<Thread> signallers = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            readers.add(new Thread(() -> {
                try {
                    while (!over.get()) {
                        taken.addAndGet(eventFd.read(1, TimeUnit.MILLISECONDS));
                    }
                } catch (InterruptedException | RuntimeException e) {
                    failure.set(e);
                }
            }));
            signallers.add(new Thread(() -> {
                for (int n = 0; n < 200_000; n++) {
                    eventFd.signal();
                }
            }));
        }
        readers.forEach(Thread::start);
        signallers.forEach(Thread::start);
        for (Thread signaller : signallers) {
            signaller.join();
        }
        over.set(true);
        for (Thread reader : readers) {
            reader.join();
        }
        assertEquals(null, failure.get());
        assertEquals(600_000, taken.get() + eventFd.poll());
    }

    @Test
    @DisplayName("eventfd: ping-pong: no wake-up is lost")
    void pingPong() throws InterruptedException {
        LocalEventFd ping = new LocalEventFd(0);
        LocalEventFd pong = new LocalEventFd(0);
        Thread other = new Thread(() -> {
            try {
                for (int i = 0; i < 20_000; i++) {
                    if (ping.read(20, TimeUnit.SECONDS) == 0) {
                        return;
                    }
                    pong.signal();
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        });
        other.start();
        for (int i = 0; i < 20_000; i++) {
            ping.signal();
            assertEquals(1, pong.read(20, TimeUnit.SECONDS), "round " + i);
        }
        other.join();
    }
}
