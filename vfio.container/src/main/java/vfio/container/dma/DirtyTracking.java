// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.nio.ByteBuffer;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.ContainerInfo.Migration;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.container.state.Ledger;

/**
 * Dirty pages of one container: VFIO_IOMMU_DIRTY_PAGES and the report of an unmap. No device reports its writes, so all
 * pinned memory, that is all mapped memory, is dirty, and the only state is whether somebody asks. Guarded by the
 * container's lock.
 */
public final class DirtyTracking {
    private static final int ALL = DmaFlags.DIRTY_START | DmaFlags.DIRTY_STOP | DmaFlags.DIRTY_GET_BITMAP;

    private boolean on;

    /** A container that is set anew does not track, nor does one that has moved to a type that cannot. */
    public void reset() {
        on = false;
    }

    /** START, STOP or GET_BITMAP. */
    public void operate(int flags, long iova, long length, DirtyBitmap bitmap, Ledger ledger, long page) {
        if ((flags & ~ALL) != 0 || Integer.bitCount(flags) != 1) {
            throw new ErrnoException(Errno.EINVAL, "flags 0x%x: give exactly one of START, STOP and GET_BITMAP", flags);
        }
        if (flags != DmaFlags.DIRTY_GET_BITMAP) {
            on = flags == DmaFlags.DIRTY_START;
            return;
        }
        IovaRanges.checkRange(iova, length, page);
        Report report = report(iova, length, bitmap, page);
        // The rule of v2 is the rule of a report: what it finds it has found whole.
        new UnmapRule.Whole().pieces(ledger, iova, length);
        report.write(ledger.touching(iova, iova + length - 1));
    }

    /**
     * {@return a report of that range, if it can be written there; nothing is written yet}
     *
     * @throws ErrnoException EINVAL without a bitmap, for a wrong size or page size, or while nothing is tracked;
     *     EFAULT if it cannot be written
     */
    public Report report(long iova, long length, DirtyBitmap bitmap, long page) {
        if (bitmap == null) {
            throw new ErrnoException(Errno.EINVAL, "a report of dirty pages needs a bitmap");
        }
        // The user's buffer is the user's: its position and limit are looked at once.
        ByteBuffer bits = bitmap.bits().slice();
        long pages = Long.divideUnsigned(length, page);
        checkSize(pages, bits.remaining());
        if (bitmap.pageSize() != page) {
            throw new ErrnoException(Errno.EINVAL, "a bit of the bitmap stands for 0x%x bytes; it must be the "
                + "smallest page, 0x%x", bitmap.pageSize(), page);
        }
        if (!on) {
            throw new ErrnoException(Errno.EINVAL, "dirty pages are not tracked; START that first");
        }
        if (bits.isReadOnly()) {
            throw new ErrnoException(Errno.EFAULT, "the bitmap is read-only");
        }
        return new Report(iova, page, bits.limit((int) DirtyBitmap.bytes(pages)));
    }

    /** Whether a bitmap of that many bytes may report that many pages. */
    public static void checkSize(long pages, long bytes) {
        if (pages == 0 || bytes > Migration.MAX_DIRTY_BITMAP_SIZE
                || Long.compareUnsigned(bytes, DirtyBitmap.bytes(pages)) < 0) {
            throw new ErrnoException(Errno.EINVAL, "a bitmap of 0x%x bytes for 0x%x pages; it takes 0x%x and may have "
                + "0x%x", bytes, pages, DirtyBitmap.bytes(pages), Migration.MAX_DIRTY_BITMAP_SIZE);
        }
    }

    /** The words of a range in a user's bitmap. */
    public static final class Report {
        private final long iova;
        private final long page;
        private final ByteBuffer words;

        private Report(long iova, long page, ByteBuffer words) {
            this.iova = iova;
            this.page = page;
            this.words = words;
        }

        /**
         * Reports what an unmap takes away before anything is, as Linux does: a user's memory may turn out not to be
         * there, and what is unmapped cannot be asked again. If the unmap throws, nothing has been reported.
         */
        public void writeBefore(List<UnmapRule.Piece> pieces, Runnable unmap) {
            ByteBuffer before = ByteBuffer.allocate(words.remaining());
            before.put(0, words, 0, words.remaining());
            try {
                write(pieces.stream().map(UnmapRule.Piece::mapping).toList());
                unmap.run();
            } catch (RuntimeException | Error e) {
                try {
                    words.put(0, before, 0, words.remaining());
                } catch (RuntimeException | Error again) {
                    e.addSuppressed(again);
                }
                throw e;
            }
        }

        /** Writes the words of the range: 1 for each page of a mapping. No mapping leaves the range. */
        public void write(Iterable<Mapping> mappings) {
            fill(words, 0, words.limit(), 0);
            for (Mapping mapping : mappings) {
                long first = Long.divideUnsigned(mapping.iova() - iova, page);
                mark(words, first, first + mapping.length() / page);
            }
        }
    }

    /**
     * Sets the bits from one to another, exclusive. Bit numbers go up to 2^31, so they are longs; byte numbers are not.
     */
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
