// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.Map;
import java.util.TreeMap;

/** One PCI bus: a root bus, or what is behind a bridge. Changes only while {@link PciTopology} is being made. */
final class PciBus {
    final int segment;
    /** Null for a root bus. */
    final PciBus parent;
    /** The place of its bridge on the parent bus: device {@literal <<} 3 | function. */
    final int place;
    /** Bridges on this bus by place; the bus behind each. */
    final Map<Integer, PciBus> bridges = new TreeMap<>();
    /** Units of functions on this bus that the table names one by one, by place. */
    final Map<Integer, String> endpoints = new TreeMap<>();
    /** The unit that covers everything below; null if no scope says so. */
    String unit;
    /** Whether this bus is conventional PCI. */
    boolean conventional;
    /** -1 until it has one. */
    int number;
    String name;

    PciBus(int segment, PciBus parent, int place, int number) {
        this.segment = segment;
        this.parent = parent;
        this.place = place;
        this.number = number;
    }

    /** {@return the address of a function on this bus} */
    String address(int function) {
        return String.format("%04x:%02x:%02x.%x", segment, number, function >> 3, function & 7);
    }

    /** {@return the topmost conventional bus from here up, whose bridge speaks for everything below; null on PCIe} */
    PciBus behind() {
        PciBus top = null;
        for (PciBus bus = this; bus != null; bus = bus.parent) {
            top = bus.conventional ? bus : top;
        }
        return top;
    }

    /** {@return the id that the bus's traffic carries: PCIe's, or that of the PCIe-to-PCI bridge} */
    int requester(int function) {
        PciBus top = behind();
        return top == null ? number << 8 | function : top.number << 8;
    }
}
