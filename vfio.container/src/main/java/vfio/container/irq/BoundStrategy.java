// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import vfio.api.msi.MsiSession;
import vfio.api.msi.MsiStrategy;

/** A strategy at work in a container: its session, and what that sees of the container. */
record BoundStrategy(MsiStrategy strategy, MsiSession session, MsiWindows windows) {
}
