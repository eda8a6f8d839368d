// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ConsumerType;

/**
 * Registers behind a window of the bus. Stop 4 of the road for an MSI; before it {@link TranslationUnit#translate} and
 * a look-up among the windows. A core's accesses come by {@link Bus#write}.
 *
 * <p>Called by any thread, device threads included: must not block and must not call {@link Bus#sync}, but for a
 * register that is there for that (VT-d's drain bits) and that no interrupt handler writes. Values are little-endian; a
 * big-endian block reverses them here and nowhere else. An access that the registers do not take, such as one of a size
 * they do not have, is ignored, or reads as ones or zeroes: it throws nothing, as that would end up in a device's
 * thread.
 */
@ConsumerType
public interface Mmio {
    /**
     * @param offset from the start of the window; the access lies inside the window
     * @param size 1, 2, 4 or 8
     * @return the value, zero-extended
     */
    long read(long offset, int size);

    /**
     * @param requester who writes: {@link Requester#messageId} of a device or {@link Bus#CPU}
     * @param offset from the start of the window; the access lies inside the window
     * @param size 1, 2, 4 or 8
     * @param value zero-extended
     */
    void write(int requester, long offset, int size, long value);
}
