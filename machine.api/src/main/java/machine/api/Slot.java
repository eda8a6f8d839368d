// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A place where devices can be plugged: the bus behind a PCIe controller or, on boards without one, the place of a DMA
 * master of the chip. It holds the knowledge of the topology: as whom a device there speaks, and with whom it shares
 * its isolation group.
 */
@ProviderType
public interface Slot {
    /** {@return the slot's name, unique in the machine: {@code pcie0}, {@code dma1}} */
    String name();

    /** {@return whether this is a PCIe bus (else the place of a DMA engine)} */
    boolean pcie();

    /** {@return the node of the controller} */
    Node node();

    /**
     * @param device PCI device number, 0..31
     * @param function PCI function number, 0..7
     * @return as whom that function speaks on the bus
     * @throws ErrnoException EINVAL if a number is out of range; ENXIO if the machine gives this slot no requester id
     */
    Requester requester(int device, int function);

    /** {@return whether the machine gives that place a requester id, so that a device can be there} */
    default boolean covers(int device, int function) {
        try {
            requester(device, function);
            return true;
        } catch (ErrnoException e) {
            return false;
        }
    }

    /** {@return the name of the device at that place, as VFIO uses it: {@code 0000:01:00.0}} */
    String address(int device, int function);

    /**
     * @param device PCI device number
     * @param pin 1..4 for INTA..INTD
     * @return where that pin is wired to; empty if the description does not say
     */
    Optional<Wire> interrupt(int device, int pin);
}
