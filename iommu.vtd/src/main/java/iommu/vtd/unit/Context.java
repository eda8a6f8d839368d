// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

/** A context entry as the walk has found it, or the reason why there is none. Immutable. */
final class Context {
    /** The slot's version before the tables were read. */
    final long version;
    /** 0, or a {@link Reason}. */
    final int fault;
    final boolean faultsSilenced;
    /** TT = 2. */
    final boolean passThrough;
    /** The domain id; null with a fault. */
    final DomainTag domain;
    final long table;
    final int levels;
    /** Bits of a device address: the smaller of MGAW and what the levels cover. */
    final int width;

    Context(long version, boolean faultsSilenced, boolean passThrough, DomainTag domain, long table, int levels,
        int width) {
        this.version = version;
        this.fault = 0;
        this.faultsSilenced = faultsSilenced;
        this.passThrough = passThrough;
        this.domain = domain;
        this.table = table;
        this.levels = levels;
        this.width = width;
    }

    Context(long version, int fault, boolean faultsSilenced) {
        this.version = version;
        this.fault = fault;
        this.faultsSilenced = faultsSilenced;
        this.passThrough = false;
        this.domain = null;
        this.table = 0;
        this.levels = 0;
        this.width = 0;
    }
}
