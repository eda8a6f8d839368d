// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import machine.api.DmaBuffer;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One entry of a container's ledger.
 *
 * @param iova first device address
 * @param buffer the memory
 * @param offset into the buffer
 * @param length bytes
 * @param access {@link machine.api.Access} bits
 * @param vaddrValid false from {@link DmaFlags#UNMAP_VADDR} until {@link DmaFlags#MAP_VADDR} gives another buffer:
 *     devices reach the memory, but the buffer is no longer a way to it
 */
@ProviderType
public record Mapping(long iova, DmaBuffer buffer, long offset, long length, int access, boolean vaddrValid) {
    /** A mapping whose vaddr is valid, as every new one's is. */
    public Mapping(long iova, DmaBuffer buffer, long offset, long length, int access) {
        this(iova, buffer, offset, length, access, true);
    }

    /** {@return last device address, inclusive} */
    public long end() {
        return iova + length - 1;
    }
}
