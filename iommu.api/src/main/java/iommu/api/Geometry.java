// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Map;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The aperture: the only device addresses that are translated.
 *
 * @param start first address
 * @param size bytes; 0 means not set yet
 */
@ProviderType
public record Geometry(long start, long size) implements DomainAttribute {
    /** The attribute's {@link DomainAttribute#name}. */
    public static final String NAME = "geometry";

    @Override
    public String name() {
        return NAME;
    }

    @Override
    public Map<String, Object> values() {
        return Map.of("start", start, "size", size);
    }

    /** {@return last address, inclusive} */
    public long end() {
        return start + size - 1;
    }

    /** {@return whether the address lies inside} */
    public boolean contains(long iova) {
        return Long.compareUnsigned(iova - start, size) < 0;
    }

    @Override
    public String toString() {
        return String.format("aperture 0x%x..0x%x", start, end());
    }
}
