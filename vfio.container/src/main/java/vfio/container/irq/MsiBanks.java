// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import irq.api.InterruptController;
import irq.api.MsiBank;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.container.dma.Doorbells;
import vfio.container.host.Host;

/** The MSI banks of the present interrupt controller. Any thread. */
public final class MsiBanks implements Doorbells {
    private final Host host;

    public MsiBanks(Host host) {
        this.host = host;
    }

    @Override
    public boolean present() {
        return host.controller() != null;
    }

    @Override
    public long page(int bank) {
        return bank(bank).page();
    }

    /** @throws ErrnoException ENODEV if there is no such bank */
    MsiBank bank(int index) {
        InterruptController controller = host.controller();
        if (controller == null || index < 0 || index >= controller.doorbells().banks().size()) {
            throw new ErrnoException(Errno.ENODEV, "the interrupt controller has no MSI bank %d", index);
        }
        return controller.doorbells().banks().get(index);
    }

    /**
     * Where the doorbells lie outside translation, what keeps a device from ringing another's vector is that they look
     * who rings.
     *
     * @param container its name, for the message
     * @throws ErrnoException EPERM if they do not, and that is not allowed
     */
    public void requireSafe(IommuCapabilities offered, String container) {
        InterruptController controller = host.controller();
        boolean outside = offered.reserved().stream().anyMatch(region -> region.kind() == ReservedRegion.Kind.MSI);
        if (!outside || host.limits().allowUnsafeInterrupts() || controller != null
            && controller.doorbells().verifiesSource()) {
            return;
        }
        throw new ErrnoException(Errno.EPERM, "MSIs pass this IOMMU untranslated and %s: a device of container %s "
            + "could ring any vector. Use a machine with interrupt remapping, or set allow.unsafe.interrupts to true "
            + "in the configuration vfio.container", controller == null ? "there is no interrupt controller"
            : "the interrupt controller does not verify who sent them", container);
    }
}
