// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The cache into which device writes are placed ("stashed").
 *
 * @param cpu number of the core
 * @param cacheLevel 1, 2 or 3
 */
@ProviderType
public record Stash(int cpu, int cacheLevel) implements DomainAttribute {
    @Override
    public String toString() {
        return "stash into L" + cacheLevel + " of core " + cpu;
    }
}
