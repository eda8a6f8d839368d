// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import vfio.api.EventFd;

/**
 * An eventfd inside this JVM: a counter of 63 bits and a thread that is unparked. {@link #signal} is lock-free, and
 * never blocks, however full the counter is.
 */
public final class LocalEventFd implements EventFd {
    private static final VarHandle COUNT;

    static {
        try {
            COUNT = MethodHandles.lookup().findVarHandle(LocalEventFd.class, "count", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final ReentrantLock readers = new ReentrantLock();
    private volatile Thread waiting;
    @SuppressWarnings("unused")
    private volatile long count;

    /**
     * @param initial first value of the counter
     * @throws IllegalArgumentException if it is negative
     */
    public LocalEventFd(long initial) {
        if (initial < 0) {
            throw new IllegalArgumentException("eventfd starts at " + initial);
        }
        count = initial;
    }

    @Override
    public void signal() {
        COUNT.getAndAdd(this, 1L);
        Thread reader = waiting;
        if (reader != null) {
            LockSupport.unpark(reader);
        }
    }

    /** {@return the counter, left as it is. For tests: no other world's eventfd can tell} */
    public long count() {
        return count;
    }

    @Override
    public long poll() {
        return (long) COUNT.getAndSet(this, 0L);
    }

    @Override
    public long read(long timeout, TimeUnit unit) throws InterruptedException {
        long deadline = System.nanoTime() + unit.toNanos(timeout);
        if (!readers.tryLock(timeout, unit)) {
            return 0;
        }
        try {
            waiting = Thread.currentThread();
            while (true) {
                if (Thread.interrupted()) {
                    throw new InterruptedException();
                }
                long taken = poll();
                long left = deadline - System.nanoTime();
                if (taken > 0 || left <= 0) {
                    return taken;
                }
                LockSupport.parkNanos(this, left);
            }
        } finally {
            waiting = null;
            readers.unlock();
        }
    }
}
