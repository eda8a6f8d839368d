// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.InterruptRemapping;
import irq.api.MsiDoorbells;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.function.BiConsumer;
import machine.api.Attachment;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;

/**
 * The driver of the local APICs of all cores. Local APICs have no wired inputs for devices (that is an IOAPIC's work),
 * so what it offers is its {@link #doorbells}. Thread-safe.
 */
public final class ApicDriver implements InterruptController, AutoCloseable {
    private final List<ApicCore> cores = new ArrayList<>();
    private final List<Attachment> handlers = new ArrayList<>();
    private final BiConsumer<String, Throwable> report;
    private final ApicDoorbells doorbells;
    private boolean closed;

    /**
     * Enables the APIC of every core and puts a handler behind its pin.
     *
     * @param node of the local APICs; its unit is attached
     * @param remapping composes the messages; empty for messages that nobody verifies
     * @param report is called with an exception of a handler, on the handler's thread, and with a failed clean-up
     * @throws ErrnoException ENODEV if no APIC answers; EBUSY if a core has an interrupt handler
     */
    public ApicDriver(Machine machine, Node node, Optional<InterruptRemapping> remapping,
        BiConsumer<String, Throwable> report) {
        this.report = report;
        long range = node.registers().get(0).physical();
        try {
            for (Cpu cpu : machine.cpus()) {
                ApicCore core = new ApicCore(machine.bus(), range + (long) cpu.number() * ApicRegisters.PAGE, report);
                handlers.add(cpu.attach(core));
                cores.add(core);
                core.enable();
            }
        } catch (RuntimeException e) {
            disable();
            throw e;
        }
        doorbells = new ApicDoorbells(range, List.copyOf(cores), remapping);
    }

    /** @throws ErrnoException EINVAL always: the wire cannot lead here */
    @Override
    public Attachment request(Wire wire, InterruptHandler handler) {
        throw new ErrnoException(Errno.EINVAL,
            "%s input 0x%x: a local APIC has no wired inputs and there is no IOAPIC; use MSI", wire.controller(),
            wire.input());
    }

    /** @throws ErrnoException ENOENT always: nothing can have been requested */
    @Override
    public void mask(Wire wire, boolean masked) {
        throw new ErrnoException(Errno.ENOENT,
            "%s input 0x%x was not requested: a local APIC has no wired inputs; use MSI", wire.controller(),
            wire.input());
    }

    @Override
    public MsiDoorbells doorbells() {
        return doorbells;
    }

    /** {@return how many interrupts came for vectors that nobody has} */
    public long unclaimed() {
        return cores.stream().mapToLong(ApicCore::unclaimed).sum();
    }

    /** Disables the APICs, takes the handlers away and gives back what remapping holds. Idempotent. */
    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        disable();
        doorbells.close(report);
    }

    private void disable() {
        for (ApicCore core : cores) {
            try {
                core.disable();
            } catch (ErrnoException e) {
                report.accept("core " + core.id() + " was not disabled", e);
            }
        }
        handlers.forEach(Attachment::close);
    }
}
