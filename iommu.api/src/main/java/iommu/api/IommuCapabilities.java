// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.List;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * What an IOMMU type can do, in the terms a container and an MSI strategy decide by.
 *
 * @param windowed true if translation is an aperture divided into windows, false if it is paged
 * @param pageSizes bit n set: mappings of 2^n bytes; the lowest bit is the smallest unit of mapping
 * @param maxWindows largest number of windows; 0 if paged
 * @param apertureStart lowest address the hardware can translate
 * @param apertureEnd highest address the hardware can translate, inclusive
 * @param reserved ranges that must not be mapped, by ascending start
 * @param contiguous true if the memory behind one window must be physically contiguous
 */
@ProviderType
public record IommuCapabilities(boolean windowed, long pageSizes, int maxWindows, long apertureStart, long apertureEnd,
        List<ReservedRegion> reserved, boolean contiguous) {
    /** Copies. */
    public IommuCapabilities {
        reserved = List.copyOf(Objects.requireNonNull(reserved));
        if (Long.numberOfTrailingZeros(pageSizes) < 12 || pageSizes == 0) {
            throw new IllegalArgumentException(String.format("page sizes 0x%x: nothing below 4 KiB is mapped", pageSizes));
        }
    }

    /** {@return the smallest mapping in bytes} */
    public long smallestPage() {
        return Long.lowestOneBit(pageSizes);
    }
}
