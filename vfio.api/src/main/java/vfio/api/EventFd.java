// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A counter that interrupts add to and a program waits on, as Linux's eventfd. The last stop of the road for an
 * interrupt; before it the interrupt controller's driver.
 *
 * <p>{@link #signal} is lock-free and may be called by any thread, device threads included. Several threads may read;
 * each signal is seen by one of them, and while one waits another waits behind it for no longer than its own time.
 */
@ProviderType
public final class EventFd {
    private static final VarHandle COUNT;

    static {
        try {
            COUNT = MethodHandles.lookup().findVarHandle(EventFd.class, "count", long.class);
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
    public EventFd(long initial) {
        if (initial < 0) {
            throw new IllegalArgumentException("eventfd starts at " + initial);
        }
        count = initial;
    }

    /** Adds 1 and wakes a reader. */
    public void signal() {
        COUNT.getAndAdd(this, 1L);
        Thread reader = waiting;
        if (reader != null) {
            LockSupport.unpark(reader);
        }
    }

    /** {@return the counter, left as it is} */
    public long count() {
        return count;
    }

    /** {@return the counter, which is 0 afterwards; 0 if nothing was signalled. Does not wait} */
    public long poll() {
        return (long) COUNT.getAndSet(this, 0L);
    }

    /**
     * Waits for a signal.
     *
     * @return the counter, which is 0 afterwards; 0 if nothing was signalled in time
     * @throws InterruptedException if the calling thread is interrupted; no signal is taken then
     */
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
