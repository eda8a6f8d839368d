// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/**
 * The invalidation of a unit's caches. When a method returns, the unit has invalidated the entries. Thread-safe.
 *
 * <p>Each throws {@link machine.api.ErrnoException}: ETIMEDOUT if the unit does not answer, EIO if it refuses.
 */
sealed interface Invalidation permits QueuedInvalidation, RegisterInvalidation {
    void contexts();

    void context(int domain, int source);

    void translations();

    void translations(int domain);

    /**
     * @param address a multiple of 2^mask pages
     * @param mask 2^mask pages of 4 KiB, at most MAMV
     * @param leaves only leaf entries have changed (IH)
     */
    void translations(int domain, long address, int mask, boolean leaves);
}
