// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import irq.api.InterruptController;
import java.util.Optional;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import machine.api.Wire;
import vfio.api.EventFd;
import vfio.container.host.Cleanup;
import vfio.container.irq.Pin;
import vfio.container.irq.Relay;

/**
 * The interrupt pin of an open device: INTx. It is masked at the device until an eventfd is set, never at its wire,
 * which others may share. Guarded by the container's lock.
 */
final class IntxPin implements Pin {
    private final PciFunction function;
    private final ConfigSpace config;
    /** Null while the pin is off. */
    private Relay relay;
    private Attachment wire;

    IntxPin(PciFunction function, ConfigSpace config) {
        this.function = function;
        this.config = config;
    }

    boolean enabled() {
        return relay != null;
    }

    /**
     * If it throws, the pin stays masked.
     *
     * @param controller null if there is none
     * @throws ErrnoException ENODEV if the pin is not wired to a controller
     */
    void enable(EventFd target, InterruptController controller) {
        relay = new Relay(target);
        try {
            connect(controller);
            config.unmaskIntx();
        } catch (RuntimeException | Error e) {
            relay = null;
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
        Optional<Wire> to = function.interrupt();
        if (to.isEmpty() || controller == null) {
            throw new ErrnoException(Errno.ENODEV, "the interrupt pin of device %s is not wired to an interrupt "
                + "controller", function.name());
        }
        Relay now = relay;
        wire = controller.request(to.get(), () -> {
            if (config.takeIntx()) {
                now.interrupt();
            }
        });
    }

    void target(EventFd next) {
        relay.target(next);
    }

    /** As if the pin had been asserted. */
    void interrupt() {
        relay.interrupt();
    }

    void mask() {
        config.maskIntx();
    }

    void unmask() {
        config.unmaskIntx();
    }

    void disable() {
        relay = null;
        Cleanup steps = new Cleanup();
        steps.take(config::maskIntx);
        steps.take(this::suspend);
        steps.end();
    }

    @Override
    public void suspend() {
        Attachment before = wire;
        wire = null;
        if (before != null) {
            before.close();
        }
    }

    @Override
    public void restore(InterruptController controller) {
        if (relay != null && wire == null) {
            connect(controller);
        }
    }
}
