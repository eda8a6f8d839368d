// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.time.Instant;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The report of one swap of one container: a backend left or was replaced, and what became of it. Made when devices are let through
 * again, and for each attempt that failed. Immutable.
 *
 * @param at when it ended
 * @param container its name
 * @param backend what was swapped
 * @param from what was there before, by its type or name, e.g. {@code pamu}; empty if there was none
 * @param to what has taken over; empty if nothing has
 * @param attributes attributes replayed on the newcomer
 * @param mappings mappings replayed and read back
 * @param placements MSI banks made reachable again
 * @param routes MSIs that are routed now
 * @param blockedNanos for how long DMA was held back, in nanoseconds, until now; 0 where it was not
 * @param stalled accesses that waited meanwhile
 * @param refused accesses that were refused meanwhile: they came when the bound had passed
 * @param carried MSIs that devices sent meanwhile and that were delivered afterwards; several of one vector are delivered as one
 * @param failure empty if it is done; otherwise what was in the way: the container is as {@link Container#state} says
 */
@ProviderType
public record Swap(Instant at, String container, Backend backend, String from, String to, int attributes, int mappings,
        int placements, int routes, long blockedNanos, long stalled, long refused, long carried, String failure) {
    /** What of a container can be swapped. */
    public enum Backend {
        /** The provider of its IOMMU type. */
        IOMMU,
        /** The interrupt controller. */
        CONTROLLER,
        /** Its MSI strategy. */
        STRATEGY
    }

    /** {@return whether the newcomer has taken over} */
    public boolean done() {
        return failure.isEmpty();
    }
}
