// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.osgi.annotation.versioning.ProviderType;

/**
 * Hands out the machine's memory: to programs for DMA, to drivers for their tables. First fit by ascending address.
 * Memory comes zeroed by nobody: whoever needs zeroes writes them. Thread-safe.
 */
@ProviderType
public final class DmaMemory {
    /** How the extents of a buffer lie. */
    public enum Layout {
        /** One extent. */
        CONTIGUOUS,
        /** Single 4 KiB pages, no two of them adjacent, in descending order: the worst case for a page table. */
        SCATTERED
    }

    private static final long PAGE = 4096;

    private final Bus bus;
    private final TreeMap<Long, Long> free = new TreeMap<>();

    /** @param ranges the memory to hand out */
    public DmaMemory(Bus bus, List<Node.Range> ranges) {
        this.bus = bus;
        ranges.forEach(range -> give(range.physical(), range.size()));
    }

    /**
     * Allocates memory.
     *
     * @param size bytes, rounded up to 4 KiB; positive
     * @param alignment of the first byte, a power of two, at least 4096; SCATTERED aligns pages only
     * @throws ErrnoException EINVAL for a wrong size or alignment; ENOMEM if no free range is large enough
     */
    public synchronized DmaBuffer allocate(long size, long alignment, Layout layout) {
        if (size <= 0 || size > 1L << 52 || alignment < PAGE || Long.bitCount(alignment) != 1) {
            throw new ErrnoException(Errno.EINVAL,
                "memory of 0x%x bytes aligned to 0x%x: size must be positive, alignment a power of two from 0x1000",
                size, alignment);
        }
        long bytes = size + PAGE - 1 & -PAGE;
        if (layout == Layout.CONTIGUOUS) {
            return buffer(List.of(new DmaBuffer.Extent(take(bytes, alignment), bytes)));
        }
        long start = take(2 * bytes, PAGE);
        List<DmaBuffer.Extent> pages = new ArrayList<>();
        for (long at = start + 2 * bytes - PAGE; at > start; at -= 2 * PAGE) {
            pages.add(new DmaBuffer.Extent(at, PAGE));
            give(at - PAGE, PAGE);
        }
        return buffer(pages);
    }

    /**
     * Allocates exactly this range.
     *
     * @param physical first byte, a multiple of 4 KiB
     * @param size bytes, a positive multiple of 4 KiB
     * @throws ErrnoException EINVAL if they are not; ENOMEM if some of it is not memory or not free
     */
    public synchronized DmaBuffer allocateAt(long physical, long size) {
        if (physical < 0 || size <= 0 || ((physical | size) & PAGE - 1) != 0) {
            throw new ErrnoException(Errno.EINVAL, "memory 0x%x+0x%x: give whole 4 KiB pages", physical, size);
        }
        Map.Entry<Long, Long> range = free.floorEntry(physical);
        if (range == null || range.getKey() + range.getValue() - physical < size) {
            throw new ErrnoException(Errno.ENOMEM, "memory 0x%x+0x%x is not all free memory; choose another range",
                physical, size);
        }
        split(range.getKey(), range.getValue(), physical, size);
        return buffer(List.of(new DmaBuffer.Extent(physical, size)));
    }

    /** {@return bytes not handed out} */
    public synchronized long available() {
        return free.values().stream().mapToLong(Long::longValue).sum();
    }

    private DmaBuffer buffer(List<DmaBuffer.Extent> extents) {
        return new DmaBuffer(bus, extents, () -> extents.forEach(extent -> give(extent.physical(), extent.length())));
    }

    private long take(long bytes, long alignment) {
        for (Map.Entry<Long, Long> range : free.entrySet()) {
            long start = range.getKey() + alignment - 1 & -alignment;
            long lost = start - range.getKey();
            if (lost >= 0 && range.getValue() - lost >= bytes) {
                split(range.getKey(), range.getValue(), start, bytes);
                return start;
            }
        }
        throw new ErrnoException(Errno.ENOMEM,
            "no free memory of 0x%x bytes aligned to 0x%x; 0x%x bytes are free in %d pieces", bytes, alignment, available(),
            free.size());
    }

    private void split(long rangeStart, long rangeSize, long start, long bytes) {
        free.remove(rangeStart);
        if (start > rangeStart) {
            free.put(rangeStart, start - rangeStart);
        }
        long left = rangeStart + rangeSize - start - bytes;
        if (left > 0) {
            free.put(start + bytes, left);
        }
    }

    private synchronized void give(long start, long bytes) {
        Map.Entry<Long, Long> below = free.lowerEntry(start);
        if (below != null && below.getKey() + below.getValue() == start) {
            free.remove(below.getKey());
            start = below.getKey();
            bytes += below.getValue();
        }
        Long above = free.remove(start + bytes);
        free.put(start, bytes + (above == null ? 0 : above));
    }
}
