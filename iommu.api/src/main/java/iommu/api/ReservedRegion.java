// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A range of device addresses that a user must not map.
 *
 * @param start first address
 * @param end last address, inclusive
 * @param kind why
 */
@ProviderType
public record ReservedRegion(long start, long end, Kind kind) {
    /** Why a range is reserved. */
    public enum Kind {
        /** Writes there are interrupt requests and never enter translation (x86: 0xfee00000). */
        MSI,
        /**
         * Must be mapped one to one for the firmware while the device lives (x86: RMRR). A requester with one is not
         * attached for a user, unless the caller of attach knows that the device works without it.
         */
        DIRECT,
        /**
         * Kept by software for the doorbells that MSIs go through where translation is no exception for them (ARM:
         * 0x08000000).
         */
        SOFTWARE_MSI,
        /** Not usable for another reason. */
        RESERVED
    }
}
