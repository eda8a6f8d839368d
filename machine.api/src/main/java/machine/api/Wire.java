// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * One interrupt specifier of a node, decoded.
 *
 * @param controller path of the interrupt controller's node
 * @param input the controller's number of the input
 * @param level true for level-sensitive, false for edge
 * @param specifier the cells as they stand in the tree, e.g. {@code 24 2 0 0}
 */
@ProviderType
public record Wire(String controller, int input, boolean level, String specifier) {
}
