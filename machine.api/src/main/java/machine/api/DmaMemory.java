// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * Hands out the machine's memory: to programs for DMA, to drivers for their tables. First fit by ascending address.
 * Memory is not zeroed: a caller that needs zeroes writes them. Thread-safe.
 */
@ProviderType
public interface DmaMemory {
    /** The layout of a buffer's extents. */
    enum Layout {
        /** One extent. */
        CONTIGUOUS,
        /** Single 4 KiB pages, no two of them adjacent, in descending order: the worst case for a page table. */
        SCATTERED
    }

    /**
     * Allocates memory.
     *
     * @param size bytes, rounded up to 4 KiB; positive
     * @param alignment of the first byte, a power of two, at least 4096; SCATTERED aligns pages only
     * @throws ErrnoException EINVAL for a wrong size or alignment; ENOMEM if no free range is large enough
     */
    DmaBuffer allocate(long size, long alignment, Layout layout);

    /**
     * Allocates exactly this range.
     *
     * @param physical first byte, a multiple of 4 KiB
     * @param size bytes, a positive multiple of 4 KiB
     * @throws ErrnoException EINVAL if they are not; ENOMEM if some of it is not memory or not free
     */
    DmaBuffer allocateAt(long physical, long size);

    /** {@return bytes not handed out} */
    long available();
}
