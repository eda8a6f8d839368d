// SPDX-License-Identifier: Apache-2.0
/**
 * The contract of an MSI strategy, which decides how a device's MSIs reach their doorbell; for who writes one. Programs
 * use {@link vfio.api.msi}.
 *
 * <p>An MSI is a memory write. Behind an IOMMU that translates it, the bank it rings has to be mapped at some device
 * address. The strategy decides who picks that address, who maps it and when, and what the user has to know for that.
 * The host owns the vector (the data), the strategy or user that places the window owns the address; the container
 * composes both.
 *
 * <p>A strategy is a service {@link vfio.api.msi.strategy.MsiStrategy}. For each container that uses it, it binds a
 * {@link vfio.api.msi.strategy.MsiSession}, which works through the
 * {@link vfio.api.msi.strategy.MsiEnvironment} the container gives it. All calls of a session come with the container's
 * lock held, one at a time; the environment must be used only inside them.
 */
@Export
@Version("1.0.0")
package vfio.api.msi.strategy;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
