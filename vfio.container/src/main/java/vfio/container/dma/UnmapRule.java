// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.IommuType;
import java.util.ArrayList;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.container.state.Ledger;

/**
 * The mappings that an UNMAP_DMA of a range removes: they depend on the IOMMU type and on the version of VFIO's rules
 * for it.
 */
public sealed interface UnmapRule {
    /** A part of one mapping that goes. */
    public record Piece(Mapping mapping, long iova, long length) {
    }

    /**
     * @return what goes, by ascending iova; empty if nothing is mapped there
     * @throws ErrnoException EINVAL if the range cuts a mapping where the rule does not allow it
     */
    public List<Piece> pieces(Ledger ledger, long iova, long length);

    /** The mappings that UNMAP_ALL removes: all. */
    public static List<Piece> all(Ledger ledger) {
        return ledger.view().stream().map(mapping -> new Piece(mapping, mapping.iova(), mapping.length())).toList();
    }

    /** @throws ErrnoException EINVAL for flags that do not exist, for this type, or do not go together */
    public static void checkFlags(int flags, IommuType type) {
        // A type that has none of them has no dirty bitmap either; type1's first version knows the flag, and says that
        // nothing is tracked.
        int known = (type.unmapAll() ? DmaFlags.UNMAP_ALL : 0) | (type.vaddrUpdates() ? DmaFlags.UNMAP_VADDR : 0)
            | (type.dirtyPages() || type.unmapAll() ? DmaFlags.UNMAP_GET_DIRTY_BITMAP : 0);
        if ((flags & ~known) != 0) {
            throw new ErrnoException(Errno.EINVAL, "flags 0x%x: an unmap of type %s has 0x%x", flags, type.name(),
                known);
        }
        if ((flags & DmaFlags.UNMAP_GET_DIRTY_BITMAP) != 0 && flags != DmaFlags.UNMAP_GET_DIRTY_BITMAP) {
            throw new ErrnoException(Errno.EINVAL, "flags 0x%x: GET_DIRTY_BITMAP goes with no other flag", flags);
        }
    }

    /** @throws ErrnoException EINVAL for an UNMAP_ALL with a range */
    static void checkAll(long iova, long length) {
        if (iova != 0 || length != 0) {
            throw new ErrnoException(Errno.EINVAL, "iova 0x%x, length 0x%x: to unmap ALL both must be 0", iova, length);
        }
    }

    /** type1 v2: whole mappings only. */
    public record Whole() implements UnmapRule {
        @Override
        public List<Piece> pieces(Ledger ledger, long iova, long length) {
            long end = iova + length - 1;
            List<Piece> pieces = new ArrayList<>();
            for (Mapping mapping : ledger.touching(iova, end)) {
                if (Long.compareUnsigned(mapping.iova(), iova) < 0 || Long.compareUnsigned(mapping.end(), end) > 0) {
                    throw cuts(iova, end, mapping, "unmap it as it was mapped");
                }
                pieces.add(new Piece(mapping, mapping.iova(), mapping.length()));
            }
            return pieces;
        }
    }

    /**
     * type1 v1: a mapping goes as a whole when its first address is in the range; a start inside a mapping unmaps
     * nothing.
     */
    public record FirstAddress() implements UnmapRule {
        @Override
        public List<Piece> pieces(Ledger ledger, long iova, long length) {
            Mapping first = ledger.at(iova);
            if (first != null && first.iova() != iova) {
                return List.of();
            }
            return ledger.touching(iova, iova + length - 1).stream()
                .map(mapping -> new Piece(mapping, mapping.iova(), mapping.length())).toList();
        }
    }

    /** Windowed: window by window; a mapping of several windows may be cut between them. */
    public record ByWindow(long start, long window) implements UnmapRule {
        @Override
        public List<Piece> pieces(Ledger ledger, long iova, long length) {
            long end = iova + length - 1;
            List<Piece> pieces = new ArrayList<>();
            for (Mapping mapping : ledger.touching(iova, end)) {
                long from = Long.compareUnsigned(iova, mapping.iova()) > 0 ? iova : mapping.iova();
                long to = Long.compareUnsigned(end, mapping.end()) < 0 ? end : mapping.end();
                if (from != mapping.iova() && inside(from) || to != mapping.end() && inside(to + 1)) {
                    throw cuts(iova, end, mapping, String.format("cut between windows of 0x%x bytes", window));
                }
                pieces.add(new Piece(mapping, from, to - from + 1));
            }
            return pieces;
        }

        private boolean inside(long iova) {
            return Long.remainderUnsigned(iova - start, window) != 0;
        }
    }

    private static ErrnoException cuts(long iova, long end, Mapping mapping, String advice) {
        return new ErrnoException(Errno.EINVAL, "unmapping 0x%x..0x%x would cut the mapping 0x%x..0x%x; %s", iova, end,
            mapping.iova(), mapping.end(), advice);
    }
}
