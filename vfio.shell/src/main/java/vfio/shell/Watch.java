// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * Takes steps in which a bundle's own code runs, such as starting it, each on a thread of its own, so that code that
 * hangs costs its caller a bounded time. One thread.
 */
final class Watch {
    private static final long GLANCE_MILLIS = 10;
    private static final long GRACE_MILLIS = 500;

    /** One step. */
    interface Step {
        void run() throws Exception;
    }

    /** A step did not end in time. */
    static final class Hung extends Exception {
        private static final long serialVersionUID = 1;
        private final transient CompletableFuture<Void> end;

        Hung(String message, CompletableFuture<Void> end) {
            super(message);
            this.end = end;
        }

        /** {@return ends when the step does; it may have meanwhile, as it was interrupted} */
        CompletableFuture<Void> end() {
            return end;
        }
    }

    private final long limitMillis;
    private final Supplier<?> motion;

    /**
     * @param limitMillis how long a step may go on while nothing moves
     * @param motion says what is so; if that changes, something moves. What containers wait for meanwhile has a bound
     *     of its own
     */
    Watch(long limitMillis, Supplier<?> motion) {
        this.limitMillis = limitMillis;
        this.motion = motion;
    }

    /**
     * Takes a step.
     *
     * @param what for messages: what is done to whom
     * @throws Hung if it has not ended in time; it has been interrupted then, and given a moment to heed that
     * @throws Exception what it throws, also of an Error
     */
    void run(String what, Step step) throws Exception {
        CompletableFuture<Void> end = new CompletableFuture<>();
        Thread thread = new Thread(() -> {
            try {
                step.run();
                end.complete(null);
            } catch (Throwable e) {
                end.completeExceptionally(e);
            }
        }, "vfio.shell: " + what);
        thread.setDaemon(true);
        thread.start();
        // Half done would be worse than late: an interrupt of the caller takes effect afterwards.
        boolean interrupted = false;
        boolean told = false;
        long limit = limitMillis;
        Object seen = motion.get();
        long since = System.nanoTime();
        try {
            while (true) {
                try {
                    end.get(GLANCE_MILLIS, TimeUnit.MILLISECONDS);
                    if (told) {
                        throw hung(what, end);
                    }
                    return;
                } catch (TimeoutException e) {
                    Object now = motion.get();
                    if (!told && !now.equals(seen)) {
                        seen = now;
                        since = System.nanoTime();
                    } else if (System.nanoTime() - since > TimeUnit.MILLISECONDS.toNanos(limit)) {
                        if (told) {
                            throw hung(what, end);
                        }
                        told = true;
                        limit = GRACE_MILLIS;
                        since = System.nanoTime();
                        thread.interrupt();
                    }
                } catch (InterruptedException e) {
                    interrupted = true;
                } catch (ExecutionException e) {
                    if (told) {
                        throw hung(what, end);
                    }
                    throw e.getCause() instanceof Exception exception ? exception : e;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    private Hung hung(String what, CompletableFuture<Void> end) {
        return new Hung(what + " has not returned within " + limitMillis + " ms (provider.timeout)", end);
    }
}
