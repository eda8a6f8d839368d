// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.IommuCapabilities;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;

/**
 * What VFIO_IOMMU_GET_INFO answers, its capabilities as data. {@link Type1Info} makes the bytes of it.
 *
 * @param capabilities of the IOMMU type
 * @param ranges valid device addresses by ascending start (capability IOVA_RANGE)
 * @param mappingsAvailable how many more mappings fit (capability DMA_AVAIL)
 * @param migration what dirty tracking takes (capability MIGRATION); empty for a windowed IOMMU, which has none
 */
@ProviderType
public record ContainerInfo(IommuCapabilities capabilities, List<IovaRange> ranges, int mappingsAvailable,
        Optional<Migration> migration) {
    /** Addresses from start to end, inclusive. */
    public record IovaRange(long start, long end) {
    }

    /**
     * What a report of dirty pages may look like.
     *
     * @param flags none is defined: 0
     * @param pageSizes bit n set: a bit may stand for 2^n bytes
     * @param maxDirtyBitmapSize bytes the largest bitmap may have
     */
    public record Migration(int flags, long pageSizes, long maxDirtyBitmapSize) {
        /** As many bytes as 2^31 bits take: Linux's limit. */
        public static final long MAX_DIRTY_BITMAP_SIZE = 0x1000_0000;
    }

    /** Copies. */
    public ContainerInfo {
        Objects.requireNonNull(capabilities);
        Objects.requireNonNull(migration);
        ranges = List.copyOf(ranges);
    }

    /** {@return bit n set: mappings of 2^n bytes; addresses and lengths are multiples of the lowest} */
    public long pageSizes() {
        return capabilities.pageSizes();
    }
}
