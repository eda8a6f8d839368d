// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.util.concurrent.TimeUnit;
import org.osgi.annotation.versioning.ConsumerType;

/**
 * A counter that interrupts add to and a program waits on, as Linux's eventfd. The last stop of the road for an
 * interrupt; before it the interrupt controller's driver.
 *
 * <p>{@link Vfio#eventFd} makes one that its devices can signal, and a program needs no other. Who has a counter
 * elsewhere (another process's, a hypervisor's) implements this interface: {@link Device#setIrqs} says which it takes.
 * An eventfd belongs to the program that made it and may serve several vectors, of several devices, one after the
 * other or at once.
 *
 * <p><b>Threads:</b> all methods are for any thread. Several threads may read; each signal is seen by one of them, and
 * while one waits another waits behind it for no longer than its own time.
 */
@ConsumerType
public interface EventFd {
    /**
     * Adds 1 and wakes a reader. Called on the thread of the device that interrupts: it neither blocks nor takes a lock
     * that somebody holds while he calls VFIO, and throws nothing. What it throws all the same is logged, and the
     * interrupt counts as delivered.
     */
    void signal();

    /** {@return the counter, which is 0 afterwards; 0 if nothing was signalled. Does not wait} */
    long poll();

    /**
     * Waits for a signal.
     *
     * @param timeout the longest time to wait; does not wait if it is 0 or negative
     * @return the counter, which is 0 afterwards; 0 if nothing was signalled in time
     * @throws InterruptedException if the calling thread is interrupted, before or while it waits; no signal is taken
     *     then
     */
    long read(long timeout, TimeUnit unit) throws InterruptedException;
}
