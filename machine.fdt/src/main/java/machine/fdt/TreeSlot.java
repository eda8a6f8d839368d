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
 * A place behind a PCIe controller, or of a DMA engine. Every device there speaks with the controller's LIODN, hence shares its
 * group: on these chips the IOMMU cannot tell them apart.
 *
 * @param index of the controller in its kind
 * @param requester null if the board has no PAMU
 */
record TreeSlot(DeviceTree tree, String name, boolean pcie, int index, DeviceTree.TreeNode controller, Requester requester)
        implements Slot {
    @Override
    public Node node() {
        return controller.node();
    }

    @Override
    public Requester requester(int device, int function) {
        if (device < 0 || device > 31 || function < 0 || function > 7) {
            throw new ErrnoException(Errno.EINVAL, "device %d function %d; there are devices 0..31 with functions 0..7", device, function);
        }
        if (requester == null) {
            throw FdtMachineSource.noIommu(tree.root().text("model"));
        }
        return requester;
    }

    @Override
    public String address(int device, int function) {
        return pcie ? String.format("%04x:01:%02x.%d", index, device, function)
            : String.format("%x.dma-%d.%d", controller.registers().get(0).physical(), device, function);
    }

    @Override
    public Optional<Wire> interrupt(int device, int pin) {
        return pcie ? tree.interruptMap(controller, device, pin) : controller.interrupts().stream().findFirst();
    }
}
