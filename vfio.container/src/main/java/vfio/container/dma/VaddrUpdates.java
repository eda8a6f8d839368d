// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.util.List;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Mapping;
import vfio.container.state.Ledger;

/**
 * MAP_DMA and UNMAP_DMA with the flag VADDR: mappings outlive the program that made them, and its successor takes them
 * over. Only the ledger changes, the IOMMU does not. The caller holds the container's lock.
 */
public final class VaddrUpdates {
    private VaddrUpdates() {
    }

    /** Makes the vaddr of all of them invalid, or of none. */
    public static void invalidate(Ledger ledger, List<UnmapRule.Piece> pieces) {
        for (UnmapRule.Piece piece : pieces) {
            if (!piece.mapping().vaddrValid()) {
                throw new ErrnoException(Errno.EINVAL, "the vaddr of the mapping 0x%x..0x%x is invalid already",
                    piece.iova(), piece.mapping().end());
            }
        }
        for (UnmapRule.Piece piece : pieces) {
            Mapping mapping = piece.mapping();
            ledger.replace(mapping, new Mapping(mapping.iova(), mapping.buffer(), mapping.offset(), mapping.length(),
                mapping.access(), false));
        }
    }

    /**
     * Replaces a mapping whose vaddr is invalid.
     *
     * @param there the first mapping in the wanted one's range, or null
     */
    public static void update(Ledger ledger, Mapping there, Mapping wanted) {
        if (there == null) {
            throw new ErrnoException(Errno.ENOENT, "no mapping at iova 0x%x..0x%x whose vaddr could be updated",
                wanted.iova(), wanted.end());
        }
        if (there.vaddrValid() || there.iova() != wanted.iova() || there.length() != wanted.length()) {
            throw new ErrnoException(Errno.EINVAL, "the mapping 0x%x..0x%x has %s vaddr; to update 0x%x..0x%x it must "
                + "be exactly that and its vaddr invalid", there.iova(), there.end(),
                there.vaddrValid() ? "a valid" : "an invalid", wanted.iova(), wanted.end());
        }
        IovaRanges.checkMemory(wanted.offset(), wanted.length(), wanted.buffer());
        checkSame(there, wanted);
        wanted.buffer().retain();
        ledger.replace(there, wanted);
        there.buffer().release();
    }

    private static void checkSame(Mapping there, Mapping wanted) {
        for (long at = 0; at < wanted.length(); ) {
            DmaBuffer.Extent old = there.buffer().at(there.offset() + at);
            DmaBuffer.Extent now = wanted.buffer().at(wanted.offset() + at);
            if (now.physical() != old.physical()) {
                throw new ErrnoException(Errno.EINVAL, "iova 0x%x leads to physical 0x%x, but the buffer has 0x%x "
                    + "there; give the same memory, or unmap and "
                    + "map", wanted.iova() + at, old.physical(), now.physical());
            }
            at += Math.min(old.length(), now.length());
        }
    }
}
