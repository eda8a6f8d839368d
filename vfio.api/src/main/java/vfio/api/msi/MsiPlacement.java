// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * Where devices reach a bank: device addresses that lead to its page, or, where the IOMMU's smallest page is larger, to
 * that page around it. The bank is as far from the start there as it is physically.
 *
 * @param bank its index
 * @param iova first device address
 * @param length bytes: of the page, or of the IOMMU's smallest
 */
@ProviderType
public record MsiPlacement(int bank, long iova, long length) {
}
