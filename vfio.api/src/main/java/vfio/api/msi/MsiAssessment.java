// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A strategy's assessment of an environment.
 *
 * @param feasible whether it would work
 * @param reason why it would not, or what it would do; one sentence
 * @param windows the number of windows it would use
 * @param userOperations the number of operations it would need from the user
 */
@ProviderType
public record MsiAssessment(boolean feasible, String reason, int windows, int userOperations) {
    /** {@return an infeasible assessment with the given reason} */
    public static MsiAssessment refused(String reason) {
        return new MsiAssessment(false, reason, 0, 0);
    }
}
