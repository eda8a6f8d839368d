// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/** The choice of the bank of a container's next MSI vector, among the banks its strategy can reach. */
@ProviderType
public enum VectorPolicy {
    /** The first bank with a free vector, as Linux does: few banks, shared between containers. */
    FIRST_FIT,
    /**
     * One bank per container that no other container uses or has placed, so that no container can ring another's
     * vectors; ENOSPC when no bank is left. Where doorbells verify their source, banks are shared all the same.
     */
    ISOLATED,
    /** A bank this container uses already, so that as few windows as possible are used. */
    PACKED,
    /** Each vector from the next bank in turn: the most vectors can be pending at once. */
    SPREAD
}
