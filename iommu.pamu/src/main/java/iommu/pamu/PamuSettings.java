// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import java.util.Objects;

/**
 * How the driver is to behave.
 *
 * @param violations what to do with an offender
 */
public record PamuSettings(ViolationPolicy violations) {
    /** Report only. */
    public static final PamuSettings DEFAULT = new PamuSettings(ViolationPolicy.REPORT);

    /** No nulls. */
    public PamuSettings {
        Objects.requireNonNull(violations);
    }
}
