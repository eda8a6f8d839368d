// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import org.osgi.annotation.versioning.ProviderType;

/**
 * The resolver's view of one strategy for one container.
 *
 * @param name its name
 * @param ranking its service ranking: the higher, the earlier it is considered
 * @param assessment whether it would work, the reason, and its cost
 * @param chosen whether it is the active one
 * @param preferred whether the user has selected it by name: then no other is considered
 */
@ProviderType
public record MsiChoice(String name, int ranking, MsiAssessment assessment, boolean chosen, boolean preferred) {
}
