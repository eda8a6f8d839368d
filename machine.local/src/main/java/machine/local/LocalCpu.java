// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.locks.LockSupport;
import machine.api.Attachment;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A core whose handler runs in this process. {@value #TURN} runs of the handler are a thread's turn before it offers
 * the duty to another that asserts the pin (decision 19).
 */
@ProviderType
public final class LocalCpu implements Cpu {
    /** Runs of the handler on one thread before another that asserts the pin may take over. */
    static final int TURN = 32;
    /** The duration of an offer of the duty, in turns of an empty loop: some runs of a handler. */
    private static final int OFFER_SPINS = 100;
    /** In the count of words: the duty is anybody's who takes this away. */
    private static final long OFFERED = 1L << 62;
    private static final VarHandle RUNNING;

    static {
        try {
            RUNNING = MethodHandles.lookup().findVarHandle(LocalCpu.class, "running", Handler.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final int number;
    /** Words left for the serving thread, its own included; 0 while no thread serves. */
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
     * Called by machine implementations.
     *
     * @param number the core's number, from 0
     */
    public LocalCpu(int number) {
        this.number = number;
    }

    @Override
    public int number() {
        return number;
    }

    @Override
    public boolean asserted() {
        return asserted;
    }

    @Override
    public void pin(boolean level) {
        asserted = level;
        if (level) {
            serve();
        }
    }

    @Override
    public void level(boolean level) {
        asserted = level;
    }

    @Override
    public Attachment attach(Runnable interruptHandler) {
        Handler fresh = new Handler(interruptHandler);
        synchronized (this) {
            if (handler != null) {
                throw new ErrnoException(Errno.EBUSY, "core %d has an interrupt handler; stop that driver first",
                    number);
            }
            handler = fresh;
        }
        serve();
        return () -> detach(fresh);
    }

    @Override
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

    @Override
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

    /**
     * No handler runs. Ordered behind all that it did; what orders it before the next look at the pin is a change of
     * the words.
     */
    private void rested() {
        RUNNING.setRelease(this, null);
        serving = null;
    }

    /**
     * Offers the duty, for a moment, to a thread that asserts the pin. The yield lets a thread do so that only lacks a
     * processor.
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
