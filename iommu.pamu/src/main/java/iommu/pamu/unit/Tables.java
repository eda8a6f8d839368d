// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import iommu.pamu.table.Paace;
import iommu.pamu.table.Registers;
import java.util.List;
import machine.api.Bus;
import machine.api.Node;
import machine.api.Snoop;

/**
 * The registers' values that the lookup needs, ready to use, and the cached entries of the tables they point at;
 * replaced as a whole when a register is written, so nothing cached outlives its registers.
 *
 * <p>What is cached is read and written by any thread without further ado: it is immutable but for its stamp, and the
 * stamp decides whether it counts.
 */
final class Tables {
    /** Requesters whose windows are cached: as many as a LIODN has values. */
    private static final int MOST_REQUESTERS = 1 << 16;
    private static final int CACHED =
        Registers.PC_ENABLE | Registers.PC_OMT_CACHE | Registers.PC_SECONDARY_CACHE | Registers.PC_PRIMARY_CACHE;

    /** PC. */
    final int control;
    /** PPBA. */
    final long primary;
    /** PPLA - PPBA, 0 if the limit is not above the base. */
    final long primaryBytes;
    /** SPBA. */
    final long secondary;
    /** Likewise. */
    final long secondaryBytes;
    /** OBA. */
    final long operations;
    /** Likewise. */
    final long operationBytes;
    /** The snoop on stores into the tables. */
    final Snoop snoop;
    /** By LIODN. */
    final Aperture[] apertures;

    private Tables(int control, long[] bounds, Snoop snoop) {
        this.control = control;
        this.primary = bounds[0];
        this.primaryBytes = bytes(bounds[0], bounds[1]);
        this.secondary = bounds[2];
        this.secondaryBytes = bytes(bounds[2], bounds[3]);
        this.operations = bounds[4];
        this.operationBytes = bytes(bounds[4], bounds[5]);
        this.snoop = snoop;
        int requesters = snoop == Snoop.NEVER ? 0 : (int) Math.min(MOST_REQUESTERS, primaryBytes / Paace.BYTES);
        apertures = new Aperture[requesters];
    }

    /** Nothing is there, nothing is enabled. */
    static Tables reset() {
        return new Tables(0, new long[6], Snoop.NEVER);
    }

    /**
     * PC: nothing is cached unless OCE, SPCC and PPCC are all set, because a cached window holds of all three tables.
     *
     * @param bounds PPBA, PPLA, SPBA, SPLA, OBA, OLA
     * @return its snoop is to be closed when it is replaced
     */
    static Tables of(Bus bus, int control, long... bounds) {
        boolean caches = (control & (Registers.PC_GATE_CLOSED | CACHED)) == CACHED;
        return new Tables(control, bounds,
            !caches ? Snoop.NEVER
                : bus.snoop(List.of(range(bounds[0], bounds[1]), range(bounds[2], bounds[3]),
            range(bounds[4], bounds[5]))));
    }

    private static Node.Range range(long base, long limit) {
        return new Node.Range(base, bytes(base, limit));
    }

    private static long bytes(long base, long limit) {
        return Long.compareUnsigned(limit, base) > 0 ? limit - base : 0;
    }
}
