// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static machine.api.pci.ConfigHeader.BARS;
import static machine.api.pci.ConfigHeader.COMMAND;
import static machine.api.pci.ConfigHeader.EXPRESS;
import static machine.api.pci.ConfigHeader.MEMORY;
import static machine.api.pci.ConfigHeader.NUMBER_OF_BARS;
import static machine.api.pci.ConfigHeader.VENDOR;

import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;
import machine.api.pci.ConfigHeader;
import machine.api.pci.MsiCapability;
import machine.qemu.process.Batch;
import machine.qemu.process.Qtest;

/**
 * A PCI function of QEMU's. Its memory BARs get an address when it is made, as firmware would give it, and keep it over
 * a reset; BARs of ports are left alone. Config space has the 256 bytes that the ports reach. Thread-safe.
 */
final class QemuFunction implements PciFunction {
    private static final int CONFIG = ConfigHeader.SPACE_END;
    /** In a BAR: ports. */
    private static final int PORTS = 1;
    /** In a memory BAR: the next one has the upper half of the address. */
    private static final int WIDE = 4;

    private final PciBus bus;
    private final Qtest qtest;
    private final int device;
    private final int function;
    private final long[] addresses = new long[NUMBER_OF_BARS];
    private final long[] sizes = new long[NUMBER_OF_BARS];
    /** Whether the function answers in its BARs. */
    private volatile boolean memory;

    /** @param space where BARs may lie */
    QemuFunction(PciBus bus, int device, int function, PciSpace space) {
        this.bus = bus;
        this.qtest = bus.qtest();
        this.device = device;
        this.function = function;
        for (int bar = 0; bar < NUMBER_OF_BARS; bar++) {
            bar += assign(bar, space);
        }
    }

    /** {@return how many more BARs this one takes} */
    private int assign(int bar, PciSpace space) {
        int register = BARS + 4 * bar;
        writeConfig(register, 4, 0xffff_ffffL);
        long answer = readConfig(register, 4);
        if (answer == 0 || (answer & PORTS) != 0) {
            writeConfig(register, 4, 0);
            return 0;
        }
        boolean wide = (answer & 6) == WIDE;
        long size = -(answer & ~0xfL) & 0xffff_ffffL;
        if (wide) {
            writeConfig(register + 4, 4, 0xffff_ffffL);
            size = -(readConfig(register + 4, 4) << 32 | answer & ~0xfL);
            writeConfig(register + 4, 4, 0);
        }
        sizes[bar] = size;
        addresses[bar] = space.take(size, name() + " BAR " + bar);
        writeConfig(register, 4, addresses[bar]);
        return wide ? 1 : 0;
    }

    @Override
    public String name() {
        return bus.address(device, function);
    }

    @Override
    public Slot slot() {
        return bus;
    }

    @Override
    public Requester requester() {
        return bus.requester(device, function);
    }

    @Override
    public Optional<Wire> interrupt() {
        return Optional.empty();
    }

    @Override
    public int configSize() {
        return CONFIG;
    }

    @Override
    public long readConfig(int offset, int size) {
        check(offset, size, CONFIG, "config space");
        return bus.read(device << 3 | function, offset, size);
    }

    @Override
    public void writeConfig(int offset, int size, long value) {
        check(offset, size, CONFIG, "config space");
        synchronized (this) {
            bus.write(device << 3 | function, offset, size, value);
            if ((offset & ~3) == COMMAND && (offset & 3) == 0) {
                memory = (value & MEMORY) != 0;
            }
        }
    }

    @Override
    public long barSize(int bar) {
        return bar < 0 || bar >= NUMBER_OF_BARS ? 0 : sizes[bar];
    }

    @Override
    public long readBar(int bar, long offset, int size) {
        check(offset, size, barSize(bar), "BAR " + bar);
        if (!memory) {
            return -1L >>> 64 - 8 * size;
        }
        long at = addresses[bar] + offset;
        Batch batch = qtest.batch();
        return switch (size) {
            case 1 -> batch.readb(at).run()[0];
            case 2 -> batch.readw(at).run()[0];
            case 4 -> batch.readl(at).run()[0];
            default -> batch.readq(at).run()[0];
        };
    }

    @Override
    public void writeBar(int bar, long offset, int size, long value) {
        check(offset, size, barSize(bar), "BAR " + bar);
        if (!memory) {
            return;
        }
        long at = addresses[bar] + offset;
        Batch batch = qtest.batch();
        switch (size) {
            case 1 -> batch.writeb(at, value).run();
            case 2 -> batch.writew(at, value).run();
            case 4 -> batch.writel(at, value).run();
            default -> batch.writeq(at, value).run();
        }
    }

    /**
     * {@inheritDoc} A function with a function-level reset does that. Of any other, what config space holds is cleared;
     * an edu's transfer is waited for and its registers are cleared, but not its buffer nor its factorial, for which it
     * has no means.
     */
    @Override
    public synchronized void reset() {
        writeConfig(COMMAND, 2, 0);
        int express = ConfigHeader.find(this, EXPRESS);
        if (express != 0 && (readConfig(express + 4, 4) >>> 28 & 1) != 0) {
            writeConfig(express + 8, 2, readConfig(express + 8, 2) | 0x8000);
        } else if (readConfig(VENDOR, 4) == EduReset.IDENTITY) {
            writeConfig(COMMAND, 2, MEMORY);
            EduReset.clear(this);
        }
        MsiCapability.of(this).ifPresent(msi -> msi.program(this, false, 0, 0));
        writeConfig(COMMAND, 2, 0);
        for (int bar = 0; bar < NUMBER_OF_BARS; bar++) {
            if (sizes[bar] != 0) {
                writeConfig(BARS + 4 * bar, 4, addresses[bar]);
            }
        }
    }

    private void check(long offset, int size, long length, String what) {
        if (size != 1 && size != 2 && size != 4 && size != 8 || (offset & size - 1) != 0 || offset < 0
            || offset > length - size) {
            throw new ErrnoException(Errno.EINVAL, "0x%x+%d is no access inside the 0x%x bytes of %s of %s", offset,
                size, length, what, name());
        }
    }

    @Override
    public String toString() {
        return name();
    }
}
