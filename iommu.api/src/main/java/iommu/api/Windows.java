// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The number of equal windows the aperture is divided into.
 *
 * @param count number of windows; 0 means not set yet
 */
@ProviderType
public record Windows(int count) implements DomainAttribute {
    /** The attribute's {@link DomainAttribute#name}. */
    public static final String NAME = "windows";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Map<String, Object> values() {
        return Map.of("count", count);
    }

    @Override
    public String toString() {
        return count + " windows";
    }
}
