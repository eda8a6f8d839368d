// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import vfio.api.msi.MsiStrategy;

/** An MSI strategy that is there; of several that work the highest ranking is chosen. */
public record RankedStrategy(MsiStrategy strategy, int ranking) {
}
