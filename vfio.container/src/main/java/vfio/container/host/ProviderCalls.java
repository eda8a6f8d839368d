// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import java.time.Duration;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.Set;
import java.util.function.Consumer;
import java.util.function.Function;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Calls providers on a thread of their own while backends are swapped, so that one that hangs costs its caller a
 * bounded time and not the swap. Thread-safe.
 *
 * <p>Work is given up when it has not taken a step for the limit. Whatever it still achieves is undone by its own
 * thread, and the provider is asked nothing more until that thread has returned from it.
 */
public final class ProviderCalls {
    /** Takes note of a step. */
    public interface Progress {
        /**
         * The next step begins.
         *
         * @param what for the message, should it hang
         * @param name gives the message's words for it: asked only if it hangs, as there may be a step for each mapping
         * @throws ErrnoException ETIMEDOUT if the work was given up
         */
        <S> void step(S what, Function<? super S, String> name);

        /** Runs a step that is described by one word. */
        default void step(String what) {
            step(what, Function.identity());
        }
    }

    /** The name of the step that closes a domain. */
    public static final String CLOSING = "closing the domain";

    private volatile Duration limit;
    private final Set<Object> hanging = Collections.synchronizedSet(Collections.newSetFromMap(new IdentityHashMap<>()));

    public ProviderCalls(Duration limit) {
        this.limit = limit;
    }

    public Duration limit() {
        return limit;
    }

    /** For calls that begin from now on. */
    public void limit(Duration next) {
        limit = next;
    }

    /** Whether work that was given up is still inside that provider. */
    public boolean hangs(Object provider) {
        return hanging.contains(provider);
    }

    /**
     * Does work that calls a provider.
     *
     * @param provider whose work it is
     * @param what the first step, for messages
     * @param work gives the result
     * @param late gets a result that nobody waits for any more
     * @throws ErrnoException ETIMEDOUT if it hangs, or if an earlier call of that provider still does; EIO for an Error
     *     or a checked exception that it throws
     * @throws RuntimeException what it throws
     */
    public <T> T call(Object provider, String what, Function<Progress, T> work, Consumer<T> late) {
        if (hanging.contains(provider)) {
            throw new ErrnoException(Errno.ETIMEDOUT, "%s: an earlier call has not returned from there; replace its "
                + "bundle", what);
        }
        Work<T> one = new Work<>(provider, what, work, late);
        Thread thread = new Thread(new Once(one), "vfio.container: " + what);
        thread.setDaemon(true);
        thread.start();
        return one.await(thread);
    }

    /** As {@link #call}, for work without a result. */
    public void run(Object provider, String what, Runnable work) {
        call(provider, what, progress -> {
            work.run();
            return null;
        }, nothing -> {
        });
    }

    /**
     * What a thread is given to run. A port remembers threads that used it for longer than they live, and a thread
     * remembers this: the provider's classes must not be kept by it.
     */
    private static final class Once implements Runnable {
        private Runnable work;

        Once(Runnable work) {
            this.work = work;
        }

        @Override
        public void run() {
            Runnable now = work;
            work = null;
            now.run();
        }
    }

    /** One piece of work; its monitor guards what caller and thread share. */
    private final class Work<T> implements Runnable, Progress {
        private final Object provider;
        private final Function<Progress, T> work;
        private final Consumer<T> late;
        private final Duration limit = ProviderCalls.this.limit;
        private Object step;
        private Function<Object, String> name = String::valueOf;
        private long since = System.nanoTime();
        private boolean ended;
        private boolean givenUp;
        private T result;
        private Throwable failure;

        Work(Object provider, String what, Function<Progress, T> work, Consumer<T> late) {
            this.provider = provider;
            this.step = what;
            this.work = work;
            this.late = late;
        }

        @Override
        @SuppressWarnings("unchecked") // Asked for the step it came with, and nothing else.
        public synchronized <S> void step(S what, Function<? super S, String> words) {
            if (givenUp) {
                throw new ErrnoException(Errno.ETIMEDOUT, "%s: nobody waits for it any more", words.apply(what));
            }
            step = what;
            name = (Function<Object, String>) words;
            since = System.nanoTime();
        }

        @Override
        public void run() {
            T done = null;
            Throwable thrown = null;
            try {
                done = work.apply(this);
            } catch (Throwable e) {
                thrown = e;
            }
            boolean nobody;
            synchronized (this) {
                ended = true;
                result = done;
                failure = thrown;
                nobody = givenUp;
                notifyAll();
            }
            if (nobody) {
                hanging.remove(provider);
                if (thrown == null) {
                    late.accept(done);
                }
            }
        }

        synchronized T await(Thread thread) {
            boolean interrupted = false;
            while (!ended) {
                long left = limit.toNanos() - (System.nanoTime() - since);
                if (left <= 0) {
                    givenUp = true;
                    hanging.add(provider);
                    thread.interrupt();
                    break;
                }
                try {
                    wait(left / 1_000_000 + 1);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            if (givenUp) {
                throw new ErrnoException(Errno.ETIMEDOUT, "%s has not returned within %d ms; replace the bundle that "
                    + "provides it, or raise provider.timeout", name.apply(step), limit.toMillis());
            }
            if (failure instanceof RuntimeException exception) {
                throw exception;
            }
            if (failure != null) {
                throw new ErrnoException(Errno.EIO, failure, "%s: %s", name.apply(step), failure);
            }
            return result;
        }
    }
}
