// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.Arrays;
import java.util.List;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;

/** A buffer from {@link LocalMemory}. */
final class LocalBuffer implements DmaBuffer {
    private final Bus bus;
    private final List<Extent> extents;
    /** Offset of the first byte of each extent. */
    private final long[] starts;
    private final long size;
    private final Attachment giveBack;
    private int holders = 1;
    private boolean closed;

    LocalBuffer(Bus bus, List<Extent> extents, Attachment giveBack) {
        this.bus = bus;
        this.extents = List.copyOf(extents);
        this.starts = new long[extents.size()];
        long end = 0;
        for (int i = 0; i < starts.length; i++) {
            starts[i] = end;
            end += extents.get(i).length();
        }
        this.size = end;
        this.giveBack = giveBack;
    }

    @Override
    public long size() {
        return size;
    }

    @Override
    public List<Extent> extents() {
        return extents;
    }

    @Override
    public Extent at(long offset) {
        if (offset < 0 || offset >= size) {
            throw new IllegalArgumentException(String.format("offset 0x%x in a buffer of 0x%x bytes", offset, size));
        }
        int found = Arrays.binarySearch(starts, offset);
        int index = found >= 0 ? found : -found - 2;
        Extent extent = extents.get(index);
        long inside = offset - starts[index];
        return new Extent(extent.physical() + inside, extent.length() - inside);
    }

    @Override
    public void write(long offset, byte[] from, int start, int length) {
        each(offset, length, (physical, done, piece) -> bus.write(Bus.CPU, physical, from, start + done, piece));
    }

    @Override
    public void read(long offset, byte[] to, int start, int length) {
        each(offset, length, (physical, done, piece) -> bus.read(physical, to, start + done, piece));
    }

    @Override
    public synchronized void retain() {
        if (holders == 0) {
            throw new ErrnoException(Errno.EFAULT, "buffer at physical 0x%x was closed; allocate another",
                extents.get(0).physical());
        }
        holders++;
    }

    @Override
    public void release() {
        synchronized (this) {
            if (holders == 0 || --holders > 0) {
                return;
            }
        }
        giveBack.close();
    }

    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        release();
    }

    private interface Piece {
        int move(long physical, int done, int length);
    }

    private void each(long offset, int length, Piece piece) {
        if (length < 0 || offset < 0 || offset > size - length) {
            throw new IllegalArgumentException(String.format("0x%x bytes at offset 0x%x of a buffer of 0x%x bytes",
                length, offset, size));
        }
        for (int done = 0; done < length; ) {
            Extent here = at(offset + done);
            int step = (int) Math.min(here.length(), length - done);
            if (piece.move(here.physical(), done, step) != Bus.OK) {
                throw new ErrnoException(Errno.EIO, "no memory answers at physical 0x%x", here.physical());
            }
            done += step;
        }
    }
}
