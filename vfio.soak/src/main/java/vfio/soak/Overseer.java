// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Watches work that another thread does in phases, each with a time limit: a phase that hangs is a failure, and the
 * caller goes on.
 */
final class Overseer {
    private static final long GLANCE_MILLIS = 100;

    private final Referee referee;
    private volatile Phase phase;

    /** The current phase and its deadline. */
    private record Phase(String name, long seconds, long due) {
    }

    Overseer(Referee referee) {
        this.referee = referee;
    }

    /** A phase begins. By the thread that does the work, and once before it. */
    void phase(String name, long seconds) {
        phase = new Phase(name, seconds, System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds));
    }

    /**
     * Has the work done.
     *
     * @param interrupted what an interrupt of the calling thread does; the wait goes on
     * @return what came of it; empty if a phase took longer than it may: that is a failure then, with where the thread
     *     is
     * @throws ExecutionException with what it has thrown
     */
    <T> Optional<T> oversee(Callable<T> work, Runnable interrupted) throws ExecutionException {
        FutureTask<T> task = new FutureTask<>(work);
        Thread worker = new Thread(task, "vfio.soak director");
        worker.setDaemon(true);
        worker.start();
        while (true) {
            try {
                return Optional.of(task.get(GLANCE_MILLIS, TimeUnit.MILLISECONDS));
            } catch (TimeoutException e) {
                Phase now = phase;
                if (System.nanoTime() - now.due > 0) {
                    referee.fail("%s has not come to an end within %d s:%s", now.name, now.seconds,
                        Worker.stack(worker));
                    return Optional.empty();
                }
            } catch (InterruptedException e) {
                interrupted.run();
            }
        }
    }
}
