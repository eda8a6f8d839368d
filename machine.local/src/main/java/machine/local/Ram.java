// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.IntFunction;
import java.util.function.LongSupplier;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Snoop;
import org.osgi.annotation.versioning.ProviderType;

/**
 * Memory: the end of the road for data. Before it a port, which knows the physical address, or {@link Bus#write}.
 *
 * <p>Sparse: memory outside the Java heap is taken in pieces of 2 MiB when they are first written, so a machine of 64
 * GiB costs what its programs touch. Untouched memory reads as zero. Offsets are from {@link #base()}; the caller
 * ({@link PhysicalBus}) has checked them. Thread-safe and lock-free; aligned accesses of 2, 4 and 8 bytes are atomic.
 *
 * <p>A store looks its piece up among those that may be written without further ado. A piece is not there before its
 * first store, nor while a {@link Snoop} listens to some of it; then the store goes the careful way and announces
 * itself to the snoops it concerns. So snoops cost nothing where nobody listens.
 *
 * <p>The host may have no memory for a piece. A store that needs one is refused then, with {@link Exhausted}, and has
 * changed nothing in that piece; {@link DmaPort} makes a {@link Refusal} of it. The log says once which option to
 * raise.
 */
@ProviderType
public final class Ram {
    private static final int CHUNK_SHIFT = 21;
    private static final int CHUNK = 1 << CHUNK_SHIFT;
    private static final long CHUNK_MASK = CHUNK - 1L;
    private static final int PAGE = 4096;
    /** The host is not asked again sooner: it collects garbage and waits, half a second or so, before it says no. */
    private static final long ASK_AGAIN_NANOS = 1_000_000_000L;
    private static final System.Logger LOG = System.getLogger("machine.local");
    private static final VarHandle SHORT = view(short[].class);
    private static final VarHandle INT = view(int[].class);
    private static final VarHandle LONG = view(long[].class);

    /** The error of a core or a program that stores where the host has no memory for a piece. */
    static final class Exhausted extends ErrnoException {
        private static final long serialVersionUID = 1L;

        private Exhausted(String why) {
            super(Errno.ENOMEM, "%s", why);
        }
    }

    private final long base;
    private final long size;
    private final IntFunction<ByteBuffer> host;
    private final LongSupplier clock;
    private final AtomicReferenceArray<ByteBuffer> chunks;
    /** Those of the chunks that stores may go to directly. */
    private final AtomicReferenceArray<ByteBuffer> open;
    /** Replaced, not changed, under the lock. */
    private volatile LocalSnoop[] snoops = {};
    /** The amount it had given when it last refused, and its error; null if it gave. Guarded by this, as the next. */
    private String refusal;
    private long refused;

    /**
     * @param base physical address of the first byte, a multiple of 4 KiB
     * @param size bytes, a positive multiple of 4 KiB; base + size must not exceed 2^52
     * @throws IllegalArgumentException if either is not so
     */
    public Ram(long base, long size) {
        this(base, size, ByteBuffer::allocateDirect, System::nanoTime);
    }

    /**
     * Memory with a given source and clock, for tests.
     *
     * @param host gives so many bytes, or throws an OutOfMemoryError
     * @param clock in nanoseconds
     */
    Ram(long base, long size, IntFunction<ByteBuffer> host, LongSupplier clock) {
        if (base < 0 || size <= 0 || ((base | size) & 0xfff) != 0 || base + size > 1L << 52 || base + size < 0) {
            throw new IllegalArgumentException(
                String.format("RAM 0x%x+0x%x: not whole 4 KiB pages below 2^52", base, size));
        }
        this.host = host;
        this.clock = clock;
        this.base = base;
        this.size = size;
        this.chunks = new AtomicReferenceArray<>((int) ((size + CHUNK_MASK) >>> CHUNK_SHIFT));
        this.open = new AtomicReferenceArray<>(chunks.length());
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
        ByteBuffer chunk = open.getAcquire((int) (offset >>> CHUNK_SHIFT));
        if (chunk != null) {
            put(chunk, at, width, value);
        } else {
            carefully(offset, width, value);
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
        int at = (int) (offset & CHUNK_MASK);
        ByteBuffer chunk = open.getAcquire((int) (offset >>> CHUNK_SHIFT));
        if (chunk != null && length <= CHUNK - at) {
            chunk.put(at, from, start, length);
        } else {
            carefully(offset, from, start, length);
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

    /** Announces stores to the snoop from now on; one that is under way may have missed this. */
    synchronized void attach(LocalSnoop snoop) {
        LocalSnoop[] next = Arrays.copyOf(snoops, snoops.length + 1);
        next[snoops.length] = snoop;
        snoops = next;
        for (int index = 0; index < chunks.length(); index++) {
            if (concerns(snoop, index)) {
                open.set(index, null);
            }
        }
    }

    synchronized void detach(LocalSnoop snoop) {
        snoops = Arrays.stream(snoops).filter(other -> other != snoop).toArray(LocalSnoop[]::new);
    }

    private static void put(ByteBuffer chunk, int at, int width, long value) {
        switch (width) {
            case 1 -> chunk.put(at, (byte) value);
            case 2 -> SHORT.setRelease(chunk, at, (short) value);
            case 4 -> INT.setRelease(chunk, at, (int) value);
            case 8 -> LONG.setRelease(chunk, at, value);
            default -> throw new IllegalArgumentException("access of " + width + " bytes");
        }
    }

    private void carefully(long offset, int width, long value) {
        LocalSnoop[] all = snoops;
        ByteBuffer chunk = chunk((int) (offset >>> CHUNK_SHIFT), all);
        begin(all, offset, width);
        try {
            put(chunk, (int) (offset & CHUNK_MASK), width, value);
        } finally {
            end(all, offset, width);
        }
    }

    private void carefully(long offset, byte[] from, int start, int length) {
        int step;
        for (int done = 0; done < length; done += step) {
            int at = (int) (offset + done & CHUNK_MASK);
            step = Math.min(length - done, CHUNK - at);
            LocalSnoop[] all = snoops;
            ByteBuffer chunk = chunk((int) (offset + done >>> CHUNK_SHIFT), all);
            begin(all, offset + done, step);
            try {
                chunk.put(at, from, start + done, step);
            } finally {
                end(all, offset + done, step);
            }
        }
    }

    private void begin(LocalSnoop[] all, long offset, int length) {
        for (LocalSnoop snoop : all) {
            if (snoop.touches(base + offset, length)) {
                snoop.begin();
            }
        }
    }

    private void end(LocalSnoop[] all, long offset, int length) {
        for (LocalSnoop snoop : all) {
            if (snoop.touches(base + offset, length)) {
                snoop.end();
            }
        }
    }

    private ByteBuffer chunk(int index, LocalSnoop[] all) {
        ByteBuffer chunk = chunks.getAcquire(index);
        if (chunk != null) {
            for (LocalSnoop snoop : all) {
                if (concerns(snoop, index)) {
                    return chunk;
                }
            }
        }
        return admit(index);
    }

    /** Takes the memory at the first store, and opens it for further ones if nobody listens. */
    private synchronized ByteBuffer admit(int index) {
        ByteBuffer chunk = chunks.get(index);
        if (chunk == null) {
            chunk = take(index);
            chunks.set(index, chunk);
        }
        boolean heard = false;
        for (LocalSnoop snoop : snoops) {
            heard |= concerns(snoop, index);
        }
        if (!heard) {
            open.set(index, chunk);
        }
        return chunk;
    }

    /** The caller holds the lock. */
    private ByteBuffer take(int index) {
        long physical = base + ((long) index << CHUNK_SHIFT);
        if (refusal != null && clock.getAsLong() - refused < ASK_AGAIN_NANOS) {
            throw exhausted(physical);
        }
        try {
            // On a page, because the host copies to cache lines that are whole.
            ByteBuffer chunk = host.apply(CHUNK + PAGE).alignedSlice(PAGE).slice(0, CHUNK);
            refusal = null;
            return chunk;
        } catch (OutOfMemoryError e) {
            boolean first = refusal == null;
            refusal = String.format("0x%x of this memory are in use: %s", resident(), e.getMessage());
            refused = clock.getAsLong();
            Exhausted exhausted = exhausted(physical);
            if (first) {
                LOG.log(System.Logger.Level.WARNING, exhausted.reason());
            }
            throw exhausted;
        }
    }

    private Exhausted exhausted(long physical) {
        return new Exhausted(String.format(
            "the host has no memory for 0x%x bytes at physical 0x%x, which are touched for the first time (%s). What "
            + "is stored there is refused. Raise -XX:MaxDirectMemorySize, which is -Xmx if it is not given; ./gantry "
            + "takes options from GANTRY_JAVA_OPTS", CHUNK, physical, refusal));
    }

    private boolean concerns(LocalSnoop snoop, int index) {
        return snoop.touches(base + ((long) index << CHUNK_SHIFT), CHUNK);
    }

    private static VarHandle view(Class<?> array) {
        return MethodHandles.byteBufferViewVarHandle(array, ByteOrder.LITTLE_ENDIAN);
    }
}
