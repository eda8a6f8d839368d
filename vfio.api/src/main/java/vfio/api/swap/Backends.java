// SPDX-License-Identifier: Apache-2.0
package vfio.api.swap;

import java.time.Duration;
import org.osgi.annotation.versioning.ProviderType;
import vfio.api.Container;
import vfio.api.Extension;

/** The backends of a container, which can be swapped while it lives. */
@ProviderType
public interface Backends extends Extension<Container> {
    /**
     * Sets how long devices may wait while a backend is swapped: their accesses are held back until the newcomer has
     * taken over, or until so much time has passed since the swap began; from then on they are refused, as is
     * everything at once with a bound of zero. MSIs do not wait, they are kept. The default is the host's, one second.
     * Takes effect with the next swap.
     *
     * @param bound not negative
     * @throws IllegalArgumentException if it is negative, or more than an hour
     */
    void stallBound(Duration bound);

    /** {@return how long devices may wait, zero if they are refused at once} */
    Duration stallBound();

    /**
     * Moves the container to another provider of its IOMMU type or to another type, with all it holds. DMA is held back
     * meanwhile, see {@link #stallBound}; operations of other threads wait. Of several providers of the type that serve
     * its devices, the best ranked takes over that is not the present one; if there is only the present one, it builds
     * everything anew.
     *
     * <p>What can be seen beforehand not to fit is refused before anything is touched; if the newcomer fails later, the
     * present provider gets everything back, and only if that fails, too, the container is
     * {@link vfio.api.ContainerState#BLOCKED} until {@link #retry}. A move to a type that does not track dirty pages
     * ends the tracking.
     *
     * @param type as {@link Container#setIommu}
     * @return the report
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set, or naming the first attribute or mapping that does
     *     not fit the type and what would have to change; ENODEV if no provider has that type; EPERM as
     *     {@link Container#setIommu}; EAGAIN while the IOMMU is away; what the newcomer throws, ETIMEDOUT if it hangs
     */
    Swap swap(String type);

    /**
     * Tries once more to restore a blocked container, and to route what waits for a vector, on the backends that are
     * there now.
     *
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set; ENODEV if there is no provider of its type;
     *     otherwise what was in the way
     */
    void retry();
}
