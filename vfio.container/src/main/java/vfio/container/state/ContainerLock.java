// SPDX-License-Identifier: Apache-2.0
package vfio.container.state;

import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import vfio.container.host.Cleanup;
import vfio.container.host.ProviderCalls;
import vfio.container.host.TopologyLock;

/**
 * The lock of one container, and the events that wait for it. It serialises the container's users; no device access and
 * no interrupt takes it. The rules:
 *
 * <ul>
 * <li>The topology's lock comes before it, that of the shared banks after it. Reentrant.
 * <li>A user's call waits for it however long that takes: {@link #call}, {@link #run}. A call that needs the topology,
 *     too, waits without holding that: {@link #callBoth}.
 * <li>An event waits no longer than a provider is given for a step, as a provider may hang in a call of the container's
 *     user: {@link #post}, {@link #runInTime}, {@link #runOrMiss}. An event that could not have it in time is deferred,
 *     not lost.
 * <li>Deferred events are dealt with by the next thread that has the lock, before whatever that thread came for.
 * <li>A thread that releases it for good holds no lock of this container when its {@link Owner} is called.
 * </ul>
 */
public final class ContainerLock {
    /** Whose lock it is. */
    public interface Owner {
        /**
         * The lock is about to be released; it is held during this call.
         *
         * @return whether the container has missed what is announced to all
         */
        boolean releasing();

        /** The lock is free, and something has been missed while it was not: it is to be announced again. */
        void missed();

        /** The lock is free. */
        void released();

        /** A deferred event has thrown that. */
        void deferredFailed(Throwable thrown);
    }

    private final ReentrantLock lock = new ReentrantLock();
    private final ProviderCalls calls;
    private final Owner owner;
    private final Queue<Runnable> deferred = new ConcurrentLinkedQueue<>();
    /**
     * An event of {@link #runOrMiss} could not have the lock. Not in the queue, which the next thread that enters
     * empties, and such an event may be dealt with only by a thread that holds the topology's lock.
     */
    private volatile boolean missed;

    /** @param calls says how long an event waits */
    public ContainerLock(ProviderCalls calls, Owner owner) {
        this.calls = calls;
        this.owner = owner;
    }

    /** Does that with the lock held. */
    public <T> T call(Supplier<T> work) {
        enter();
        try {
            return work.get();
        } finally {
            leave();
        }
    }

    /** As {@link #call}, for work without a result. */
    public void run(Runnable work) {
        enter();
        try {
            work.run();
        } finally {
            leave();
        }
    }

    /**
     * Does work with both locks held, and waits for the container's without the topology's: a provider may hang in a
     * call of the container's user, and that is nobody else's concern.
     *
     * @param whose gives the container's lock, called with the topology's held, perhaps several times; null for none
     */
    public static <T> T callBoth(TopologyLock topology, Supplier<ContainerLock> whose, Supplier<T> work) {
        topology.enter();
        ContainerLock lock = whose.get();
        while (lock != null && !lock.tryEnter()) {
            topology.leave();
            lock.enter();
            lock.leave();
            topology.enter();
            lock = whose.get();
        }
        try {
            return work.get();
        } finally {
            try {
                if (lock != null) {
                    lock.leave();
                }
            } finally {
                topology.leave();
            }
        }
    }

    /** As {@link #callBoth}, for work without a result. */
    public static void runBoth(TopologyLock topology, Supplier<ContainerLock> whose, Runnable work) {
        callBoth(topology, whose, () -> {
            work.run();
            return null;
        });
    }

    /** {@return whether that has been done; if not, a thread hangs in a call that holds the lock} */
    public boolean runInTime(Runnable work) {
        if (!lockInTime()) {
            return false;
        }
        runLocked(work);
        return true;
    }

    /** As {@link #runInTime}; if it has not been done, {@link Owner#missed} is called when the lock is released. */
    public void runOrMiss(Runnable work) {
        if (!lockInTime()) {
            missed = true;
            // A holder of the lock sees that when it releases it; if there is none any more, this thread does the
            // work.
            if (!lock.tryLock()) {
                return;
            }
        }
        runLocked(work);
    }

    /**
     * Handles an event, on this thread if it gets the lock in time, else on the next thread that gets it.
     *
     * @return whether it has been dealt with
     * @throws RuntimeException what the event throws, or another one that was deferred
     */
    public boolean post(Runnable event) {
        deferred.add(event);
        if (!lockInTime()) {
            return false;
        }
        try {
            drain().end();
        } finally {
            leave();
        }
        return true;
    }

    /**
     * Deals with what is deferred, if the lock can be had in time. All that could be missed is announced again after
     * this.
     */
    public void drainDeferred() {
        missed = false;
        runInTime(() -> {
        });
    }

    private void runLocked(Runnable work) {
        drainOnEntry();
        try {
            work.run();
        } finally {
            leave();
        }
    }

    private void enter() {
        lock.lock();
        drainOnEntry();
    }

    private boolean tryEnter() {
        boolean locked = lock.tryLock();
        if (locked) {
            drainOnEntry();
        }
        return locked;
    }

    private boolean lockInTime() {
        boolean interrupted = Thread.interrupted();
        try {
            long end = System.nanoTime() + calls.limit().toNanos();
            while (true) {
                try {
                    return lock.tryLock(end - System.nanoTime(), TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private void drainOnEntry() {
        try {
            drain().end();
        } catch (Throwable e) {
            // Any exception: a thread that enters has no way to release the lock again if this throws.
            owner.deferredFailed(e);
        }
    }

    private Cleanup drain() {
        Cleanup steps = new Cleanup();
        if (lock.getHoldCount() == 1) {
            for (Runnable event = deferred.poll(); event != null; event = deferred.poll()) {
                steps.take(event);
            }
        }
        return steps;
    }

    private void leave() {
        boolean again = false;
        try {
            again = lock.getHoldCount() == 1 && owner.releasing();
        } finally {
            lock.unlock();
            // Also when the owner has thrown: what waits is not to wait for the next user.
            if (!lock.isHeldByCurrentThread()) {
                if (again || missed || !deferred.isEmpty()) {
                    owner.missed();
                }
                owner.released();
            }
        }
    }
}
