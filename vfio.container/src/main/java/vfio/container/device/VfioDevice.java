// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import java.util.List;
import java.util.function.Consumer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.container.host.Cleanup;
import vfio.container.irq.MsiSender;
import vfio.container.irq.Pin;

/**
 * An open PCI device: vfio-pci. Interrupts are changed under the container's lock; regions are not, a device is its
 * user's to drive.
 */
public final class VfioDevice implements Device, MsiSender {
    private static final int REGIONS = 9;

    private final PciFunction function;
    private final Owner owner;
    private final Consumer<VfioDevice> whenClosed;
    private final ConfigSpace config;
    private final DeviceIrqs irqs;
    private volatile boolean closed;

    // Guarded by the container's lock.
    /** Calls of {@link #reset} that are inside the device model. */
    private int resets;
    private boolean settled;

    /** @param whenClosed is called when it can be opened again, with the container's lock held */
    VfioDevice(PciFunction function, Owner owner, Consumer<VfioDevice> whenClosed) {
        this.function = function;
        this.owner = owner;
        this.whenClosed = whenClosed;
        function.reset();
        this.config = new ConfigSpace(function);
        config.open();
        this.irqs = new DeviceIrqs(function, config, owner, this);
    }

    @Override
    public String name() {
        return function.name();
    }

    @Override
    public int requester() {
        return function.requester().id();
    }

    ConfigSpace config() {
        return config;
    }

    @Override
    public List<Region> regions() {
        Region[] regions = new Region[REGIONS];
        for (int i = 0; i < REGIONS; i++) {
            long size = i < Region.ROM ? function.barSize(i) : i == Region.CONFIG ? config.size() : 0;
            regions[i] = new Region(i, size, size == 0 ? 0 : Region.READ | Region.WRITE);
        }
        return List.of(regions);
    }

    @Override
    public List<Irq> irqs() {
        return irqs.list();
    }

    @Override
    public long read(int region, long offset, int size) {
        check(region, offset, size);
        long value = 0;
        for (int done = 0; done < size; ) {
            int piece = piece(region, offset + done, size - done);
            long part = region == Region.CONFIG ? config.read((int) offset + done, piece)
                : function.readBar(region, offset + done, piece);
            value |= part << 8 * done;
            done += piece;
        }
        return value;
    }

    @Override
    public void write(int region, long offset, int size, long value) {
        check(region, offset, size);
        for (int done = 0; done < size; ) {
            int piece = piece(region, offset + done, size - done);
            if (region == Region.CONFIG) {
                config.write((int) offset + done, piece, value >>> 8 * done);
            } else {
                function.writeBar(region, offset + done, piece, piece == 8 ? value
                    : value >>> 8 * done & (1L << 8 * piece) - 1);
            }
            done += piece;
        }
    }

    @Override
    public int setIrqs(IrqSet set) {
        return owner.lock().call(() -> {
            requireOpen();
            return irqs.set(set);
        });
    }

    /** The device model is waited for with no lock held, so it keeps nobody but this device's users. */
    @Override
    public void reset() {
        owner.lock().run(() -> {
            requireOpen();
            resets++;
        });
        Cleanup steps = new Cleanup();
        steps.take(function::reset);
        owner.lock().run(() -> {
            resets--;
            if (!closed) {
                steps.take(config::afterReset);
            }
            forget();
        });
        steps.end();
    }

    @Override
    public void close() {
        Cleanup steps = detach();
        if (steps != null) {
            settle(steps);
        }
    }

    /**
     * The first half of closing, which waits for no device model: the device's interrupts are off, it is not bus
     * master, and its user has it no more.
     *
     * @return what went wrong, for {@link #settle}, which the caller has to call with no lock held; null if it is
     *     closed already
     */
    public Cleanup detach() {
        return owner.lock().call(() -> {
            if (closed) {
                return null;
            }
            closed = true;
            Cleanup steps = new Cleanup();
            irqs.close(steps);
            steps.take(config::quiet);
            return steps;
        });
    }

    /** The second half: the device is reset, and can be opened again. */
    public void settle(Cleanup steps) {
        steps.take(function::reset);
        owner.lock().run(() -> {
            settled = true;
            forget();
        });
        steps.end();
    }

    /** Lets others open the device, when no reset of its old user's can hit them any more. */
    private void forget() {
        if (settled && resets == 0) {
            whenClosed.accept(this);
        }
    }

    /** The device is about to be taken away: says so to a user who asked to be told. */
    void leaving() {
        owner.lock().run(irqs::leaving);
    }

    /** {@return its interrupt pin, for a swap of the controller} */
    public Pin pin() {
        return irqs.pin();
    }

    @Override
    public void msiOn(long address, int data) {
        config.msiOn(address, data);
    }

    @Override
    public void msiOff() {
        config.msiOff();
    }

    private void requireOpen() {
        if (closed) {
            throw new ErrnoException(Errno.ENODEV, "device %s is closed; open it again", name());
        }
    }

    private void check(int region, long offset, int size) {
        requireOpen();
        if (size != 1 && size != 2 && size != 4 && size != 8) {
            throw new ErrnoException(Errno.EINVAL, "access of %d bytes; 1, 2, 4 and 8 are possible", size);
        }
        long length = region >= 0 && region < Region.ROM ? function.barSize(region) : region == Region.CONFIG
            ? config.size() : 0;
        if (length == 0) {
            throw new ErrnoException(Errno.EINVAL, "device %s has no region %d", name(), region);
        }
        if (offset < 0 || offset > length - size) {
            throw new ErrnoException(Errno.EINVAL, "offset 0x%x+%d is outside region %d of 0x%x bytes", offset, size,
                region, length);
        }
        if (region != Region.CONFIG && !config.memoryEnabled()) {
            throw new ErrnoException(Errno.EIO, "memory of device %s is disabled; set bit 1 of its command register",
                name());
        }
    }

    /** Largest naturally aligned piece; config space knows no 8-byte access. */
    private static int piece(int region, long offset, int left) {
        int piece = region == Region.CONFIG ? 4 : 8;
        while (piece > left || (offset & piece - 1) != 0) {
            piece >>= 1;
        }
        return piece;
    }
}
