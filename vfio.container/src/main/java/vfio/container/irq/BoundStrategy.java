// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import vfio.api.msi.strategy.MsiSession;
import vfio.api.msi.strategy.MsiStrategy;

/** The active strategy of a container: its session, and the session's view of the container. */
record BoundStrategy(MsiStrategy strategy, MsiSession session, MsiWindows windows) {
}
