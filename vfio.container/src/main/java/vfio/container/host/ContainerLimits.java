// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import java.time.Duration;
import java.util.List;
import vfio.api.swap.Backends;

/**
 * The host's limits for each container.
 *
 * @param entryLimit how many mappings it may hold, at least 1: Linux's dma_entry_limit
 * @param lockedMemoryLimit how many bytes it may map, at least 0; {@link #UNLIMITED} for any number
 * @param allowUnsafeInterrupts whether it may use an IOMMU outside whose translation doorbells lie that nobody
 *     verifies, or whose smallest page is larger than an MSI bank
 * @param stallBound how long a new container's devices may wait during a swap, see {@link Backends#stallBound}
 * @param providerTimeout how long a provider may take for one step of a swap, more than nothing
 * @param relaxableClasses PCI classes, each 2, 4 or 6 hexadecimal digits, of devices that are given to users though
 *     firmware wants memory mapped one to one for them
 */
public record ContainerLimits(int entryLimit, long lockedMemoryLimit, boolean allowUnsafeInterrupts,
        Duration stallBound, Duration providerTimeout, List<String> relaxableClasses) {
    /** No limit of locked memory. */
    public static final long UNLIMITED = Long.MAX_VALUE;
    /** As Linux comes. */
    public static final ContainerLimits DEFAULT = new ContainerLimits(65_535, UNLIMITED, false);

    /** With the swaps of {@link #DEFAULT}: a second, and ten for a provider. */
    public ContainerLimits(int entryLimit, long lockedMemoryLimit, boolean allowUnsafeInterrupts) {
        this(entryLimit, lockedMemoryLimit, allowUnsafeInterrupts, Duration.ofSeconds(1), Duration.ofSeconds(10));
    }

    /** With Linux's relaxable classes: USB and graphics. */
    public ContainerLimits(int entryLimit, long lockedMemoryLimit, boolean allowUnsafeInterrupts, Duration stallBound,
            Duration providerTimeout) {
        this(entryLimit, lockedMemoryLimit, allowUnsafeInterrupts, stallBound, providerTimeout,
            RelaxableClasses.LINUX.prefixes());
    }

    /** @throws IllegalArgumentException if a limit is too low, or a class no such */
    public ContainerLimits {
        if (entryLimit < 1) {
            throw new IllegalArgumentException("a limit of " + entryLimit + " mappings; at least 1 must be possible");
        }
        if (lockedMemoryLimit < 0) {
            throw new IllegalArgumentException("a limit of " + lockedMemoryLimit + " bytes of locked memory; at least "
                + "0 is meant");
        }
        if (stallBound.isNegative() || providerTimeout.isNegative() || providerTimeout.isZero()) {
            throw new IllegalArgumentException("a stall bound of " + stallBound + " and a provider timeout of "
                + providerTimeout + "; the one must not be negative, the other must be positive");
        }
        relaxableClasses = new RelaxableClasses(relaxableClasses).prefixes();
    }
}
