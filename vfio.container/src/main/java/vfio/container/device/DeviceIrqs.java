// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.container.host.Cleanup;
import vfio.container.irq.MsiSender;
import vfio.container.irq.Relay;
import vfio.container.irq.Route;

/** The interrupts of an open device: SET_IRQS, index by index. Guarded by the container's lock. */
final class DeviceIrqs {
    private static final int INDEXES = 5;

    private final PciFunction function;
    private final ConfigSpace config;
    private final Owner owner;
    private final MsiSender sender;
    private final IntxPin pin;
    // Null while they are off.
    private Route msi;
    private EventFd request;

    /** @param sender the device, as far as its messages are concerned */
    DeviceIrqs(PciFunction function, ConfigSpace config, Owner owner, MsiSender sender) {
        this.function = function;
        this.config = config;
        this.owner = owner;
        this.sender = sender;
        this.pin = new IntxPin(function, config);
    }

    IntxPin pin() {
        return pin;
    }

    /** {@return the indexes of VFIO, with what this device has of each} */
    List<Irq> list() {
        return List.of(
            new Irq(Irq.INTX, config.hasPin() ? 1 : 0, Irq.EVENTFD | Irq.MASKABLE | Irq.AUTOMASKED),
            new Irq(Irq.MSI, config.msiVectors(), Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.MSIX, 0, Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.ERR, 0, Irq.EVENTFD | Irq.NORESIZE),
            new Irq(Irq.REQ, 1, Irq.EVENTFD | Irq.NORESIZE));
    }

    /** {@return 0, or how many vectors there are if more are asked for} */
    int set(IrqSet set) {
        validate(set);
        return switch (set.index()) {
            case Irq.INTX -> intx(set);
            case Irq.MSI -> msi(set);
            default -> request(set);
        };
    }

    /** Turns off what is on. */
    void close(Cleanup steps) {
        if (msi != null) {
            steps.take(this::disableMsi);
        }
        if (pin.enabled()) {
            steps.take(pin::disable);
        }
    }

    /** Signals a user with a REQ eventfd that the device is about to be taken away. */
    void leaving() {
        if (request != null) {
            Relay.signal(request);
        }
    }

    private void validate(IrqSet set) {
        if (set.index() < 0 || set.index() >= INDEXES) {
            throw new ErrnoException(Errno.EINVAL, "irq index %d; there are 0..%d", set.index(), INDEXES - 1);
        }
        int count = list().get(set.index()).count();
        if (set.start() < 0 || set.count() < 0 || set.start() >= count || set.count() > count - set.start()) {
            throw new ErrnoException(Errno.EINVAL, "vectors %d+%d of irq index %d, which has %d", set.start(),
                set.count(), set.index(), count);
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
        return new ErrnoException(Errno.ENOTTY, "irq index %d has no %s with %s", set.index(), set.action(),
            set.data());
    }

    private static boolean disables(IrqSet set) {
        return set.data() == IrqSet.Data.NONE && set.count() == 0;
    }

    private static boolean fires(IrqSet set) {
        return set.data() == IrqSet.Data.NONE || set.booleans().get(0);
    }

    private ErrnoException inactive(IrqSet set) {
        return new ErrnoException(Errno.EINVAL, "irq index %d of device %s is not enabled; give it an eventfd first",
            set.index(), function.name());
    }

    private void requireOff(boolean other, String which) {
        if (other) {
            throw new ErrnoException(Errno.EINVAL, "device %s uses %s; disable that first", function.name(), which);
        }
    }

    // INTx

    private int intx(IrqSet set) {
        if (set.action() == IrqSet.Action.TRIGGER && disables(set)) {
            if (!pin.enabled()) {
                throw inactive(set);
            }
            pin.disable();
            return 0;
        }
        if (set.count() != 1) {
            throw new ErrnoException(Errno.EINVAL, "a device has one interrupt pin, not %d", set.count());
        }
        if (set.action() == IrqSet.Action.TRIGGER && set.data() == IrqSet.Data.EVENTFD) {
            requireOff(msi != null, "MSI");
            if (!pin.enabled()) {
                pin.enable(set.eventFds().get(0), owner.controller());
            } else {
                pin.target(set.eventFds().get(0));
            }
            return 0;
        }
        if (!pin.enabled()) {
            throw inactive(set);
        }
        if (set.data() == IrqSet.Data.EVENTFD) {
            throw notOffered(set);
        }
        if (fires(set)) {
            if (set.action() == IrqSet.Action.TRIGGER) {
                pin.interrupt();
            } else if (set.action() == IrqSet.Action.MASK) {
                pin.mask();
            } else {
                pin.unmask();
            }
        }
        return 0;
    }

    // MSI

    /**
     * In the order of vfio_pci_set_msi_trigger (Linux 6.1, vfio_pci_intrs.c): to disable all vectors no range of them
     * is looked at, and new eventfds are, even for none.
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
            throw new ErrnoException(Errno.EINVAL, "vectors %d+%d of device %s; vector 0 alone is enabled",
                set.start(), set.count(), function.name());
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
        requireOff(pin.enabled(), "its interrupt pin");
        if (set.start() + set.count() > 1) {
            // The host gives one vector per device: several need consecutive numbers (MPIC: hwirqs are single).
            return 1;
        }
        if (set.count() == 0) {
            // Linux asks its allocator for start + count vectors, which refuses none, and then finds none of the wanted
            // ones among them.
            throw new ErrnoException(Errno.EINVAL, "vectors %d+0 of device %s: MSI is off, and no eventfd enables "
                + "nothing; give it one", set.start(), function.name());
        }
        owner.requireActive();
        msi = owner.enable(sender, new Relay(set.eventFds().get(0)));
        return 0;
    }

    private void disableMsi() {
        Route route = msi;
        msi = null;
        owner.disable(route);
    }

    // REQ

    /**
     * As vfio_pci_set_ctx_trigger_single of Linux 6.1: with no data there has to be an eventfd, to be signalled or to
     * be taken away.
     */
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
            Relay.signal(request);
        }
        return 0;
    }
}
