// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.util.List;
import machine.api.Access;
import vfio.api.Mapping;
import vfio.container.state.Ledger;

/**
 * Takes pieces of mappings out of a domain's tables and out of the ledger, all or none. A piece that a provider has not
 * removed, or may not have, is put back; where that fails, too, the domain is in doubt, and rebuilt from the ledger.
 * Guarded by the container's lock.
 */
final class PieceRemoval {
    private final GuardedDomain domain;
    private final Ledger ledger;

    PieceRemoval(GuardedDomain domain, Ledger ledger) {
        this.domain = domain;
        this.ledger = ledger;
    }

    void remove(List<UnmapRule.Piece> pieces) {
        int done = 0;
        try {
            for (; done < pieces.size(); done++) {
                domain.unmap(pieces.get(done).iova(), pieces.get(done).length());
            }
        } catch (RuntimeException | Error e) {
            // Tables that are in doubt are made anew, with all the pieces.
            if (domain.doubt() == null) {
                pieces.subList(0, done).forEach(piece -> putBack(piece, e));
                putBackUnlessThere(pieces.get(done), e);
            }
            throw e;
        }
        domain.noted(() -> pieces.forEach(piece -> ledger.cut(piece.mapping(), piece.iova(), piece.length())));
    }

    /** Maps again what an unmap that failed later had taken away. */
    private void putBack(UnmapRule.Piece piece, Throwable why) {
        Mapping mapping = piece.mapping();
        try {
            domain.map(piece.iova(), mapping.buffer(), mapping.offset() + piece.iova() - mapping.iova(), piece.length(),
                mapping.access());
        } catch (RuntimeException | Error again) {
            why.addSuppressed(again);
            domain.doubt(String.format("iova 0x%x+0x%x could not be put back: %s", piece.iova(), piece.length(),
                again));
        }
    }

    /**
     * An unmap that has thrown may have taken the piece away all the same: what is still in flight there has not ended,
     * or the hardware has not confirmed. Its memory is held, so it stays in the ledger, and is mapped again for the
     * next unmap to find.
     */
    private void putBackUnlessThere(UnmapRule.Piece piece, Throwable why) {
        int access = (piece.mapping().access() & Access.READ) != 0 ? Access.READ : Access.WRITE;
        try {
            if (domain.lookup(piece.iova(), access) >= 0) {
                return;
            }
        } catch (RuntimeException again) {
            why.addSuppressed(again);
            domain.doubt(String.format("iova 0x%x+0x%x could not be read back: %s", piece.iova(), piece.length(),
                again));
            return;
        }
        putBack(piece, why);
    }
}
