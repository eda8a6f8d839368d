// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;

/** A worker: repeats a turn on a thread of its own until it is stopped. An exception of a turn is a failure. */
abstract class Worker {
    final Referee referee;
    final SplittableRandom random;
    private final String name;
    private final Thread thread;
    private volatile boolean stopping;

    Worker(String name, Referee referee, SplittableRandom random) {
        this.referee = referee;
        this.random = random;
        this.name = name;
        this.thread = new Thread(this::run, "vfio.soak " + name);
        thread.setDaemon(true);
    }

    final String name() {
        return name;
    }

    /** One thing. */
    abstract void turn() throws Exception;

    /** After the last turn, on the same thread. */
    void finish() throws Exception {
        // Most have nothing to finish.
    }

    final void start() {
        thread.start();
    }

    final void stop() {
        stopping = true;
    }

    /** Whether {@link #stop} was called: a long turn may end early. */
    final boolean stopping() {
        return stopping;
    }

    /**
     * Waits until it has stopped; a worker that does not stop is a failure, reported with its stack.
     *
     * @param deadline as {@link System#nanoTime}; what has passed still gets a moment
     * @return whether it has stopped
     */
    final boolean join(long deadline) throws InterruptedException {
        thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(deadline - System.nanoTime())));
        if (thread.isAlive()) {
            referee.fail("%s does not come to an end:%s", thread.getName(), stack(thread));
            return false;
        }
        return true;
    }

    /** {@return where a thread is, a line per call} */
    static String stack(Thread thread) {
        StringBuilder where = new StringBuilder();
        for (StackTraceElement element : thread.getStackTrace()) {
            where.append("\n      at ").append(element);
        }
        return where.toString();
    }

    private void run() {
        try {
            while (!stopping) {
                turn();
            }
            finish();
        } catch (InterruptedException e) {
            referee.fail("%s was interrupted", thread.getName());
        } catch (Exception | Error e) {
            referee.fail(thread.getName(), e);
        }
    }
}
