// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.host.ProviderCalls;
import vfio.container.host.TopologyLock;
import vfio.container.state.ContainerLock;

/** The rules of a container's lock, which its Javadoc has. */
class ContainerLockTest {
    private final List<String> seen = new CopyOnWriteArrayList<>();
    private boolean doubt;
    private boolean ownerThrows;
    private int asked;
    private final ProviderCalls calls = new ProviderCalls(Duration.ofMillis(20));
    private final ContainerLock lock = new ContainerLock(calls, new ContainerLock.Owner() {
        @Override
        public boolean releasing() {
            asked++;
            if (ownerThrows) {
                throw new IllegalStateException("owner");
            }
            return doubt;
        }

        @Override
        public void missed() {
            doubt = false;
            seen.add("missed");
            lock().drainDeferred();
        }

        @Override
        public void released() {
            seen.add("released");
        }

        @Override
        public void deferredFailed(Throwable thrown) {
            seen.add("failed: " + thrown.getMessage());
        }
    });

    private ContainerLock lock() {
        return lock;
    }

    /** Lets another thread have the lock while that is done. */
    private void whileHeld(Runnable work) throws Exception {
        CountDownLatch held = new CountDownLatch(1);
        CountDownLatch end = new CountDownLatch(1);
        FutureTask<Void> holder = new FutureTask<>(() -> lock.run(() -> {
            held.countDown();
            try {
                end.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }), null);
        new Thread(holder).start();
        held.await();
        try {
            work.run();
        } finally {
            end.countDown();
            holder.get();
        }
    }

    @Test
    @DisplayName("an event that cannot have the lock in time is deferred to whoever has the lock next")
    void deferred() throws Exception {
        whileHeld(() -> assertFalse(lock.post(() -> seen.add("event"))));
        assertEquals(List.of("missed", "event", "released", "released"), seen);
        seen.clear();
        assertTrue(lock.post(() -> seen.add("event")));
        assertEquals(List.of("event", "released"), seen);
    }

    @Test
    @DisplayName("an event that throws: its poster hears of it, a later user does not, but the container is told")
    void failing() throws Exception {
        Runnable bad = () -> {
            throw new IllegalStateException("bad");
        };
        assertThrows(IllegalStateException.class, () -> lock.post(bad));
        seen.clear();
        whileHeld(() -> lock.post(bad));
        assertEquals(List.of("missed", "failed: bad", "released", "released"), seen);
    }

    @Test
    @DisplayName("work that may miss is not done by whoever has the lock next; the container is told to ask again")
    void missed() throws Exception {
        whileHeld(() -> {
            lock.runOrMiss(() -> seen.add("arrived"));
            assertFalse(lock.runInTime(() -> seen.add("in time")));
        });
        assertEquals(List.of("missed", "released", "released"), seen);
        lock.run(() -> {
        });
        assertEquals(List.of("missed", "released", "released", "released"), seen);
    }

    @Test
    @DisplayName("an owner that has to be told anew is, when the last hold is let go and not before")
    void releasing() {
        lock.run(() -> {
            doubt = true;
            lock.run(() -> {
            });
            assertEquals(List.of(), seen);
            assertEquals(0, asked, "asked while the lock is still held");
        });
        assertEquals(List.of("missed", "released", "released"), seen);
    }

    @Test
    @DisplayName("a call that needs both locks waits for the container's without the topology's")
    void both() throws Exception {
        TopologyLock topology = new TopologyLock(() -> {
        });
        CountDownLatch asked = new CountDownLatch(2);
        FutureTask<Boolean> both = new FutureTask<>(() -> ContainerLock.callBoth(topology, () -> {
            asked.countDown();
            return lock;
        }, topology::held));
        CountDownLatch held = new CountDownLatch(1);
        CountDownLatch end = new CountDownLatch(1);
        Thread holder = new Thread(() -> lock.run(() -> {
            held.countDown();
            try {
                end.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        }));
        holder.start();
        held.await();
        new Thread(both).start();
        while (asked.getCount() == 2) {
            Thread.onSpinWait();
        }
        // Not kept by whoever waits for the container.
        topology.run(() -> seen.add("topology"));
        end.countDown();
        assertTrue(both.get(), "both are held");
        holder.join();
        assertTrue(seen.contains("topology"));
    }

    @Test
    @DisplayName("what waits for the lock is announced also if the owner throws when it is released")
    void ownerThrows() throws Exception {
        whileHeld(() -> lock.post(() -> seen.add("event")));
        seen.clear();
        whileHeld(() -> lock.runOrMiss(() -> seen.add("work")));
        seen.clear();
        ownerThrows = true;
        assertThrows(IllegalStateException.class, () -> lock.run(() -> seen.add("own")));
        assertEquals(List.of("own", "released"), seen);
        ownerThrows = false;
    }

    @Test
    @DisplayName("without a container only the topology's lock is taken")
    void none() {
        TopologyLock topology = new TopologyLock(() -> seen.add("announce"));
        ContainerLock.runBoth(topology, () -> null, () -> assertTrue(topology.held()));
        assertFalse(topology.held());
        assertEquals(List.of("announce"), seen);
    }
}
