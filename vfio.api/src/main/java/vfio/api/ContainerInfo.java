// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.IommuCapabilities;
import java.util.List;

/**
 * What VFIO_IOMMU_GET_INFO answers.
 *
 * @param capabilities of the IOMMU type
 * @param ranges valid device addresses by ascending start
 * @param mappingsAvailable how many more mappings fit
 */
public record ContainerInfo(IommuCapabilities capabilities, List<IovaRange> ranges, int mappingsAvailable) {
    /** Addresses from start to end, inclusive. */
    public record IovaRange(long start, long end) {
    }

    /** Copies. */
    public ContainerInfo {
        ranges = List.copyOf(ranges);
    }
}
