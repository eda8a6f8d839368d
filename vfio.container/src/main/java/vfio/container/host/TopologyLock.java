// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;

/**
 * The first of the locks: it guards what is in which group, which group in which container, which provider is there. A
 * container's own lock is taken after it, never before, and nobody waits for a container's while holding this one but
 * who brings news of a provider.
 */
public final class TopologyLock {
    private final ReentrantLock lock = new ReentrantLock();
    private final Runnable released;

    /** @param released is called by each thread that has let it go, which may still hold it */
    public TopologyLock(Runnable released) {
        this.released = released;
    }

    public void enter() {
        lock.lock();
    }

    public void leave() {
        lock.unlock();
        released.run();
    }

    /** Whether this thread holds it. */
    public boolean held() {
        return lock.isHeldByCurrentThread();
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
}
