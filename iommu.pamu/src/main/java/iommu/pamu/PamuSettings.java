// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import java.util.Objects;

/**
 * The settings of the driver.
 *
 * @param violations the reaction to a violation
 */
public record PamuSettings(ViolationPolicy violations) {
    /** Report only. */
    public static final PamuSettings DEFAULT = new PamuSettings(ViolationPolicy.REPORT);

    /** No nulls. */
    public PamuSettings {
        Objects.requireNonNull(violations);
    }
}
