// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.DomainAttribute;
import iommu.api.IommuCapabilities;
import iommu.api.IommuType;
import iommu.api.ReservedRegion;
import java.util.List;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.ContainerInfo;
import vfio.api.ContainerInfo.Migration;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Mapping;
import vfio.container.dma.DirtyTracking;
import vfio.container.dma.IovaRanges;
import vfio.container.dma.MapRule;
import vfio.container.dma.Translation;
import vfio.container.dma.UnmapRule;
import vfio.container.dma.VaddrUpdates;
import vfio.container.host.Host;
import vfio.container.irq.MsiBinding;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;
import vfio.container.swap.ContainerParts;

/**
 * The memory operations of a container's user: VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA,
 * VFIO_IOMMU_DIRTY_PAGES, and PAMU's attributes. Here, and nowhere below, memory meets messages: the MSI strategy keeps
 * a part of the addresses, and what stood in its way may be gone after a call. The caller holds the container's lock.
 */
final class MemoryCalls {
    private final String name;
    private final Host host;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final Translation translation;
    private final DirtyTracking dirty;
    private final MsiBinding msi;

    MemoryCalls(ContainerParts parts) {
        this.name = parts.name();
        this.host = parts.host();
        this.status = parts.status();
        this.ledger = parts.ledger();
        this.translation = parts.translation();
        this.dirty = parts.dirty();
        this.msi = parts.msi();
    }

    ContainerInfo info() {
        status.requireActive();
        IommuCapabilities capabilities = translation.capabilities();
        // A windowed mapping that is cut becomes two without asking for an entry.
        int available = Math.max(0, host.limits().entryLimit() - ledger.size());
        Optional<Migration> migration = capabilities.types().stream().noneMatch(IommuType::dirtyPages)
            ? Optional.empty()
            : Optional.of(new Migration(0, capabilities.smallestPage(), Migration.MAX_DIRTY_BITMAP_SIZE));
        return new ContainerInfo(capabilities, translation.space().mappable(msi.kept()), available, migration);
    }

    void set(DomainAttribute attribute) {
        status.requireActive();
        translation.set(attribute);
        msi.resolveAgain();
    }

    <A extends DomainAttribute> A get(Class<A> attribute) {
        status.requireActive();
        return translation.domain().get(attribute);
    }

    void map(MapRule wanted) {
        status.requireActive();
        wanted.checkForm(translation.capabilities(), translation.rules());
        if (wanted.updatesVaddr()) {
            wanted.updateVaddr(ledger);
            return;
        }
        Mapping mapping = wanted.check(name, ledger, host.limits(), translation.space());
        msi.announce(mapping.iova(), mapping.length());
        translation.map(mapping);
    }

    long unmap(long iova, long length, int flags, DirtyBitmap bitmap) {
        status.requireActive();
        long page = translation.capabilities().smallestPage();
        UnmapRule.checkFlags(flags, translation.rules());
        boolean all = (flags & DmaFlags.UNMAP_ALL) != 0;
        if (all) {
            UnmapRule.checkAll(iova, length);
        } else {
            IovaRanges.checkRange(iova, length, page);
        }
        boolean reports = (flags & DmaFlags.UNMAP_GET_DIRTY_BITMAP) != 0;
        DirtyTracking.Report report = reports ? dirty.report(iova, length, bitmap, page) : null;
        List<UnmapRule.Piece> pieces = all ? UnmapRule.all(ledger)
            : translation.unmapRule().pieces(ledger, iova, length);
        if ((flags & DmaFlags.UNMAP_VADDR) != 0) {
            VaddrUpdates.invalidate(ledger, pieces);
        } else {
            if (report == null) {
                translation.unmap(pieces);
            } else {
                report.writeBefore(pieces, () -> translation.unmap(pieces));
            }
            msi.resolveAgain();
        }
        return pieces.stream().mapToLong(UnmapRule.Piece::length).sum();
    }

    void dirtyPages(int flags, long iova, long length, DirtyBitmap bitmap) {
        status.requireActive();
        IommuCapabilities capabilities = translation.capabilities();
        String type = status.type();
        if (!translation.rules().dirtyPages()) {
            throw capabilities.types().stream().filter(IommuType::dirtyPages).findFirst()
                .map(other -> new ErrnoException(Errno.EACCES, "type %s does not track dirty pages; set %s instead",
                    type, other.name()))
                .orElseGet(() -> new ErrnoException(Errno.ENOTTY, "type %s does not track dirty pages", type));
        }
        dirty.operate(flags, iova, length, bitmap, ledger, capabilities.smallestPage());
    }

    List<ReservedRegion> reserved() {
        return translation.provider() == null ? List.of() : translation.space().reserved(msi.kept());
    }
}
