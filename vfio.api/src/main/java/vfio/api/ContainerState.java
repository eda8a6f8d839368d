// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/** The state of a container's translations. Where no backend is ever swapped there is no state of a swap. */
@ProviderType
public enum ContainerState {
    /** No IOMMU is set: devices are refused. */
    UNSET,
    /** Working. */
    ACTIVE,
    /** A swap has begun: new accesses are stalled or refused, those in flight leave. */
    QUIESCING,
    /** Nothing passes: the IOMMU's provider is gone or could not take over. The ledger is whole. */
    BLOCKED,
    /** A provider is being given the ledger; nothing passes yet. */
    RESTORING,
    /** Closed. */
    CLOSED
}
