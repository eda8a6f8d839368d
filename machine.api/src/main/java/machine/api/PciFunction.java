// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Optional;
import org.osgi.annotation.versioning.ConsumerType;

/**
 * A PCI function as the host's bus driver reaches it: config space and BARs. Offered as a service by a device model
 * ({@code device.edu}); used by {@code vfio.container}, which virtualises the config space for its user.
 *
 * <p>Values are little-endian. Any thread; may block for as long as a register access of the device takes.
 */
@ConsumerType
public interface PciFunction {
    /** {@return the address, as {@link Slot#address} gives it} */
    String name();

    /** {@return the slot it is plugged into} */
    Slot slot();

    /** {@return as whom it speaks} */
    Requester requester();

    /** {@return where its interrupt pin is wired to; empty without pin or wire} */
    Optional<Wire> interrupt();

    /** {@return bytes of config space: 256 or 4096} */
    int configSize();

    /** Reads 1, 2 or 4 naturally aligned bytes of the device's own config space. */
    long readConfig(int offset, int size);

    /** Writes 1, 2 or 4 naturally aligned bytes of the device's own config space. */
    void writeConfig(int offset, int size, long value);

    /** {@return bytes of a BAR, 0 if the device does not have it; {@code bar} is 0..5} */
    long barSize(int bar);

    /** Reads 1, 2, 4 or 8 naturally aligned bytes inside a BAR. */
    long readBar(int bar, long offset, int size);

    /** Writes 1, 2, 4 or 8 naturally aligned bytes inside a BAR. */
    void writeBar(int bar, long offset, int size, long value);

    /**
     * Function-level reset: as after power-up; DMA that was running is finished or dropped when this returns. Called
     * with no lock of the caller's held. A model that waits here for a thread of its own, whose DMA may wait at a shut
     * gate, dismisses that first ({@link DmaPort#dismiss}).
     */
    void reset();
}
