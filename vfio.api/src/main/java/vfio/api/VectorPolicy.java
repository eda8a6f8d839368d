// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/** From which bank a container's next MSI vector comes, among the banks its strategy can reach. */
@ProviderType
public enum VectorPolicy {
    /** The first bank with a free vector, as Linux does: few banks, shared between containers. */
    FIRST_FIT,
    /**
     * One bank per container that no other container uses or has placed, so that none can ring another's vectors; ENOSPC when
     * none is left. Where doorbells verify their source, banks are shared all the same.
     */
    ISOLATED,
    /** A bank this container uses already, so that as few windows as possible are spent. */
    PACKED,
    /** Each vector from the next bank in turn: the most vectors can be pending at once. */
    SPREAD
}
