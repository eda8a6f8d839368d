// SPDX-License-Identifier: Apache-2.0
package vfio.api.swap;

import java.time.Instant;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The report of one swap of one container: a backend left or was replaced, with the result. Created when devices may
 * access memory again, and for each failed attempt. Immutable.
 *
 * @param at when it ended
 * @param container its name
 * @param backend the part that was swapped
 * @param from the previous provider by its type or name, e.g. {@code pamu}; empty if there was none
 * @param to the provider that has taken over; empty if none has
 * @param attributes attributes replayed on the newcomer
 * @param mappings mappings replayed and read back
 * @param placements MSI banks made reachable again
 * @param routes MSIs that are routed now
 * @param blockedNanos how long DMA was held back, in nanoseconds, until now; 0 if it was not
 * @param stalled number of accesses that waited during the swap
 * @param refused number of accesses that were refused during the swap because the bound had passed
 * @param carried MSIs that devices sent meanwhile and that were delivered afterwards; several of one vector are
 *     delivered as one
 * @param failure empty after success, else the obstacle; {@link vfio.api.Container#state} gives the container's state
 */
@ProviderType
public record Swap(Instant at, String container, Backend backend, String from, String to, int attributes, int mappings,
        int placements, int routes, long blockedNanos, long stalled, long refused, long carried, String failure) {
    /** A part of a container that can be swapped. */
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
