// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One enabled MSI, for display: programs do not need it.
 *
 * @param device name of the device
 * @param bank index of the bank its vector comes from
 * @param vector number of the vector in the bank
 * @param address device address the message is written to
 * @param data the message
 */
@ProviderType
public record MsiRoute(String device, int bank, int vector, long address, int data) {
}
