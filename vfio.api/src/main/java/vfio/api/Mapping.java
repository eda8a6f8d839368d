// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import machine.api.DmaBuffer;

/**
 * One entry of a container's ledger.
 *
 * @param iova first device address
 * @param buffer the memory
 * @param offset into the buffer
 * @param length bytes
 * @param access {@link machine.api.Access} bits
 */
public record Mapping(long iova, DmaBuffer buffer, long offset, long length, int access) {
    /** {@return last device address, inclusive} */
    public long end() {
        return iova + length - 1;
    }
}
