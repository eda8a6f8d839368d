// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import vfio.api.swap.Swap;
import vfio.api.swap.SwapListener;
import vfio.container.host.RecentLog;

/** The latest swaps, and the listeners to swaps. Any thread. */
final class SwapLog {
    private final RecentLog<Swap> swaps = new RecentLog<>();
    private final CopyOnWriteArrayList<SwapListener> listeners = new CopyOnWriteArrayList<>();
    private final Queue<Report> unannounced = new ConcurrentLinkedQueue<>();

    /** A swap whose listeners have not been told yet, and the thread that has reported it. */
    private record Report(Swap swap, Thread reporter) {
    }

    List<Swap> latest() {
        return swaps.latest();
    }

    void add(SwapListener listener) {
        listeners.add(listener);
    }

    void remove(SwapListener listener) {
        listeners.remove(listener);
    }

    /** To be announced when the reporting thread has let its locks go. */
    void add(Swap swap) {
        swaps.add(swap);
        unannounced.add(new Report(swap, Thread.currentThread()));
    }

    /**
     * Tells the listeners of what this thread has reported. What other threads have reported is theirs to announce: a
     * user's call does not wait for the listeners of an unrelated swap. The caller holds no lock: a listener may take
     * as long as it likes, and ask whatever it likes of any thread.
     */
    void announce() {
        for (Report report = next(); report != null; report = next()) {
            for (SwapListener listener : listeners) {
                try {
                    listener.swapped(report.swap);
                } catch (Throwable e) {
                    // The swap has ended as it has, whatever a listener says, and whatever kind of thing it throws.
                    System.getLogger(SwapLog.class.getName()).log(System.Logger.Level.WARNING,
                        "a listener of swaps failed (" + listener.getClass().getName() + ")", e);
                }
            }
        }
    }

    /** Takes the first report of this thread. A listener may come here again. */
    private Report next() {
        Thread me = Thread.currentThread();
        for (Report report : unannounced) {
            if (report.reporter == me) {
                unannounced.remove(report);
                return report;
            }
        }
        return null;
    }
}
