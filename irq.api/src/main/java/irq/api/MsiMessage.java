// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * What a device must write to raise a vector: a little-endian 32-bit value, somewhere inside its bank's page. The
 * address the device uses is where its side has the page, plus the offset.
 *
 * @param bank index of the bank
 * @param offset bytes from the start of the bank's page
 * @param data the value
 */
@ProviderType
public record MsiMessage(int bank, int offset, int data) {
}
