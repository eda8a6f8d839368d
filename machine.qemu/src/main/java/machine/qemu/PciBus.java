// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;
import machine.qemu.process.Batch;
import machine.qemu.process.Qtest;

/**
 * PCI bus 0 of a PC: a place for devices, and the way to their config space by the ports 0xcf8 and 0xcfc. Both ports
 * are written and read in one batch, which no other command comes between.
 *
 * @param unit path of the node of the IOMMU that all of the bus is behind
 */
record PciBus(Qtest qtest, Node node, String unit) implements Slot {
    private static final int ADDRESS = 0xcf8;
    private static final int DATA = 0xcfc;
    private static final long ENABLE = 0x8000_0000L;

    /** {@return 1, 2 or 4 naturally aligned bytes of the config space of a function, all ones where there is none} */
    long read(int function, int offset, int size) {
        Batch batch = select(function, offset);
        int port = DATA + (offset & 3);
        return switch (size) {
            case 1 -> batch.inb(port).run()[1];
            case 2 -> batch.inw(port).run()[1];
            default -> batch.inl(port).run()[1];
        };
    }

    void write(int function, int offset, int size, long value) {
        Batch batch = select(function, offset);
        int port = DATA + (offset & 3);
        switch (size) {
            case 1 -> batch.outb(port, value).run();
            case 2 -> batch.outw(port, value).run();
            default -> batch.outl(port, value).run();
        }
    }

    private Batch select(int function, int offset) {
        return qtest.batch().outl(ADDRESS, ENABLE | (long) function << 8 | offset & ~3);
    }

    @Override
    public String name() {
        return "pci0";
    }

    /** {@return true: a place for PCI functions} */
    @Override
    public boolean pcie() {
        return true;
    }

    @Override
    public Requester requester(int device, int function) {
        return new Requester(place(device, function), unit, device);
    }

    @Override
    public String address(int device, int function) {
        place(device, function);
        return String.format("0000:00:%02x.%d", device, function);
    }

    /** {@return nothing: INTx ends at an IOAPIC, which nothing here drives} */
    @Override
    public Optional<Wire> interrupt(int device, int pin) {
        return Optional.empty();
    }

    private static int place(int device, int function) {
        if (device < 0 || device > 31 || function < 0 || function > 7) {
            throw new ErrnoException(Errno.EINVAL, "PCI device 0x%x function 0x%x: there are 0..0x1f and 0..7", device,
                function);
        }
        return device << 3 | function;
    }
}
