// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;

/**
 * Memory: the end of the road for data. Before it {@link Bus#write}.
 *
 * <p>Sparse: memory outside the Java heap is taken in pieces of 2 MiB when they are first written, so a machine of 64 GiB costs
 * what its programs touch. Untouched memory reads as zero. Offsets are from {@link #base()}; the caller
 * ({@link PhysicalBus}) has checked them. Thread-safe and lock-free; aligned accesses of 2, 4 and 8 bytes are atomic.
 */
public final class Ram {
    private static final int CHUNK_SHIFT = 21;
    private static final int CHUNK = 1 << CHUNK_SHIFT;
    private static final long CHUNK_MASK = CHUNK - 1L;
    private static final VarHandle SHORT = view(short[].class);
    private static final VarHandle INT = view(int[].class);
    private static final VarHandle LONG = view(long[].class);

    private final long base;
    private final long size;
    private final AtomicReferenceArray<ByteBuffer> chunks;

    /**
     * @param base physical address of the first byte, a multiple of 4 KiB
     * @param size bytes, a positive multiple of 4 KiB; base + size must not exceed 2^52
     * @throws IllegalArgumentException if either is not so
     */
    public Ram(long base, long size) {
        if (base < 0 || size <= 0 || ((base | size) & 0xfff) != 0 || base + size > 1L << 52 || base + size < 0) {
            throw new IllegalArgumentException(String.format("RAM 0x%x+0x%x: not whole 4 KiB pages below 2^52", base, size));
        }
        this.base = base;
        this.size = size;
        this.chunks = new AtomicReferenceArray<>((int) ((size + CHUNK_MASK) >>> CHUNK_SHIFT));
    }

    /** {@return physical address of the first byte} */
    public long base() {
        return base;
    }

    /** {@return bytes} */
    public long size() {
        return size;
    }

    /** {@return bytes really taken from the host} */
    public long resident() {
        long resident = 0;
        for (int i = 0; i < chunks.length(); i++) {
            resident += chunks.getPlain(i) == null ? 0 : CHUNK;
        }
        return resident;
    }

    long read(long offset, int width) {
        int at = (int) (offset & CHUNK_MASK);
        if ((at & (width - 1)) != 0) {
            return readUnaligned(offset, width);
        }
        ByteBuffer chunk = chunks.getAcquire((int) (offset >>> CHUNK_SHIFT));
        if (chunk == null) {
            return 0;
        }
        return switch (width) {
            case 1 -> chunk.get(at) & 0xffL;
            case 2 -> (short) SHORT.getAcquire(chunk, at) & 0xffffL;
            case 4 -> (int) INT.getAcquire(chunk, at) & 0xffffffffL;
            case 8 -> (long) LONG.getAcquire(chunk, at);
            default -> throw new IllegalArgumentException("access of " + width + " bytes");
        };
    }

    void write(long offset, int width, long value) {
        int at = (int) (offset & CHUNK_MASK);
        if ((at & (width - 1)) != 0) {
            writeUnaligned(offset, width, value);
            return;
        }
        ByteBuffer chunk = touch((int) (offset >>> CHUNK_SHIFT));
        switch (width) {
            case 1 -> chunk.put(at, (byte) value);
            case 2 -> SHORT.setRelease(chunk, at, (short) value);
            case 4 -> INT.setRelease(chunk, at, (int) value);
            case 8 -> LONG.setRelease(chunk, at, value);
            default -> throw new IllegalArgumentException("access of " + width + " bytes");
        }
    }

    void read(long offset, byte[] to, int start, int length) {
        while (length > 0) {
            int at = (int) (offset & CHUNK_MASK);
            int step = Math.min(length, CHUNK - at);
            ByteBuffer chunk = chunks.getAcquire((int) (offset >>> CHUNK_SHIFT));
            if (chunk == null) {
                Arrays.fill(to, start, start + step, (byte) 0);
            } else {
                chunk.get(at, to, start, step);
            }
            offset += step;
            start += step;
            length -= step;
        }
    }

    void write(long offset, byte[] from, int start, int length) {
        while (length > 0) {
            int at = (int) (offset & CHUNK_MASK);
            int step = Math.min(length, CHUNK - at);
            touch((int) (offset >>> CHUNK_SHIFT)).put(at, from, start, step);
            offset += step;
            start += step;
            length -= step;
        }
    }

    private long readUnaligned(long offset, int width) {
        long value = 0;
        for (int i = 0; i < width; i++) {
            value |= read(offset + i, 1) << (8 * i);
        }
        return value;
    }

    private void writeUnaligned(long offset, int width, long value) {
        for (int i = 0; i < width; i++) {
            write(offset + i, 1, value >>> (8 * i) & 0xff);
        }
    }

    private ByteBuffer touch(int index) {
        ByteBuffer chunk = chunks.getAcquire(index);
        return chunk != null ? chunk : grow(index);
    }

    /** Off the road: once per 2 MiB. */
    private ByteBuffer grow(int index) {
        ByteBuffer fresh = ByteBuffer.allocateDirect(CHUNK);
        ByteBuffer winner = chunks.compareAndExchange(index, null, fresh);
        return winner == null ? fresh : winner;
    }

    private static VarHandle view(Class<?> array) {
        return MethodHandles.byteBufferViewVarHandle(array, ByteOrder.LITTLE_ENDIAN);
    }
}
