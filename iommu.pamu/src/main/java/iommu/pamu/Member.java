// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import java.util.HashSet;
import java.util.Set;

/** A requester under a domain, or the domain's draft. */
final class Member {
    static final int NONE = -1;

    final PamuDomain domain;
    /** Of a draft: where its primary entry lies, see {@link PamuTables#takeDraft}. */
    final int liodn;
    /** Index of window 1's SPAACT entry; NONE while it has none. Guarded by the domain. */
    int first = NONE;
    /** A violation has cleared V. Guarded by {@link PamuTables#primaries}. */
    boolean tripped;
    /** Paths of the PAMUs it is attached behind; a draft's is empty. Guarded by the domain. */
    final Set<String> units = new HashSet<>();

    Member(PamuDomain domain, int liodn) {
        this.domain = domain;
        this.liodn = liodn;
    }
}
