// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One bank of doorbells: the unit of isolation. A device that can write its page can ring each of its vectors.
 *
 * @param index from 0
 * @param page physical address of the page (or range) that has to be reachable, naturally aligned
 * @param length bytes of it, a power of two, at least 4096
 * @param vectors how many there are, free or not
 */
@ProviderType
public record MsiBank(int index, long page, long length, int vectors) {
}
