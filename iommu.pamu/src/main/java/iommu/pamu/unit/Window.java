// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/**
 * A cached window: a lookup that was permitted, for every address that it would answer alike. Part of stop 2 of the
 * road.
 *
 * <p>Its content never changes; the stamp tells whether it is still valid. A stamp is worthless for good once a store
 * has followed it, so it does no harm if a slow thread renews one that a store has overtaken.
 */
final class Window {
    /** The first device address. */
    final long first;
    /** Bytes, less one. */
    final long last;
    /** Physical address less device address. */
    final long distance;
    /** {@link machine.api.Access} bits. */
    final int permitted;
    /** Of the moment before its entries were read. */
    private volatile long stamp;

    /** Both the device addresses and the physical ones are positive, to the last. */
    Window(long first, long last, long distance, int permitted, long stamp) {
        this.first = first;
        this.last = last;
        this.distance = distance;
        this.permitted = permitted;
        this.stamp = stamp;
    }

    long stamp() {
        return stamp;
    }

    void renew(long newer) {
        stamp = newer;
    }

    boolean permits(long iova, int length, int access) {
        long offset = iova - first;
        return (offset | last - (length - 1) - offset) >= 0 && (permitted & access) == access;
    }

    boolean says(long otherFirst, long otherLast, long otherDistance, int otherPermitted) {
        return first == otherFirst && last == otherLast && distance == otherDistance && permitted == otherPermitted;
    }
}
