// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdRegisters;
import machine.api.Bus;

/**
 * An event interrupt of the unit: the registers control, data, address, upper address (FECTL.. or IECTL..), and the
 * message they make. The message is written outside the lock: its handler may come back for the registers.
 */
final class EventMessage {
    /**
     * As whom the unit itself writes: not as a core, for which the doorbell range is its own local APIC. Model: no
     * device has this id.
     */
    private static final int SENDER = 0xffff;

    private final Bus bus;
    private final int[] registers = {VtdRegisters.MASKED, 0, 0, 0};

    EventMessage(Bus bus) {
        this.bus = bus;
    }

    /** @param number 0 control, 1 data, 2 address, 3 upper address */
    synchronized int read(int number) {
        return registers[number];
    }

    void write(int number, int value) {
        boolean waited = false;
        synchronized (this) {
            if (number == 0) {
                // IP is read only; the mask falls: what waits goes out.
                registers[0] = value & VtdRegisters.MASKED | registers[0] & VtdRegisters.PENDING;
                waited = registers[0] == VtdRegisters.PENDING;
                registers[0] &= waited ? 0 : -1;
            } else {
                registers[number] = number == 1 ? value & 0xffff : number == 2 ? value & -4 : value;
            }
        }
        if (waited) {
            send();
        }
    }

    /** Sends the message, or leaves word behind the mask. */
    void raise() {
        synchronized (this) {
            if ((registers[0] & VtdRegisters.MASKED) != 0) {
                registers[0] |= VtdRegisters.PENDING;
                return;
            }
        }
        send();
    }

    /** Software has dealt with what it was about. */
    synchronized void withdraw() {
        registers[0] &= ~VtdRegisters.PENDING;
    }

    private void send() {
        long address;
        int data;
        synchronized (this) {
            address = registers[2] & 0xffff_ffffL | (long) registers[3] << 32;
            data = registers[1];
        }
        // Where nothing answers the message is lost, as on the chip.
        bus.write(SENDER, address, 4, data);
    }
}
