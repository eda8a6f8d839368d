// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

/**
 * The IOTLB's invalidation counters of one domain id. A walk reads both counters before it reads a table; what it
 * caches counts only as long as the epoch is the same, and is cached only if no page was cut out meanwhile. So a walk
 * that began before an invalidation leaves nothing behind that is served after it.
 */
final class DomainTag {
    final int id;
    /** Counts invalidations of the whole domain. */
    volatile long epoch;
    /** Counts invalidations of pages. */
    volatile long cuts;

    DomainTag(int id) {
        this.id = id;
    }

    synchronized void invalidate() {
        epoch++;
    }

    synchronized void cut() {
        cuts++;
    }
}
