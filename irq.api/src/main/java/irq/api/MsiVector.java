// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * An allocated MSI vector.
 *
 * @param bank index of its bank
 * @param number its number in the bank, 0 to {@link MsiBank#vectors()} - 1: the hardware interrupt number
 */
@ProviderType
public record MsiVector(int bank, int number) {
}
