// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A core as an interrupt controller sees it: one interrupt pin and the handler that software has put behind it. Stop 5
 * of the road for an interrupt; before it the controller's unit, after it the driver's handler.
 *
 * <p>The handler runs on the thread that asserted the pin, as an interrupt runs on whatever the core was doing, and never
 * on two threads at once: a second thread leaves word and goes on, the first looks again. It runs until the pin is
 * lowered, which the handler brings about by acknowledging. A thread does not serve what others assert for as long as they
 * like: after {@value #TURN} runs of the handler it offers the duty, for a moment between two runs, to whoever asserts the pin then; if
 * nobody does, it goes on. So nobody ever waits for another thread, and no assertion is left to a thread that may not come.
 *
 * <p>What the handler throws is logged with its class, whatever it is, and is not the asserting thread's concern. The handler is called
 * again when the pin is asserted next.
 */
@ProviderType
public final class Cpu {
    /** Runs of the handler on one thread before another that asserts the pin may take over. */
    static final int TURN = 32;
    /** How long the duty is offered, in turns of an empty loop: some runs of a handler. */
    private static final int OFFER_SPINS = 100;
    /** In the count of words: the duty is anybody's who takes this away. */
    private static final long OFFERED = 1L << 62;
    private static final VarHandle RUNNING;

    static {
        try {
            RUNNING = MethodHandles.lookup().findVarHandle(Cpu.class, "running", Handler.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final int number;
    /** Words left for who serves, its own included; 0 while nobody serves. */
    private final AtomicLong requests = new AtomicLong();
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

    /** The unit drives the pin. Lock-free. */
    public void pin(boolean level) {
        asserted = level;
        if (level) {
            serve();
        }
    }

    /**
     * The first half of {@link #pin}, for a unit that must not run handlers where it drives the pin, or that looks again whether the
     * level is right before it lets them run: notes the level. Who asserts it so calls {@link #serve} afterwards, or has it called on
     * another thread. Lock-free.
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
     */
    public Attachment attach(Runnable interruptHandler) {
        Handler fresh = new Handler(interruptHandler);
        synchronized (this) {
            if (handler != null) {
                throw new ErrnoException(Errno.EBUSY, "core %d has an interrupt handler; stop that driver first", number);
            }
            handler = fresh;
        }
        serve();
        return () -> detach(fresh);
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
     * doing so, or hands it to one that asserts the pin meanwhile.
     */
    public void serve() {
        long before = requests.getAndIncrement();
        if (before != 0 && ((before & OFFERED) == 0 || !take())) {
            return;
        }
        long seen = 1;
        do {
            seen = handle(seen);
            // Words left meanwhile are taken back only as far as they were seen: none is lost.
        } while (seen != 0 && (seen = requests.addAndGet(-seen)) != 0);
    }

    /**
     * Runs the handler until the pin is low, or it has thrown something.
     *
     * @param before how many words had been seen
     * @return how many have been seen; 0 if another thread has the duty now
     */
    private long handle(long before) {
        long seen = before;
        int runs = 0;
        serving = Thread.currentThread();
        for (Handler current = handler; asserted && current != null; current = handler) {
            if (runs >= TURN && requests.get() != seen) {
                if (!offer()) {
                    return 0;
                }
                serving = Thread.currentThread();
                seen = 1;
                runs = 0;
            }
            if (!run(current)) {
                break;
            }
            runs++;
        }
        rested();
        return seen;
    }

    /** {@return whether it threw nothing} */
    private boolean run(Handler current) {
        running = current;
        try {
            if (handler == current) {
                current.code.run();
            }
            return true;
        } catch (Throwable e) {
            ForeignCode.failed("the interrupt handler of core " + number, current.code, e);
            return false;
        }
    }

    /** No handler runs. Ordered behind all that it did; what orders it before the next look at the pin is a change of the words. */
    private void rested() {
        RUNNING.setRelease(this, null);
        serving = null;
    }

    /**
     * Offers the duty, for a moment, to whoever asserts the pin. The yield lets a thread do so that only lacks a processor.
     *
     * @return whether nobody took it
     */
    private boolean offer() {
        rested();
        requests.getAndAdd(OFFERED);
        Thread.yield();
        for (int i = 0; i < OFFER_SPINS && (requests.get() & OFFERED) != 0; i++) {
            Thread.onSpinWait();
        }
        return take();
    }

    /** Takes the duty if it is offered, and with it all words left so far: who has it looks at the pin now. */
    private boolean take() {
        for (long now = requests.get(); (now & OFFERED) != 0; now = requests.get()) {
            if (requests.compareAndSet(now, 1)) {
                return true;
            }
        }
        return false;
    }
}
