// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.annotation.versioning.ProviderType;

/**
 * An object of VFIO that may have operations beyond Linux's. What it has never changes. Its {@code toString} names it
 * for messages.
 *
 * @param <T> what it is
 */
@ProviderType
public interface Extensible<T> {
    /**
     * {@return the operations of that extension; empty if this VFIO does not have them}
     *
     * @param extension its type
     */
    <E extends Extension<T>> Optional<E> extension(Class<E> extension);

    /**
     * {@return the operations of that extension, for who cannot do without}
     *
     * @param extension its type
     * @throws ErrnoException ENOTTY if this VFIO does not have them
     */
    default <E extends Extension<T>> E as(Class<E> extension) {
        return extension(extension).orElseThrow(() -> new ErrnoException(Errno.ENOTTY,
            "%s has no %s; go without, or use a VFIO that has them", this, extension.getName()));
    }
}
