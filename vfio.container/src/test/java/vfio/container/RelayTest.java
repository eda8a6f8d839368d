// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.EventFd;
import vfio.container.irq.LocalEventFd;
import vfio.container.irq.Relay;

@Timeout(30)
class RelayTest {
    private final LocalEventFd first = new LocalEventFd(0);
    private final LocalEventFd second = new LocalEventFd(0);
    private final Relay relay = new Relay(first);

    @Test
    @DisplayName("another eventfd is set when the interrupts on their way to the one before have arrived, however "
        + "many, and not those after")
    void waits() throws InterruptedException {
        Relay.Target one = relay.begin();
        Relay.Target two = relay.begin();
        AtomicBoolean set = new AtomicBoolean();
        CountDownLatch calling = new CountDownLatch(1);
        Thread setter = new Thread(() -> {
            calling.countDown();
            relay.target(second);
            set.set(true);
        });
        setter.start();
        assertTrue(calling.await(10, TimeUnit.SECONDS));
        Relay.Target later = relay.begin();
        while (later == one) {
            later.end();
            Thread.onSpinWait();
            later = relay.begin();
        }
        one.end();
        while (setter.getState() != Thread.State.TIMED_WAITING) {
            assertFalse(set.get(), "one of two is still on its way");
            Thread.onSpinWait();
        }
        two.end();
        setter.join();
        assertTrue(set.get());
        assertNotSame(one, later);
        relay.interrupt();
        assertEquals(0, first.count());
        assertEquals(1, second.count());
        later.end();
    }

    @Test
    @DisplayName("an eventfd of somebody else's may throw: the interrupt is over all the same, and another can be set")
    void throwing() {
        EventFd bad = new EventFd() {
            @Override
            public void signal() {
                throw new IllegalStateException("its file is closed");
            }

            @Override
            public long poll() {
                return 0;
            }

            @Override
            public long read(long timeout, TimeUnit unit) {
                return 0;
            }
        };
        relay.target(bad);
        relay.interrupt();
        relay.target(second);
        relay.interrupt();
        assertEquals(1, second.count());
    }

    @Test
    @DisplayName("under two ringing threads no eventfd is signalled after its successor is set, and none of the "
        + "signals is lost")
    void retarget() throws InterruptedException {
        AtomicBoolean over = new AtomicBoolean();
        AtomicLong rung = new AtomicLong();
        Thread[] ringing = new Thread[2];
        for (int i = 0; i < ringing.length; i++) {
            ringing[i] = new Thread(() -> {
                long mine = 0;
                for (; !over.get(); mine++) {
                    relay.interrupt();
                }
                rung.addAndGet(mine);
            });
            ringing[i].start();
        }
        long heard = 0;
        int late = 0;
        LocalEventFd before = first;
        for (int i = 0; i < 200_000; i++) {
            LocalEventFd next = new LocalEventFd(0);
            relay.target(next);
            long then = before.count();
            for (int spin = 0; spin < 20; spin++) {
                Thread.onSpinWait();
            }
            late += before.count() == then ? 0 : 1;
            heard += before.count();
            before = next;
        }
        over.set(true);
        for (Thread thread : ringing) {
            thread.join();
        }
        heard += before.count();
        assertEquals(0, late);
        assertEquals(rung.get(), heard);
    }
}
