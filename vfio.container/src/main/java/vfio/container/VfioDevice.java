// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import irq.api.InterruptController;
import java.util.List;
import java.util.Optional;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import machine.api.Wire;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.container.host.Cleanup;
import vfio.container.irq.Relay;

/**
 * An open PCI device: vfio-pci. Interrupts are changed under the container's lock; regions are not, a device is its
 * user's to drive.
 */
final class VfioDevice implements Device {
    private static final int INDEXES = 5;
    private static final int REGIONS = 9;

    private final PciFunction function;
    private final VfioContainer container;
    private final VfioGroup group;
    private final ConfigSpace config;
    private volatile boolean closed;

    // Guarded by the container's lock.
    private Interrupts.Route msi;
    private Relay intx;
    private Attachment intxWire;
    private EventFd request;
    /** Calls of {@link #reset} that are inside the device model. */
    private int resets;
    private boolean settled;

    VfioDevice(PciFunction function, VfioContainer container, VfioGroup group) {
        this.function = function;
        this.container = container;
        this.group = group;
        function.reset();
        this.config = new ConfigSpace(function);
        config.open();
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
        return List.of(
            new Irq(Irq.INTX, config.hasPin() ? 1 : 0, Irq.EVENTFD | Irq.MASKABLE | Irq.AUTOMASKED),
            new Irq(Irq.MSI, config.msiVectors(), Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.MSIX, 0, Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.ERR, 0, Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.REQ, 1, Irq.EVENTFD | Irq.NORESIZE));
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
                function.writeBar(region, offset + done, piece, piece == 8 ? value : value >>> 8 * done & (1L << 8 * piece) - 1);
            }
            done += piece;
        }
    }

    @Override
    public int setIrqs(IrqSet set) {
        container.enter();
        try {
            requireOpen();
            validate(set);
            return switch (set.index()) {
                case Irq.INTX -> intx(set);
                case Irq.MSI -> msi(set);
                default -> request(set);
            };
        } finally {
            container.leave();
        }
    }

    /** The device model is waited for with no lock held, so it keeps nobody but this device's users. */
    @Override
    public void reset() {
        container.enter();
        try {
            requireOpen();
            resets++;
        } finally {
            container.leave();
        }
        Cleanup steps = new Cleanup();
        steps.take(function::reset);
        container.enter();
        try {
            resets--;
            if (!closed) {
                steps.take(config::afterReset);
            }
            forget();
        } finally {
            container.leave();
        }
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
     * The first half of closing, which waits for no device model: the device's interrupts are off, it is not bus master, and its user has it no
     * more.
     *
     * @return what went wrong, for {@link #settle}, which whoever called has to call with no lock held; null if it is closed already
     */
    Cleanup detach() {
        container.enter();
        try {
            if (closed) {
                return null;
            }
            closed = true;
            Cleanup steps = new Cleanup();
            if (msi != null) {
                steps.take(this::disableMsi);
            }
            if (intx != null) {
                steps.take(this::disableIntx);
            }
            steps.take(config::quiet);
            return steps;
        } finally {
            container.leave();
        }
    }

    /** The second half: the device is reset, and can be opened again. */
    void settle(Cleanup steps) {
        steps.take(function::reset);
        container.enter();
        try {
            settled = true;
            forget();
        } finally {
            container.leave();
        }
        steps.end();
    }

    /** Lets others open the device, when no reset of its old user's can hit them any more. */
    private void forget() {
        if (settled && resets == 0) {
            group.closed(this);
        }
    }

    /** The device is about to be taken away: says so to a user who asked to be told. */
    void leaving() {
        container.enter();
        try {
            if (request != null) {
                request.signal();
            }
        } finally {
            container.leave();
        }
    }

    /** The interrupt controller is leaving: the pin's wire is given back, what it was for stays. */
    void suspend() {
        Attachment wire = intxWire;
        intxWire = null;
        if (wire != null) {
            wire.close();
        }
    }

    /** There is a controller again. */
    void restore(InterruptController controller) {
        if (intx != null && intxWire == null) {
            connect(controller);
        }
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
        long length = region >= 0 && region < Region.ROM ? function.barSize(region) : region == Region.CONFIG ? config.size() : 0;
        if (length == 0) {
            throw new ErrnoException(Errno.EINVAL, "device %s has no region %d", name(), region);
        }
        if (offset < 0 || offset > length - size) {
            throw new ErrnoException(Errno.EINVAL, "offset 0x%x+%d is outside region %d of 0x%x bytes", offset, size, region, length);
        }
        if (region != Region.CONFIG && !config.memoryEnabled()) {
            throw new ErrnoException(Errno.EIO, "memory of device %s is disabled; set bit 1 of its command register", name());
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

    private void validate(IrqSet set) {
        if (set.index() < 0 || set.index() >= INDEXES) {
            throw new ErrnoException(Errno.EINVAL, "irq index %d; there are 0..%d", set.index(), INDEXES - 1);
        }
        int count = irqs().get(set.index()).count();
        if (set.start() < 0 || set.count() < 0 || set.start() >= count || set.count() > count - set.start()) {
            throw new ErrnoException(Errno.EINVAL, "vectors %d+%d of irq index %d, which has %d", set.start(), set.count(),
                set.index(), count);
        }
        int items = switch (set.data()) {
            case NONE -> set.count();
            case BOOL -> set.booleans().size();
            case EVENTFD -> set.eventFds().size();
        };
        if (items != set.count()) {
            throw new ErrnoException(Errno.EINVAL, "%d data items for %d vectors", items, set.count());
        }
    }

    private static ErrnoException notOffered(IrqSet set) {
        return new ErrnoException(Errno.ENOTTY, "irq index %d has no %s with %s", set.index(), set.action(), set.data());
    }

    private static boolean disables(IrqSet set) {
        return set.data() == IrqSet.Data.NONE && set.count() == 0;
    }

    private static boolean fires(IrqSet set) {
        return set.data() == IrqSet.Data.NONE || set.booleans().get(0);
    }

    private ErrnoException inactive(IrqSet set) {
        return new ErrnoException(Errno.EINVAL, "irq index %d of device %s is not enabled; give it an eventfd first", set.index(), name());
    }

    private void requireOtherOff(Object other, String which) {
        if (other != null) {
            throw new ErrnoException(Errno.EINVAL, "device %s uses %s; disable that first", name(), which);
        }
    }

    // INTx

    private int intx(IrqSet set) {
        if (set.action() == IrqSet.Action.TRIGGER && disables(set)) {
            if (intx == null) {
                throw inactive(set);
            }
            disableIntx();
            return 0;
        }
        if (set.count() != 1) {
            throw new ErrnoException(Errno.EINVAL, "a device has one interrupt pin, not %d", set.count());
        }
        if (set.action() == IrqSet.Action.TRIGGER && set.data() == IrqSet.Data.EVENTFD) {
            requireOtherOff(msi, "MSI");
            if (intx == null) {
                enableIntx(set.eventFds().get(0));
            } else {
                intx.target(set.eventFds().get(0));
            }
            return 0;
        }
        if (intx == null) {
            throw inactive(set);
        }
        if (set.data() == IrqSet.Data.EVENTFD) {
            throw notOffered(set);
        }
        if (fires(set)) {
            if (set.action() == IrqSet.Action.TRIGGER) {
                intx.interrupt();
            } else if (set.action() == IrqSet.Action.MASK) {
                config.maskIntx();
            } else {
                config.unmaskIntx();
            }
        }
        return 0;
    }

    /** The pin is masked at the device until there is somebody to hear it; if that fails, it stays so. */
    private void enableIntx(EventFd target) {
        intx = new Relay(target);
        try {
            connect(container.controller());
            config.unmaskIntx();
        } catch (RuntimeException | Error e) {
            intx = null;
            Cleanup steps = new Cleanup();
            steps.take(() -> {
                throw e;
            });
            steps.take(config::maskIntx);
            steps.take(this::suspend);
            steps.end();
        }
    }

    private void connect(InterruptController controller) {
        Optional<Wire> wire = function.interrupt();
        if (wire.isEmpty() || controller == null) {
            throw new ErrnoException(Errno.ENODEV, "the interrupt pin of device %s is not wired to an interrupt controller", name());
        }
        Relay relay = intx;
        intxWire = controller.request(wire.get(), () -> {
            if (config.takeIntx()) {
                relay.interrupt();
            }
        });
    }

    private void disableIntx() {
        intx = null;
        Cleanup steps = new Cleanup();
        steps.take(config::maskIntx);
        steps.take(this::suspend);
        steps.end();
    }

    // MSI

    /**
     * In the order of vfio_pci_set_msi_trigger (Linux 6.1, vfio_pci_intrs.c): to disable all vectors no range of them is looked at, and new
     * eventfds are, even for none.
     */
    private int msi(IrqSet set) {
        if (set.action() != IrqSet.Action.TRIGGER) {
            throw notOffered(set);
        }
        if (msi == null && set.data() == IrqSet.Data.EVENTFD) {
            return enableMsi(set);
        }
        if (msi == null) {
            throw inactive(set);
        }
        if (disables(set)) {
            disableMsi();
            return 0;
        }
        if (set.start() + set.count() > 1 || set.data() == IrqSet.Data.EVENTFD && set.start() > 0) {
            throw new ErrnoException(Errno.EINVAL, "vectors %d+%d of device %s; vector 0 alone is enabled", set.start(), set.count(),
                name());
        }
        if (set.count() > 0) {
            if (set.data() == IrqSet.Data.EVENTFD) {
                msi.relay().target(set.eventFds().get(0));
            } else if (fires(set)) {
                msi.relay().interrupt();
            }
        }
        return 0;
    }

    /** {@return 0, or how many vectors there are for a device if more are asked for} */
    private int enableMsi(IrqSet set) {
        requireOtherOff(intx, "its interrupt pin");
        if (set.start() + set.count() > 1) {
            // The host gives one vector a device: several need consecutive numbers (MPIC: hwirqs are single).
            return 1;
        }
        if (set.count() == 0) {
            // Linux asks its allocator for start + count vectors, which refuses none, and then finds none of the wanted ones among them.
            throw new ErrnoException(Errno.EINVAL, "vectors %d+0 of device %s: MSI is off, and no eventfd enables nothing; give it one",
                set.start(), name());
        }
        container.requireActive();
        msi = container.enable(this, new Relay(set.eventFds().get(0)));
        return 0;
    }

    private void disableMsi() {
        Interrupts.Route route = msi;
        msi = null;
        container.disable(route);
    }

    // REQ

    /** As vfio_pci_set_ctx_trigger_single of Linux 6.1: with no data there has to be an eventfd, to be signalled or to be taken away. */
    private int request(IrqSet set) {
        if (set.action() != IrqSet.Action.TRIGGER) {
            throw notOffered(set);
        }
        if (set.data() == IrqSet.Data.NONE && request == null) {
            throw inactive(set);
        }
        if (disables(set)) {
            request = null;
        } else if (set.count() != 1) {
            throw new ErrnoException(Errno.EINVAL, "irq index %d has one vector, not %d", set.index(), set.count());
        } else if (set.data() == IrqSet.Data.EVENTFD) {
            request = set.eventFds().get(0);
        } else if (fires(set) && request != null) {
            request.signal();
        }
        return 0;
    }
}
