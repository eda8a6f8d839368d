// SPDX-License-Identifier: Apache-2.0
package vfio.container.host;

import vfio.api.msi.strategy.MsiStrategy;

/** An available MSI strategy; of several feasible ones the highest ranking is chosen. */
public record RankedStrategy(MsiStrategy strategy, int ranking) {
}
