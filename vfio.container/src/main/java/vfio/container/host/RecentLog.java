// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * The latest records of a kind and how many there were in all. Adding is lock-free: it happens inside a device's
 * access.
 */
public final class RecentLog<T> {
    private static final int KEPT = 1024;

    private final AtomicReferenceArray<T> ring = new AtomicReferenceArray<>(KEPT);
    private final AtomicLong count = new AtomicLong();

    public void add(T item) {
        ring.set((int) (count.getAndIncrement() % KEPT), item);
    }

    public long count() {
        return count.get();
    }

    /** {@return the latest, oldest first; one that is just being added may be missing} */
    public List<T> latest() {
        long end = count.get();
        List<T> items = new ArrayList<>();
        for (long i = Math.max(0, end - KEPT); i < end; i++) {
            T item = ring.get((int) (i % KEPT));
            if (item != null) {
                items.add(item);
            }
        }
        return items;
    }
}
