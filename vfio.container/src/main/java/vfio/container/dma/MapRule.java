// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.IommuCapabilities;
import iommu.api.IommuType;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.container.host.ContainerLimits;
import vfio.container.state.Ledger;

/**
 * The checks of MAP_DMA before anything is changed, in VFIO's order; {@link vfio.api.Container#map} has the errors. The
 * twin of {@link UnmapRule}.
 *
 * @param flags access, or {@link DmaFlags#MAP_VADDR}
 */
public record MapRule(long iova, DmaBuffer buffer, long offset, long length, int flags) {
    /** Whether a mapping that is there is to get another buffer. */
    public boolean updatesVaddr() {
        return (flags & DmaFlags.MAP_VADDR) != 0;
    }

    /**
     * The request for itself: flags, alignment, wrap.
     *
     * @param type the container's
     */
    public void checkForm(IommuCapabilities capabilities, IommuType type) {
        if (!type.vaddrUpdates() && updatesVaddr()) {
            throw new ErrnoException(Errno.EINVAL, "type %s has no flag VADDR", type.name());
        }
        IovaRanges.check(iova, offset, length, flags, capabilities.smallestPage());
    }

    /** Gives the mapping that is there another buffer. */
    public void updateVaddr(Ledger ledger) {
        Mapping there = there(ledger);
        int access = there == null ? 0 : there.access();
        VaddrUpdates.update(ledger, there, new Mapping(iova, buffer, offset, length, access));
    }

    /**
     * The request beside what is mapped, against what is allowed.
     *
     * @param container its name, for messages
     * @param space where may be mapped
     * @return the mapping it asks for
     */
    public Mapping check(String container, Ledger ledger, ContainerLimits allowed, IovaSpace space) {
        Mapping there = there(ledger);
        if (there != null) {
            throw new ErrnoException(Errno.EEXIST, "iova 0x%x+0x%x overlaps the mapping 0x%x+0x%x; unmap that first",
                iova, length, there.iova(), there.length());
        }
        if (ledger.size() >= allowed.entryLimit()) {
            throw new ErrnoException(Errno.ENOSPC, "container %s holds %d mappings, the most there may be; unmap some",
                container, ledger.size());
        }
        IovaRanges.checkInside(iova, length, space.valid());
        if (allowed.lockedMemoryLimit() != ContainerLimits.UNLIMITED
                && Long.compareUnsigned(length, allowed.lockedMemoryLimit() - ledger.bytes()) > 0) {
            throw new ErrnoException(Errno.ENOMEM,
                "container %s has 0x%x bytes mapped of 0x%x it may have, 0x%x are too many; unmap some or raise "
                + "locked.memory.limit", container, ledger.bytes(), allowed.lockedMemoryLimit(), length);
        }
        IovaRanges.checkMemory(offset, length, buffer);
        return new Mapping(iova, buffer, offset, length, flags);
    }

    private Mapping there(Ledger ledger) {
        return ledger.first(iova, iova + length - 1);
    }
}
