// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.nio.ByteBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.ContainerInfo.Migration;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Mapping;

/**
 * Dirty pages of one container: VFIO_IOMMU_DIRTY_PAGES and the report of an unmap. No device says what it writes, so all that is
 * pinned, which is all that is mapped, is dirty, and nothing has to be remembered but whether somebody asks. Guarded by the
 * container's lock.
 */
final class DirtyTracking {
    private static final int ALL = DmaFlags.DIRTY_START | DmaFlags.DIRTY_STOP | DmaFlags.DIRTY_GET_BITMAP;

    private boolean on;

    /** A container that is set anew does not track. */
    void reset() {
        on = false;
    }

    /** START, STOP or GET_BITMAP. */
    void operate(int flags, long iova, long length, DirtyBitmap bitmap, Ledger ledger, long page) {
        if ((flags & ~ALL) != 0 || Integer.bitCount(flags) != 1) {
            throw new ErrnoException(Errno.EINVAL, "flags 0x%x: give exactly one of START, STOP and GET_BITMAP", flags);
        }
        if (flags != DmaFlags.DIRTY_GET_BITMAP) {
            on = flags == DmaFlags.DIRTY_START;
            return;
        }
        IovaRanges.checkRange(iova, length, page);
        checkBitmap(length, bitmap, page);
        // The rule of v2 is the rule of a report: what it finds it has found whole.
        new UnmapRule.Whole().pieces(ledger, iova, length);
        report(iova, length, bitmap, ledger.touching(iova, iova + length - 1));
    }

    /** Whether a report of that many bytes can be written there. */
    void checkBitmap(long length, DirtyBitmap bitmap, long page) {
        if (bitmap == null) {
            throw new ErrnoException(Errno.EINVAL, "a report of dirty pages needs a bitmap");
        }
        checkSize(Long.divideUnsigned(length, page), bitmap.bits().remaining());
        if (bitmap.pageSize() != page) {
            throw new ErrnoException(Errno.EINVAL, "a bit of the bitmap stands for 0x%x bytes; it must be the smallest page, 0x%x",
                bitmap.pageSize(), page);
        }
        if (!on) {
            throw new ErrnoException(Errno.EINVAL, "dirty pages are not tracked; START that first");
        }
        if (bitmap.bits().isReadOnly()) {
            throw new ErrnoException(Errno.EFAULT, "the bitmap is read-only");
        }
    }

    /** Whether a bitmap of that many bytes may report that many pages. */
    static void checkSize(long pages, long bytes) {
        if (pages == 0 || bytes > Migration.MAX_DIRTY_BITMAP_SIZE || Long.compareUnsigned(bytes, DirtyBitmap.bytes(pages)) < 0) {
            throw new ErrnoException(Errno.EINVAL, "a bitmap of 0x%x bytes for 0x%x pages; it takes 0x%x and may have 0x%x", bytes,
                pages, DirtyBitmap.bytes(pages), Migration.MAX_DIRTY_BITMAP_SIZE);
        }
    }

    /** Writes the words of the range: 1 for each page of a mapping. The bitmap has been checked. */
    static void report(long iova, long length, DirtyBitmap bitmap, Iterable<Mapping> mappings) {
        long page = bitmap.pageSize();
        ByteBuffer words = bitmap.bits().slice();
        fill(words, 0, (int) DirtyBitmap.bytes(length / page), 0);
        for (Mapping mapping : mappings) {
            long first = Long.divideUnsigned(mapping.iova() - iova, page);
            mark(words, first, first + mapping.length() / page);
        }
    }

    /** Sets the bits from one to another, exclusive. Bit numbers go up to 2^31, so they are longs; byte numbers are not. */
    private static void mark(ByteBuffer words, long first, long end) {
        int from = (int) (first / Byte.SIZE);
        int to = (int) (end / Byte.SIZE);
        int head = 0xff << first % Byte.SIZE;
        int tail = (1 << end % Byte.SIZE) - 1;
        if (from == to) {
            words.put(from, (byte) (words.get(from) | head & tail));
            return;
        }
        words.put(from, (byte) (words.get(from) | head));
        fill(words, from + 1, to, 0xff);
        if (tail != 0) {
            words.put(to, (byte) (words.get(to) | tail));
        }
    }

    private static void fill(ByteBuffer words, int from, int to, int value) {
        int at = from;
        for (; to - at >= Long.BYTES; at += Long.BYTES) {
            words.putLong(at, value == 0 ? 0 : -1L);
        }
        for (; at < to; at++) {
            words.put(at, (byte) value);
        }
    }
}
