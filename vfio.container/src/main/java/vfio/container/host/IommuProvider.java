// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import iommu.api.Iommu;
import java.util.List;

/**
 * An available IOMMU.
 *
 * @param kind its property {@link Iommu#KIND}
 * @param types its property {@link Iommu#TYPE}: what users ask for, the preferred one first
 * @param label what reports call it
 * @param ranking of several of a type the highest is considered first
 */
public record IommuProvider(Iommu iommu, String kind, List<String> types, String label, int ranking) {
}
