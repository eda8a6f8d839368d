// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;
import vfio.api.msi.MsiAssessment;

/**
 * One strategy as the resolver sees it for one container.
 *
 * @param name its name
 * @param ranking its service ranking: the higher, the earlier it is considered
 * @param assessment whether it would work, why or why not, and what it would cost
 * @param chosen whether it is the active one
 * @param preferred whether the user has asked for it by name: then no other is considered
 */
@ProviderType
public record MsiChoice(String name, int ranking, MsiAssessment assessment, boolean chosen, boolean preferred) {
}
