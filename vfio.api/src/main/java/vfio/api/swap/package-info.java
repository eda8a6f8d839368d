// SPDX-License-Identifier: Apache-2.0
/**
 * The swap of a container's backends while its devices work. Two extensions: {@link vfio.api.swap.Backends}, a
 * container's, and {@link vfio.api.swap.Swaps}, the reports of all containers. A VFIO whose IOMMU nobody can replace
 * has neither.
 *
 * <pre>
 *  Swap report = container.as(Backends.class).swap("type1v2");
 * </pre>
 *
 * <p>A service {@link vfio.api.swap.SwapListener} is told of each swap.
 */
@Export
@Version("1.0.0")
package vfio.api.swap;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
