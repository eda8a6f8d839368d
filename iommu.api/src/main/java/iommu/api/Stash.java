// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The cache into which device writes are placed ("stashed").
 *
 * @param cpu number of the core
 * @param cacheLevel 1, 2 or 3
 */
@ProviderType
public record Stash(int cpu, int cacheLevel) implements DomainAttribute {
    /** The attribute's {@link DomainAttribute#name}. */
    public static final String NAME = "stash";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Map<String, Object> values() {
        return Map.of("cpu", cpu, "cacheLevel", cacheLevel);
    }

    @Override
    public String toString() {
        return "stash into L" + cacheLevel + " of core " + cpu;
    }
}
