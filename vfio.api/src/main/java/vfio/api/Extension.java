// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * Operations beyond those of Linux's VFIO, which only some VFIOs have; asked for by type, see {@link Extensible}. There
 * are {@link vfio.api.msi.Msis}, {@link vfio.api.swap.Backends} and {@link vfio.api.swap.Swaps}.
 *
 * @param <T> whose operations they are: {@link Container}'s or {@link Vfio}'s
 */
@ProviderType
public interface Extension<T> {
}
