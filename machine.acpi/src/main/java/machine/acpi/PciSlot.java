// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.List;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;

/**
 * A PCI bus as a place for devices. Immutable.
 *
 * <p>Groups are what Linux makes without ACS quirks: the functions of one device share a group, and so does everything
 * behind a PCIe-to-PCI bridge, the bridge's own device included; a root port isolates. A group's number is made of the
 * address: segment {@literal <<} 13 | bus {@literal <<} 5 | device, of the bridge if one speaks for all.
 */
final class PciSlot implements Slot {
    private static final int NAMED = 8;

    private final PciBus bus;
    private final PciTopology topology;
    private final Node node;

    PciSlot(PciBus bus, PciTopology topology, Node node) {
        this.bus = bus;
        this.topology = topology;
        this.node = node;
    }

    @Override
    public String name() {
        return bus.name;
    }

    /** {@return true: a place for PCI functions, behind a PCIe-to-PCI bridge too} */
    @Override
    public boolean pcie() {
        return true;
    }

    @Override
    public Node node() {
        return node;
    }

    @Override
    public Requester requester(int device, int function) {
        int place = place(device, function);
        if (bus.bridges.containsKey(place)) {
            throw new ErrnoException(Errno.ENXIO, "a bridge stands at %s; plug the device in behind it, at slot %s",
                bus.address(place), bus.bridges.get(place).name);
        }
        String unit = topology.unit(bus, place);
        if (unit == null) {
            List<String> covered = topology.covered(bus.segment);
            throw new ErrnoException(Errno.ENXIO,
                "no remapping unit covers %s (0x%x); the DMAR names %s%s and no unit for all others",
                bus.address(place), bus.requester(place), covered.subList(0, Math.min(NAMED, covered.size())),
                covered.size() > NAMED ? " and more" : "");
        }
        return new Requester(bus.requester(place), unit, group(device));
    }

    @Override
    public boolean covers(int device, int function) {
        int place = place(device, function);
        return !bus.bridges.containsKey(place) && topology.unit(bus, place) != null;
    }

    @Override
    public String address(int device, int function) {
        return bus.address(place(device, function));
    }

    /** {@return nothing: INTx ends at an IOAPIC, and which input is said by the ACPI namespace, not by the DMAR} */
    @Override
    public Optional<Wire> interrupt(int device, int pin) {
        return Optional.empty();
    }

    private int group(int device) {
        PciBus top = bus.behind();
        int number = top == null ? bus.number : top.parent.number;
        return bus.segment << 13 | number << 5 | (top == null ? device : top.place >> 3);
    }

    private static int place(int device, int function) {
        if (device < 0 || device > 31 || function < 0 || function > 7) {
            throw new ErrnoException(Errno.EINVAL, "PCI device 0x%x function 0x%x: there are 0..0x1f and 0..7", device,
                function);
        }
        return device << 3 | function;
    }
}
