// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import org.osgi.annotation.versioning.ProviderType;

/** Memory to hand out, kept as free ranges in this process, whatever bus it is on. */
@ProviderType
public final class LocalMemory implements DmaMemory {
    private static final long PAGE = 4096;

    private final Bus bus;
    private final TreeMap<Long, Long> free = new TreeMap<>();

    /** @param ranges the memory to hand out */
    public LocalMemory(Bus bus, List<Node.Range> ranges) {
        this.bus = bus;
        ranges.forEach(range -> give(range.physical(), range.size()));
    }

    @Override
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

    @Override
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

    @Override
    public synchronized long available() {
        return free.values().stream().mapToLong(Long::longValue).sum();
    }

    private DmaBuffer buffer(List<DmaBuffer.Extent> extents) {
        return new LocalBuffer(bus, extents, () -> extents.forEach(extent -> give(extent.physical(), extent.length())));
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
            "no free memory of 0x%x bytes aligned to 0x%x; 0x%x bytes are free in %d pieces", bytes, alignment,
            available(), free.size());
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
