// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A device's door to memory: everything a device does passes here, its MSIs too. Stop 1 of the road; next
 * {@link TranslationUnit#translate}, then the machine's memory or {@link Mmio#write}.
 *
 * <p>A port is opened by {@link Machine#openPort} and belongs to one device model; several devices may share one
 * requester id and still have a port each. Transfers are cut where PCIe cuts them, at 4 KiB boundaries, and stop at the
 * first piece that is refused: what went before has happened. Each piece is an access of its own, so {@link Bus#sync}
 * waits for one piece at most and not for a whole transfer. May be used by several threads of the device at once;
 * lock-free; allocates only when an access is refused.
 */
@ProviderType
public interface DmaPort extends AutoCloseable {
    /** {@return on whose behalf this port speaks} */
    Requester requester();

    /**
     * Writes one value, little-endian, as one bus request. An MSI is such a write of 4 bytes.
     *
     * @param iova device address, unsigned
     * @param size 1, 2, 4 or 8; the value must be naturally aligned
     * @param value the low {@code size} bytes are written
     * @return {@link Bus#OK} or a {@link Refusal}; {@link Refusal#UNSUPPORTED} if the address is not aligned to the
     *     size
     */
    int write(long iova, int size, long value);

    /**
     * Writes a block to memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused
     */
    int write(long iova, byte[] from, int offset, int length);

    /**
     * Reads a block from memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused; from there on {@code to}
     *     holds all ones, as a device sees a failed completion
     */
    int read(long iova, byte[] to, int offset, int length);

    /**
     * For a device that is reset or taken out, and waits for its own accesses to end: none of them waits at a shut
     * gate. Those that wait there now are woken and refused {@link Refusal#BLOCKED}, and so are those that would wait
     * from now on; messages are kept as ever.
     *
     * @return ends it; idempotent. Until every one that was given has been closed, it holds
     */
    Attachment dismiss();

    /**
     * Blocks the port, waits for what is in flight and forgets the port. Idempotent.
     *
     * @throws ErrnoException ETIMEDOUT, naming the device, if an access does not end within the bus's bound: its place
     *     is free all the same, and nothing passes any more, but {@link Bus#sync} goes on waiting for that access
     */
    @Override
    void close();
}
