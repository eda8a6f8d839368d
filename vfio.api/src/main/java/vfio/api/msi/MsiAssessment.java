// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * What a strategy says of an environment.
 *
 * @param feasible whether it would work
 * @param reason why not, or what it would do; one sentence
 * @param windows how many windows it would spend
 * @param userOperations how many operations the user would have to do for it
 */
@ProviderType
public record MsiAssessment(boolean feasible, String reason, int windows, int userOperations) {
    /** {@return not feasible, because} */
    public static MsiAssessment refused(String reason) {
        return new MsiAssessment(false, reason, 0, 0);
    }
}
