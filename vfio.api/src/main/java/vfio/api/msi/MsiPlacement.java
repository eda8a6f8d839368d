// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The device address at which devices reach a bank.
 *
 * @param bank its index
 * @param iova device address of the first byte of its page
 * @param length bytes
 */
@ProviderType
public record MsiPlacement(int bank, long iova, long length) {
}
