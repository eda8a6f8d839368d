// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/**
 * The settings of the driver.
 *
 * @param timeoutMillis how long a status bit or a wait descriptor may take, at least 1
 * @param levels depth of the page tables, 3 to 5; 0 takes the deepest all units walk
 * @param superpages what a fresh domain does with pages of 2 MiB and 1 GiB
 * @param remapping use interrupt remapping where the units have it
 * @param remappingEntries entries of the interrupt remapping table, a power of two from 256 to 65536
 * @param descriptorDrains let invalidations drain (DR, DW). {@link machine.api.Bus#sync} drains in any case; needed
 *     only where that cannot wait for the hardware. An invalidation that drains must not be waited for inside a
 *     device's access
 */
public record VtdDriverSettings(int timeoutMillis, int levels, Superpages superpages, boolean remapping,
    int remappingEntries,
        boolean descriptorDrains) {
    /** One second; deepest tables; superpages used and split; 4096 remapping entries. */
    public static final VtdDriverSettings DEFAULT = new VtdDriverSettings(1000, 0, new Superpages(true, true), true,
        4096, false);

    /** @throws IllegalArgumentException if a value is out of range */
    public VtdDriverSettings {
        if (timeoutMillis < 1) {
            throw new IllegalArgumentException("timeout of " + timeoutMillis + " ms: at least 1");
        }
        if (levels != 0 && (levels < 3 || levels > 5)) {
            throw new IllegalArgumentException(levels + " levels: 3, 4, 5, or 0 for the deepest there is");
        }
        if (remappingEntries < 256 || remappingEntries > 65536 || Integer.bitCount(remappingEntries) != 1) {
            throw new IllegalArgumentException(
                remappingEntries + " remapping entries: a power of two from 256 to 65536");
        }
    }
}
