// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import iommu.api.Geometry;
import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import irq.api.MsiBank;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.container.dma.IovaRanges;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.Host;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;

/** A strategy session's view of its container, and the windows it places. Guarded by the container's lock. */
final class MsiWindows implements MsiEnvironment {
    /**
     * The parts of a container that its sessions reach.
     *
     * @param name the container's, for messages
     */
    record Parts(String name, Host host, ContainerStatus status, Ledger ledger, Translation translation, MsiBanks banks,
            MsiRoutes routes, Traffic traffic) {
    }

    private final Parts here;
    private final Translation translation;
    private final Ledger ledger;
    /** During a move: what is placed is only written down, and opened when every device has its new message. */
    private boolean staged;
    /** Another session has taken over, or the strategy has left: what it has placed is not its own any more. */
    private boolean retired;

    MsiWindows(Parts here) {
        this.here = here;
        this.translation = here.translation();
        this.ledger = here.ledger();
    }

    void staged(boolean next) {
        staged = next;
    }

    void retire(boolean next) {
        retired = next;
    }

    boolean retired() {
        return retired;
    }

    @Override
    public IommuCapabilities capabilities() {
        return translation.capabilities();
    }

    @Override
    public Geometry geometry() {
        return translation.ask(Geometry.class, new Geometry(0, 0));
    }

    @Override
    public int windows() {
        return geometry().size() > 0 ? translation.ask(Windows.class, new Windows(0)).count() : 0;
    }

    @Override
    public List<Bank> banks() {
        return here.routes().banks();
    }

    @Override
    public List<Mapping> mappings() {
        return ledger.view();
    }

    @Override
    public List<ReservedRegion> reserved() {
        return translation.reserved();
    }

    @Override
    public List<MsiPlacement> placements() {
        return retired ? List.of() : ledger.placements();
    }

    @Override
    public void place(int index, long iova) {
        here.status().requireActive();
        if (retired) {
            throw new ErrnoException(Errno.EINVAL, "another MSI strategy has taken over in container %s", here.name());
        }
        MsiBank bank = here.banks().bank(index);
        long length = MsiBanks.reach(bank, capabilities());
        here.banks().requireAlone(bank, capabilities(), here.name());
        IovaRanges.checkRange(iova, length, capabilities().smallestPage());
        Mapping there = ledger.first(iova, iova + length - 1);
        if (there != null) {
            throw new ErrnoException(Errno.EEXIST, "iova 0x%x of MSI bank %d is inside the mapping 0x%x+0x%x; unmap "
                + "it first", iova, index, there.iova(), there.length());
        }
        IovaRanges.checkInside(iova, length, translation.space().valid());
        VectorChoice choice = here.routes().choice();
        try {
            choice.reserve(index);
            MsiPlacement placement = new MsiPlacement(index, iova, length);
            if (staged) {
                ledger.place(placement);
            } else {
                translation.place(placement);
            }
        } finally {
            choice.settle();
        }
    }

    @Override
    public void move(int index, long iova) {
        MsiPlacement old = ledger.placements().stream().filter(one -> one.bank() == index).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "MSI bank %d is not placed", index));
        place(index, iova);
        // While an address is programmed in halves a message may go to neither window: it is kept.
        here.traffic().shut();
        List<MsiRoutes.Address> before = here.routes().addresses();
        try {
            // The old one may have been placed for an IOMMU with other pages.
            long length = MsiBanks.reach(here.banks().bank(index), capabilities());
            here.routes().shift(index, iova + here.banks().offset(index, length) - old.iova()
                - here.banks().offset(index, old.length()));
        } catch (RuntimeException e) {
            Cleanup steps = new Cleanup();
            steps.take(() -> {
                throw e;
            });
            steps.take(() -> here.routes().moveBack(before));
            steps.take(() -> remove(iova));
            steps.take(here.traffic()::resume);
            steps.end();
        }
        remove(old.iova());
        here.traffic().resume();
    }

    @Override
    public void remove(long iova) {
        if (retired) {
            return;
        }
        translation.displace(ledger.placements().stream().filter(one -> one.iova() == iova).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "no MSI bank is placed at iova 0x%x", iova)));
        here.host().bankFree();
    }
}
