// SPDX-License-Identifier: Apache-2.0
/**
 * The choice of how a container's MSIs reach their doorbells: the extension {@link vfio.api.msi.Msis}. A VFIO whose
 * host decides that alone, as Linux does, does not have it.
 *
 * <pre>
 *  container.as(Msis.class).call("MAP_MSI_BANK", 0, 0x10000000);
 * </pre>
 *
 * <p>The strategies themselves are providers of {@link vfio.api.msi.strategy}.
 */
@Export
@Version("1.0.0")
package vfio.api.msi;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
