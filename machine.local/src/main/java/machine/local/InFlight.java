// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.time.Duration;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Supplier;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Counts the accesses of one port that are between their translation and their last byte, so that a driver can wait
 * for those that may still use what it has just taken away.
 *
 * <p>The first {@value #OWNERS} threads own a word each: odd while the thread is inside an access. Only its owner
 * writes it, so beginning is a store with a full fence behind it, ending a store, and neither is an atomic addition.
 * {@link #drain} looks at all words and waits for each that was odd to change; an access that begins later makes
 * another value and cannot delay it. An access inside an access of the same thread, as when an interrupt's handler
 * makes its device move data, is part of the outer one.
 *
 * <p>Threads beyond these share two phases, each with a count of accesses begun and of accesses ended (the scheme of
 * sleepable RCU). New accesses join the current phase. {@link #drain} waits for the leftovers of the other phase, turns
 * the phase, and waits for the one it turned away from. An access that read the phase before the turn but counted
 * itself after the wait has not translated yet when the wait ends, so it sees the tables as they are then.
 *
 * <p>Each word has a cache line pair of its own. {@link #enter} and {@link #exit} are lock-free.
 *
 * <p>An access may end by any Throwable, a StackOverflowError for one, and then there is no room to call {@link #exit}:
 * a thread that counts itself in does, where it has not called that, what {@link #exit} would, and calls nothing. With
 * {@code entered} what {@link #enter} gave:
 * <pre>{@code
 * int entered = flight.enter();
 * try {
 *     ...
 *     flight.exit(entered);
 *     entered = InFlight.OUT;
 * } finally {
 *     if (entered >= 0) {
 *         synchronized (flight.words) {
 *             flight.words[entered]++;
 *         }
 *     }
 * }
 * }</pre>
 * No call may stand between these two and the try, and {@link #enter} itself leaves nothing behind if it throws.
 */
final class InFlight {
    /** Threads with a word of their own; a word is free again when its thread has ended. */
    static final int OWNERS = 4;

    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);
    private static final VarHandle OWNER = MethodHandles.arrayElementVarHandle(Thread[].class);
    private static final int LINE = 16;
    private static final int BEGUN = (OWNERS + 1) * LINE;
    private static final int ENDED = BEGUN + 2 * LINE;
    /**
     * What {@link #enter} gives: a phase, 0 or 1; this and above, the place of an owned word; or {@link #OUT}. All but
     * the last are also the place of what to add one to for an access that could not call {@link #exit}: an owned word,
     * or those of a phase's accesses ended that no atomic addition counts.
     */
    private static final int OWNED = LINE;
    /** Not counted: by {@link #exit}, or as part of an outer access of the same thread. */
    static final int OUT = -1;
    /** About so many accesses of threads without a word, and somebody looks for words whose threads have ended. */
    private static final int REVIEW = 0xff;
    /** Named here, so that its class is not initialised first where a stack ends, which would spoil it for good. */
    private static final Thread.State GONE = Thread.State.TERMINATED;

    /** Its monitor guards what is counted without a call. */
    final long[] words = new long[ENDED + 2 * LINE];
    private final Thread[] owners = new Thread[OWNERS];
    private final int requester;
    private final String device;
    private final ReentrantLock draining = new ReentrantLock();
    /** The words as {@link #drain} found them, all looked at before any is waited for. Guarded by {@link #draining}. */
    private final long[] seen = new long[OWNERS];
    private volatile int phase;

    /**
     * @param requester on whose behalf its accesses are
     * @param device whose they are, for messages
     */
    InFlight(int requester, String device) {
        this.requester = requester;
        this.device = device;
    }

    int requester() {
        return requester;
    }

    /** {@return what to hand to {@link #exit}} */
    int enter() {
        Thread me = Thread.currentThread();
        Thread[] all = owners;
        for (int i = 0; i < OWNERS; i++) {
            // No more than a plain read is needed: only this thread can have put itself here.
            if (all[i] == me) {
                return begin(OWNED + i * LINE);
            }
        }
        return stranger(me);
    }

    void exit(int entered) {
        if (entered >= OWNED) {
            WORD.setRelease(words, entered, words[entered] + 1);
        } else if (entered != OUT) {
            WORD.getAndAdd(words, ENDED + entered * LINE, 1L);
        }
    }

    /**
     * Waits for the accesses that had begun. If one takes longer than a second, says once which.
     *
     * <p>The fence orders what the caller has taken away before the look at the words; with the one in {@link #begin}
     * either the word is seen odd, or the access sees what the caller left.
     *
     * @throws ErrnoException ETIMEDOUT if the patience ends before: then the next drain waits for them, too
     */
    void drain(Patience patience) {
        VarHandle.fullFence();
        lock(patience);
        try {
            for (int i = 0; i < OWNERS; i++) {
                seen[i] = (long) WORD.getAcquire(words, OWNED + i * LINE);
            }
            int now = phase;
            await(1 - now, patience);
            phase = 1 - now;
            await(now, patience);
            for (int i = 0; i < OWNERS; i++) {
                for (int spins = 0; (seen[i] & 1) != 0 && (long) WORD.getAcquire(words, OWNED + i * LINE) == seen[i]
                    && !left(i); spins++) {
                    pause(spins, i, patience);
                }
            }
            synchronized (words) {
                // What a thread did before it counted itself out without a call is ordered by this monitor.
            }
            // Else a thread, and what it ran, would be kept for as long as the port.
            review();
        } finally {
            draining.unlock();
        }
    }

    /** Another drain is under way: it waits for no longer than this one may. */
    private void lock(Patience patience) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    if (draining.tryLock(patience.left(), TimeUnit.NANOSECONDS)) {
                        return;
                    }
                    throw patience.exhausted(this::describe);
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

    /** The time limit of a drain, or of several one after the other. One thread. */
    static final class Patience {
        private static final System.Logger LOG = System.getLogger("machine.local");
        private static final long WARNING_NANOS = 1_000_000_000L;

        private final long since = System.nanoTime();
        private final Duration limit;
        private boolean warned;

        Patience(Duration limit) {
            this.limit = limit;
        }

        private long left() {
            return limit.toNanos() - (System.nanoTime() - since);
        }

        private void spend(Supplier<String> what) {
            long left = left();
            if (left <= 0) {
                throw exhausted(what);
            }
            if (!warned && left < limit.toNanos() - Math.min(WARNING_NANOS, limit.toNanos() / 2)) {
                warned = true;
                LOG.log(System.Logger.Level.WARNING, "waiting for " + what.get());
            }
        }

        private ErrnoException exhausted(Supplier<String> what) {
            return new ErrnoException(Errno.ETIMEDOUT,
                "%s; not waited for any longer than %d ms. End what keeps that thread: a listener of "
                + "refused accesses, a register window or an interrupt handler that does not return",
                what.get(), limit.toMillis());
        }
    }

    private int begin(int at) {
        long before = words[at];
        if ((before & 1) != 0) {
            return OUT;
        }
        boolean begun = false;
        try {
            WORD.setOpaque(words, at, before + 1);
            VarHandle.fullFence();
            begun = true;
        } finally {
            if (!begun) {
                // Not by a call: there is no room for one. A drain that saw it begin, or did not, finds it ended.
                words[at] = before + 2;
            }
        }
        return at;
    }

    /** A thread that owns no word takes one that is free, or joins the others. */
    private int stranger(Thread me) {
        for (int i = 0; i < OWNERS; i++) {
            if (OWNER.getAcquire(owners, i) == null && OWNER.compareAndSet(owners, i, null, me)) {
                return begin(OWNED + i * LINE);
            }
        }
        int joined = phase;
        if (((long) WORD.getOpaque(words, BEGUN + joined * LINE) & REVIEW) == REVIEW) {
            review();
        }
        // The last call of all: who is counted is also told so.
        join(joined);
        return joined;
    }

    /** The second half of joining a phase: it may have turned since it was read. */
    void join(int read) {
        WORD.getAndAdd(words, BEGUN + read * LINE, 1L);
    }

    /** Frees the words of threads that have ended. */
    private void review() {
        for (int i = 0; i < OWNERS; i++) {
            Thread owner = (Thread) OWNER.getAcquire(owners, i);
            if (owner != null && owner.getState() == GONE) {
                left(i);
                OWNER.compareAndSet(owners, i, owner, null);
            }
        }
    }

    /**
     * Whether the owner of a word has ended. One that has is in no access, whatever its word says: a stack may end
     * where no handler of a throwable runs. Nobody else writes the word then, so it is put right.
     */
    private boolean left(int i) {
        Thread owner = (Thread) OWNER.getAcquire(owners, i);
        // The state is a field; whether it is alive, a call out of the JVM's compiled code in older ones.
        if (owner == null || owner.getState() != GONE) {
            return false;
        }
        long word = (long) WORD.getAcquire(words, OWNED + i * LINE);
        if ((word & 1) != 0) {
            WORD.compareAndSet(words, OWNED + i * LINE, word, word + 1);
        }
        return true;
    }

    private void await(int which, Patience patience) {
        for (int spins = 0; !empty(which); spins++) {
            pause(spins, OWNERS, patience);
        }
    }

    private void pause(int spins, int owner, Patience patience) {
        if (spins < 1_000) {
            Thread.onSpinWait();
        } else {
            patience.spend(() -> describe(owner));
            LockSupport.parkNanos(20_000);
        }
    }

    /** {@return whose access does not end, and where it is, as far as that is known} */
    private String describe() {
        for (int i = 0; i < OWNERS; i++) {
            if (((long) WORD.getAcquire(words, OWNED + i * LINE) & 1) != 0) {
                return describe(i);
            }
        }
        return describe(OWNERS);
    }

    private String describe(int owner) {
        Thread thread = owner < OWNERS ? (Thread) OWNER.getAcquire(owners, owner) : null;
        String where = "";
        if (thread != null) {
            where = " on thread " + thread.getName();
            for (StackTraceElement frame : thread.getStackTrace()) {
                // Who waits in the JDK's name is asked, not the JDK.
                if (!frame.getClassName().startsWith("java.") && !frame.getClassName().startsWith("jdk.")) {
                    where += ", at " + frame;
                    break;
                }
            }
        }
        return "an access of " + device + where + " has not ended";
    }

    /**
     * Ended is read first: an access that ends in between can only make the phase look busier than it is. Begun is read
     * by an atomic addition of nothing, so that the additions of {@link #join} come either before it, and are seen, or
     * after it, and then see the tables as the drainer left them; a mere read would not order the two.
     */
    private boolean empty(int which) {
        long ended = (long) WORD.getVolatile(words, ENDED + which * LINE) + uncalled(which);
        return (long) WORD.getAndAdd(words, BEGUN + which * LINE, 0L) == ended;
    }

    private long uncalled(int which) {
        synchronized (words) {
            return words[which];
        }
    }
}
