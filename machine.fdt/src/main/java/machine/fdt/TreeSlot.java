// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;

/**
 * A place behind a PCIe controller, or of a DMA engine. On QorIQ every device there speaks with the controller's LIODN,
 * hence shares its group: on these chips the IOMMU cannot tell them apart. Where the tree has an {@code iommu-map},
 * each speaks as the map says.
 *
 * @param index of the controller in its kind
 * @param names give null where nothing is in front of a device, which then cannot be there
 */
record TreeSlot(DeviceTree tree, String name, boolean pcie, int index, DeviceTree.TreeNode controller,
    Naming.Names names)
        implements Slot {
    /** PCI's number of the bus behind the controller's root port. */
    static final int BUS = 1;
    /** Devices times functions. */
    static final int PLACES = 256;

    @Override
    public Node node() {
        return controller.node();
    }

    @Override
    public boolean covers(int device, int function) {
        return there(device, function) && names.of(place(device, function)) != null;
    }

    private static boolean there(int device, int function) {
        return device >= 0 && device <= 31 && function >= 0 && function <= 7;
    }

    private static int place(int device, int function) {
        return device << 3 | function;
    }

    @Override
    public Requester requester(int device, int function) {
        if (!there(device, function)) {
            throw new ErrnoException(Errno.EINVAL, "device %d function %d; there are devices 0..31 with functions 0..7",
                device, function);
        }
        Requester requester = names.of(place(device, function));
        if (requester == null && tree.hasIommu()) {
            throw new ErrnoException(Errno.ENXIO, "device tree, %s: no IOMMU is in front of %s%s", controller.path(),
                address(device, function),
                controller.has(Naming.IOMMU_MAP) ? "; its iommu-map has no entry for it" : "");
        }
        if (requester == null) {
            throw FdtMachineSource.noIommu(tree.root().text("model"));
        }
        return requester;
    }

    @Override
    public String address(int device, int function) {
        return pcie ? String.format("%04x:%02x:%02x.%d", index, BUS, device, function)
            : String.format("%x.dma-%d.%d", controller.registers().get(0).physical(), device, function);
    }

    @Override
    public Optional<Wire> interrupt(int device, int pin) {
        return pcie ? tree.interruptMap(controller, device, pin) : controller.interrupts().stream().findFirst();
    }
}
