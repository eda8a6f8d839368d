// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.annotation.versioning.ProviderType;

/**
 * {@link ContainerInfo} as the bytes of {@code struct vfio_iommu_type1_info} and its capability chain, little-endian,
 * laid out as Linux 6.1 does: MIGRATION at 24, DMA_AVAIL right behind its 32 bytes, IOVA_RANGE right behind the 12 of
 * that, at 68. (Later kernels round a capability up to 8 bytes.)
 */
@ProviderType
public final class Type1Info {
    private static final int PGSIZES = 1;
    private static final int CAPS = 2;

    /** Up to and including iova_pgsizes: what a caller must have room for. */
    private static final int MANDATORY = 16;
    /** Up to and including cap_offset. */
    private static final int WITH_OFFSET = 20;
    private static final int HEAD = 24;

    private static final int IOVA_RANGE = 1;
    private static final int MIGRATION = 2;
    private static final int DMA_AVAIL = 3;
    private static final int MIGRATION_SIZE = 32;
    private static final int DMA_AVAIL_SIZE = 12;
    private static final int RANGES_HEAD = 16;
    private static final int RANGE_SIZE = 16;

    private Type1Info() {
    }

    /**
     * {@return what GET_INFO writes into a caller's {@code argsz} bytes}
     *
     * <p>If the capabilities do not fit, that is the first 20 bytes (16 if there is room for no more): argsz is the
     * size that is needed and cap_offset is 0, and the caller asks again. Otherwise it is all, argsz as given.
     *
     * @param argsz bytes the caller provides
     * @throws ErrnoException EINVAL if that is less than 16
     */
    public static byte[] encode(ContainerInfo info, int argsz) {
        if (argsz < MANDATORY) {
            throw new ErrnoException(Errno.EINVAL, "argsz %d; the structure has at least %d bytes", argsz, MANDATORY);
        }
        int total = HEAD + (info.migration().isPresent() ? MIGRATION_SIZE : 0) + DMA_AVAIL_SIZE
            + (info.ranges().isEmpty() ? 0 : RANGES_HEAD + RANGE_SIZE * info.ranges().size());
        boolean fits = argsz >= total;
        ByteBuffer bytes = ByteBuffer.allocate(total).order(ByteOrder.LITTLE_ENDIAN);
        bytes.putInt(fits ? argsz : total).putInt(PGSIZES | CAPS).putLong(info.pageSizes()).putInt(fits ? HEAD : 0)
            .putInt(0);
        if (!fits) {
            return Arrays.copyOf(bytes.array(), argsz < WITH_OFFSET ? MANDATORY : WITH_OFFSET);
        }
        info.migration().ifPresent(migration -> header(bytes, MIGRATION, MIGRATION_SIZE, true)
            .putInt(migration.flags()).putInt(0).putLong(migration.pageSizes())
            .putLong(migration.maxDirtyBitmapSize()));
        header(bytes, DMA_AVAIL, DMA_AVAIL_SIZE, !info.ranges().isEmpty()).putInt(info.mappingsAvailable());
        if (!info.ranges().isEmpty()) {
            header(bytes, IOVA_RANGE, 0, false).putInt(info.ranges().size()).putInt(0);
            info.ranges().forEach(range -> bytes.putLong(range.start()).putLong(range.end()));
        }
        return bytes.array();
    }

    /** A capability's id, version 1, and where the next one begins. */
    private static ByteBuffer header(ByteBuffer bytes, int id, int size, boolean more) {
        int next = more ? bytes.position() + size : 0;
        return bytes.putShort((short) id).putShort((short) 1).putInt(next);
    }
}
