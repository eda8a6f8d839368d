// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import iommu.api.Iommu;

/**
 * An IOMMU that is there.
 *
 * @param kind its property {@link Iommu#KIND}
 * @param label what reports call it
 * @param ranking of several of a kind the highest is considered first
 */
public record IommuProvider(Iommu iommu, String kind, String label, int ranking) {
}
