// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A core as an interrupt controller sees it: one interrupt pin and the handler that software has put behind it. Stop 5
 * of the road for an interrupt; before it the controller's unit, after it the driver's handler.
 *
 * <p>The handler runs on the thread that asserted the pin, as an interrupt runs on whatever the core was doing, and never
 * on two threads at once: a second thread leaves word and goes on, the first looks again. It runs until the pin is
 * lowered, which the handler brings about by acknowledging.
 */
public final class Cpu {
    private static final VarHandle RUNNING;

    static {
        try {
            RUNNING = MethodHandles.lookup().findVarHandle(Cpu.class, "running", Handler.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final int number;
    private final AtomicInteger requests = new AtomicInteger();
    private volatile boolean asserted;
    private volatile Handler handler;
    /** The handler that is running, or about to look whether it still may. */
    private volatile Handler running;
    /** For the question whether it is oneself, which a thread's own stores answer: so no fence is needed. */
    private Thread serving;

    /** One attachment: two of the same code are two. */
    private static final class Handler {
        private final Runnable code;

        Handler(Runnable code) {
            this.code = code;
        }
    }

    /**
     * For who makes a machine.
     *
     * @param number the core's number, from 0
     */
    public Cpu(int number) {
        this.number = number;
    }

    /** {@return the core's number, from 0} */
    public int number() {
        return number;
    }

    /** {@return the level of the pin} */
    public boolean asserted() {
        return asserted;
    }

    /**
     * The unit drives the pin. Lock-free.
     *
     * @throws RuntimeException what the handler threw, on the thread that ran it; the pin stays as it is, and whoever
     *     asserted it meanwhile has been served
     */
    public void pin(boolean level) {
        asserted = level;
        if (level) {
            serve();
        }
    }

    /**
     * The first half of {@link #pin}, for a unit that must not run handlers where it drives the pin: notes the level. Who asserts it
     * so has {@link #serve} called on another thread. Lock-free.
     */
    public void level(boolean level) {
        asserted = level;
    }

    /**
     * The driver puts its handler behind the pin; it is called at once if the pin is asserted.
     *
     * @return takes the handler away; when that returns, the handler does not run any more (unless it was the handler
     *     itself that called)
     * @throws ErrnoException EBUSY if there is a handler already
     * @throws RuntimeException what the handler threw when it was called at once; it is not attached then
     */
    public Attachment attach(Runnable interruptHandler) {
        Handler fresh = new Handler(interruptHandler);
        synchronized (this) {
            if (handler != null) {
                throw new ErrnoException(Errno.EBUSY, "core %d has an interrupt handler; stop that driver first", number);
            }
            handler = fresh;
        }
        Attachment attachment = () -> detach(fresh);
        try {
            serve();
        } catch (RuntimeException | Error e) {
            attachment.close();
            throw e;
        }
        return attachment;
    }

    /**
     * Waits until what has been asserted is served: the pin is low and no handler runs. Who has seen to it that nothing new comes
     * knows then that nothing is left in the controller.
     *
     * @param boundNanos how long at most, in nanoseconds: a level may stay asserted
     * @return whether it rests
     */
    public boolean rest(long boundNanos) {
        long start = System.nanoTime();
        while (handler != null && (asserted || running != null)) {
            if (System.nanoTime() - start > boundNanos || serving == Thread.currentThread()) {
                return false;
            }
            LockSupport.parkNanos(20_000);
        }
        return true;
    }

    /** Waits for this handler alone, so that a pin that never rests cannot keep anyone here. */
    private void detach(Handler gone) {
        synchronized (this) {
            if (handler != gone) {
                return;
            }
            handler = null;
        }
        while (running == gone && serving != Thread.currentThread()) {
            LockSupport.parkNanos(20_000);
        }
    }

    /**
     * The second half: runs the handler, if there is one, for as long as the pin is asserted; or leaves that to the thread that is
     * doing so.
     *
     * @throws RuntimeException as {@link #pin} does
     */
    public void serve() {
        if (requests.getAndIncrement() != 0) {
            return;
        }
        Throwable failure = null;
        int seen = 1;
        do {
            serving = Thread.currentThread();
            try {
                for (Handler current = handler; asserted && current != null; current = handler) {
                    running = current;
                    if (handler == current) {
                        current.code.run();
                    }
                }
            } catch (RuntimeException | Error e) {
                if (failure == null) {
                    failure = e;
                } else if (failure != e) {
                    failure.addSuppressed(e);
                }
            }
            // Ordered behind all that the handler did; what orders it before the next look at the pin is the addition below.
            RUNNING.setRelease(this, null);
            serving = null;
            // Words left meanwhile are taken back only as far as they were seen: none is lost.
            seen = requests.addAndGet(-seen);
        } while (seen != 0);
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure instanceof RuntimeException exception) {
            throw exception;
        }
    }
}
