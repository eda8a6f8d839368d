// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.List;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import vfio.api.Swap;
import vfio.api.SwapListener;
import vfio.container.host.RecentLog;

/** The latest swaps, and the listeners to swaps. Any thread. */
final class SwapLog {
    private final RecentLog<Swap> swaps = new RecentLog<>();
    private final CopyOnWriteArrayList<SwapListener> listeners = new CopyOnWriteArrayList<>();
    private final Queue<Swap> unannounced = new ConcurrentLinkedQueue<>();

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
        unannounced.add(swap);
    }

    /**
     * Tells the listeners of what has been reported. The caller holds no lock: a listener may take as long as it likes,
     * and ask whatever it likes of whomever.
     */
    void announce() {
        for (Swap swap = unannounced.poll(); swap != null; swap = unannounced.poll()) {
            for (SwapListener listener : listeners) {
                try {
                    listener.swapped(swap);
                } catch (Throwable e) {
                    // The swap has ended as it has, whatever a listener says, and whatever kind of thing it throws.
                    System.getLogger(SwapLog.class.getName()).log(System.Logger.Level.WARNING,
                        "a listener of swaps failed (" + listener.getClass().getName() + ")", e);
                }
            }
        }
    }
}
