// SPDX-License-Identifier: Apache-2.0
package irq.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One bank of doorbells: the unit of isolation. A device that can write its page can ring each of its vectors, and does
 * no other harm. A controller that leaves more around its doorbells free says so by the length, for IOMMUs with larger
 * pages.
 *
 * @param index from 0
 * @param page physical address of the page (or range) that holds the bank and nothing else, naturally aligned
 * @param length bytes of it, a power of two, at least 4096
 * @param vectors how many there are, free or not
 */
@ProviderType
public record MsiBank(int index, long page, long length, int vectors) {
}
