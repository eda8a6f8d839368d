// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.nio.ByteBuffer;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The memory for a report of dirty pages: VFIO's {@code struct vfio_bitmap}.
 *
 * <p>Bit {@code (iova - start) / pageSize} says whether that page is dirty. The bits lie in 64-bit words, the lowest
 * first, each word little-endian: bit n is bit {@code n % 8} of byte {@code n / 8}. A report writes all words that
 * cover its range: bits of holes and behind the end become 0. Bytes behind those words stay as they are.
 *
 * @param pageSize bytes a bit stands for; must be the container's smallest page
 * @param bits from its position to its limit the memory to write, as large as {@link #bytes} says or larger, at most
 *     {@link ContainerInfo.Migration#maxDirtyBitmapSize}; position, limit and byte order do not matter and stay
 */
@ProviderType
public record DirtyBitmap(long pageSize, ByteBuffer bits) {
    private static final int WORD = 64;

    /** Does not copy: the caller reads the report there. */
    public DirtyBitmap {
        Objects.requireNonNull(bits);
    }

    /** {@return how many bytes a report of that many pages takes} */
    public static long bytes(long pages) {
        return (pages / WORD + (pages % WORD == 0 ? 0 : 1)) * Long.BYTES;
    }

    /**
     * {@return whether that page is dirty}
     *
     * @param page number of the page in the reported range, from 0
     * @throws IndexOutOfBoundsException if the bitmap is not that large
     */
    public boolean dirty(long page) {
        long index = bits.position() + page / Byte.SIZE;
        if (page < 0 || index >= bits.limit()) {
            throw new IndexOutOfBoundsException("page " + page + " of a bitmap of " + bits.remaining() + " bytes");
        }
        return (bits.get((int) index) >> page % Byte.SIZE & 1) != 0;
    }
}
