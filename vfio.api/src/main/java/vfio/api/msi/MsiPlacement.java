// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

/**
 * Where devices reach a bank.
 *
 * @param bank its index
 * @param iova device address of the first byte of its page
 * @param length bytes
 */
public record MsiPlacement(int bank, long iova, long length) {
}
