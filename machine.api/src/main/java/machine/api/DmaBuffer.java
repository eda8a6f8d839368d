// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import org.osgi.annotation.versioning.ProviderType;

/**
 * Physical memory a program owns and lets devices reach: a run of bytes made of physical extents. From
 * {@link DmaMemory}.
 *
 * <p>Counted: the allocator's caller holds it once, and each mapping for a device holds it once more, so memory never
 * goes back to the pool while a device can still reach it. Thread-safe; contents are as ordered as {@link Bus} makes
 * them.
 */
@ProviderType
public interface DmaBuffer extends AutoCloseable {
    /** Physically contiguous bytes. */
    record Extent(long physical, long length) {
    }

    /** {@return bytes} */
    long size();

    /** {@return the extents in buffer order} */
    List<Extent> extents();

    /**
     * @return the contiguous piece of memory that starts at that offset and runs to the end of its extent
     * @throws IllegalArgumentException if the offset is not inside the buffer
     */
    Extent at(long offset);

    /** {@return the physical address of the byte at that offset} */
    default long physical(long offset) {
        return at(offset).physical();
    }

    /**
     * Writes as a core does.
     *
     * @throws IllegalArgumentException if not all of it is inside the buffer
     * @throws ErrnoException EIO if no memory answers there
     */
    void write(long offset, byte[] from, int start, int length);

    /**
     * Reads as a core does.
     *
     * @throws IllegalArgumentException if not all of it is inside the buffer
     * @throws ErrnoException EIO if no memory answers there
     */
    void read(long offset, byte[] to, int start, int length);

    /**
     * Takes one more hold of the memory; {@link #release} gives it up.
     *
     * @throws ErrnoException EFAULT if the memory has gone back already
     */
    void retain();

    /** Gives up a hold taken with {@link #retain}. The last one returns the memory to the pool. */
    void release();

    /** Gives up the allocator's hold. Idempotent. */
    @Override
    void close();
}
