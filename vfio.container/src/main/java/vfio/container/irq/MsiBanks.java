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
    public long block(int bank, long length) {
        return bank(bank).page() & -length;
    }

    /** {@return how far from the start of a block of that many bytes around it a bank's page is} */
    long offset(int bank, long length) {
        return bank(bank).page() & length - 1;
    }

    /** {@return bytes that have to be mapped to reach a bank: of its page, or of the smallest that an IOMMU maps} */
    static long reach(MsiBank bank, IommuCapabilities offered) {
        return Math.max(bank.length(), offered.smallestPage());
    }

    /**
     * A controller says how much of the address space holds a bank and nothing else. Where an IOMMU's smallest page is
     * larger, a device that is given the bank reaches its neighbours: other containers' banks, or worse.
     *
     * @param container its name, for the message
     * @throws ErrnoException EPERM if that is not allowed
     */
    void requireAlone(MsiBank bank, IommuCapabilities offered, String container) {
        long reach = reach(bank, offered);
        if (reach > bank.length() && !host.limits().allowUnsafeInterrupts()) {
            throw new ErrnoException(Errno.EPERM, "MSI bank %d is alone in 0x%x+0x%x, and this IOMMU maps no less than "
                + "0x%x bytes: a device of container %s could write to whatever else is in 0x%x+0x%x. Use an IOMMU "
                + "with smaller pages, or set allow.unsafe.interrupts to true in the configuration vfio.container",
                bank.index(), bank.page(), bank.length(), reach, container, bank.page() & -reach, reach);
        }
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
