// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi.strategy;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.List;
import org.osgi.annotation.versioning.ProviderType;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;

/** A strategy's view of one container, and the two operations it can perform on it. */
@ProviderType
public interface MsiEnvironment {
    /**
     * One bank as the strategy sees it.
     *
     * @param index its index
     * @param length bytes that are mapped to reach it, a power of two: its page, or the IOMMU's smallest page if that
     *     is larger
     * @param vectorsInUse how many vectors of it this container uses now
     */
    record Bank(int index, long length, int vectorsInUse) {
    }

    /** {@return what the IOMMU can do} */
    IommuCapabilities capabilities();

    /** {@return the aperture; of size 0 if it is not set or the IOMMU is paged} */
    Geometry geometry();

    /** {@return number of windows; 0 if not set or the IOMMU is paged} */
    int windows();

    /**
     * {@return the banks vectors of this container may come from, and those it uses; empty without an interrupt
     * controller}
     */
    List<Bank> banks();

    /**
     * {@return the memory the user has mapped, by ascending iova: a view that costs nothing to get and much to index;
     * iterate}
     */
    List<Mapping> mappings();

    /**
     * {@return the ranges where no strategy can map or place anything: the hardware's and those of the devices in the
     * container's groups, by ascending start}
     */
    List<ReservedRegion> reserved();

    /** {@return the banks that are placed now, by ascending iova} */
    List<MsiPlacement> placements();

    /**
     * Makes a bank reachable, write-only, at device addresses: as many bytes as {@link Bank} says.
     *
     * @param iova the first, a multiple of the IOMMU's smallest page
     * @throws machine.api.ErrnoException EINVAL for an address the IOMMU cannot map or that is reserved; EEXIST if
     *     something is mapped there; ENODEV if there is no such bank; EBUSY if isolation keeps the bank for another
     *     container; EPERM if that would make more reachable than the bank's page, and it is not allowed; EAGAIN while
     *     the IOMMU is away
     */
    void place(int bank, long iova);

    /**
     * Makes a bank's page reachable at another address instead, and gives the devices that use it their new messages.
     * Both addresses work until no message to the old one is on its way any more: none is lost.
     *
     * @throws machine.api.ErrnoException ENOENT if the bank is not placed; as {@link #place}; nothing is moved then
     */
    void move(int bank, long iova);

    /**
     * Takes a bank's page away again.
     *
     * @throws machine.api.ErrnoException ENOENT if no bank is placed there
     */
    void remove(long iova);
}
