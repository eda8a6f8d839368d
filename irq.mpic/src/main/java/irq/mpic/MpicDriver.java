// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.MsiDoorbells;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.function.BiConsumer;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;

/**
 * The driver of an MPIC. Every source has its own number as vector, the priority 8, and one core as destination, so
 * handlers run one after the other. The core's interrupt to itself has priority 10, so that no storm keeps released
 * vectors from becoming free. Any thread.
 *
 * <p>It speaks to the hardware through {@link Bus} and {@link machine.api.Cpu} only.
 */
public final class MpicDriver implements InterruptController, AutoCloseable {
    private static final int PRIORITY = 8;
    private static final int SETTLE_PRIORITY = 10;
    private static final int RESET_POLLS = 1000;
    /** This version swaps the bytes of a message (erratum PIC1), and no board with it has an IOMMU. */
    private static final int VERSION_WITHOUT_MSI = 0x0200;
    private static final int IPIS = 4;
    private static final int TIMERS = 4;

    private final Node node;
    private final long base;
    private final BigEndianBus bus;
    private final MpicCore core;
    private final WireRoute[] wires;
    private final int sources;
    private final MpicDoorbells doorbells;
    private final Attachment handler;

    /**
     * Finds the MPIC, resets it and sets it up. On an error of the description the hardware has not been touched.
     *
     * @param report is called, on the thread where it happened, with an exception of a handler and with an unhandled
     *     interrupt
     * @throws ErrnoException ENODEV if nothing answers; EINVAL for a node without registers, an MSI bank's node that
     *     breaks a rule, or a core that does not exist; EBUSY if the core has a handler; ETIMEDOUT if the reset does
     *     not end; EIO if the MPIC goes away meanwhile
     */
    public MpicDriver(Machine machine, Node node, MpicSettings settings, BiConsumer<String, Throwable> report) {
        this.node = node;
        Objects.requireNonNull(report);
        if (node.registers().isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "%s: an MPIC without registers; its reg is missing", node.path());
        }
        base = node.registers().get(0).physical();
        bus = new BigEndianBus(machine.bus());
        int revision = bus.get(base + MpicRegisters.BRR1);
        if (revision == MpicRegisters.NO_REGISTER) {
            throw new ErrnoException(Errno.ENODEV, "no MPIC answers at 0x%x (%s); is its unit attached?", base,
                node.path());
        }
        int version = revision & 0xffff;
        int features = bus.get(base + MpicRegisters.FRR);
        sources = sources(machine, node, (features >>> 16 & 0x7ff) + 1);
        int cores = Math.min((features >>> 8 & 0x1f) + 1, machine.cpus().size());
        if (settings.core() >= cores) {
            throw new ErrnoException(Errno.EINVAL, "interrupts cannot go to core %d: there are %d; configure another",
                settings.core(), cores);
        }
        List<MsiBankNode> places = version == VERSION_WITHOUT_MSI ? List.of() : MsiBankNode.of(machine, node, sources);

        core = new MpicCore(bus, base, settings.core(), sources, report);
        wires = new WireRoute[sources];
        List<MpicBank> banks = new ArrayList<>();
        for (int i = 0; i < places.size(); i++) {
            banks.add(new MpicBank(core, bus, places.get(i), i));
        }
        doorbells = new MpicDoorbells(banks, core);
        handler = machine.cpus().get(settings.core()).attach(core);
        try {
            reset();
            setUp(version, 1 << settings.core(), banks);
        } catch (RuntimeException | Error e) {
            handler.close();
            throw e;
        }
    }

    @Override
    public Attachment request(Wire wire, InterruptHandler interruptHandler) {
        Objects.requireNonNull(interruptHandler);
        if (!core.isOpen()) {
            throw new ErrnoException(Errno.ENODEV,
                "the driver of this MPIC has been stopped; use the service that is there now");
        }
        return route(wire).request(wire, interruptHandler);
    }

    /** {@inheritDoc} Wires that share a source, such as the errors of source 16, are masked together. */
    @Override
    public void mask(Wire wire, boolean masked) {
        WireRoute route;
        try {
            route = route(wire);
        } catch (ErrnoException e) {
            throw new ErrnoException(Errno.ENOENT, e, "nobody has requested <%s> of %s", wire.specifier(),
                wire.controller());
        }
        route.mask(wire, masked);
    }

    @Override
    public MsiDoorbells doorbells() {
        return doorbells;
    }

    /**
     * {@return how many interrupts came that nobody has a handler for, wires and messages; the first ones are reported}
     */
    public long unhandled() {
        return core.unhandled();
    }

    /** {@return how often the core was interrupted and found nothing} */
    public long spurious() {
        return core.spurious();
    }

    /** Masks everything and takes the handler away; when this returns no handler runs any more. Idempotent. */
    @Override
    public void close() {
        if (core.isOpen()) {
            // Where the hardware has gone already there is nothing to silence.
            int source = 0;
            while (source < sources && bus.offer(vpr(source), MpicRegisters.MASKED | identity(source))) {
                source++;
            }
            core.close();
        }
        handler.close();
    }

    /**
     * FRR is a lower bound: QEMU's model of 4.2 counts 196 and has registers of all MSI sources, which begin at 224.
     * What the tree names is there too, be it as {@code last-interrupt-source} or at the end of a wire.
     */
    private static int sources(Machine machine, Node node, int reported) {
        int count = reported;
        int[] last = node.cells("last-interrupt-source");
        if (last.length > 0 && last[0] >= 0 && last[0] < MpicRegisters.MAX_SOURCES) {
            count = Math.max(count, last[0] + 1);
        }
        for (Node each : machine.nodes()) {
            for (Wire wire : each.interrupts()) {
                if (wire.controller().equals(node.path()) && wire.input() < MpicRegisters.MAX_SOURCES) {
                    count = Math.max(count, wire.input() + 1);
                }
            }
        }
        return count;
    }

    private WireRoute route(Wire wire) {
        String[] cells = wire.specifier().trim().split("\\s+");
        boolean source = cells.length < 3 || !cells[2].matches("(0x)?[23]");
        boolean ours = wire.controller().equals(node.path());
        if (!ours || !source || wire.input() < 0 || wire.input() >= sources || wires[wire.input()] == null) {
            throw new ErrnoException(Errno.EINVAL, "<%s> of %s (input 0x%x) is no wire of %s: %s", wire.specifier(),
                wire.controller(), wire.input(), node.path(), !ours ? "another controller"
                    : !source ? "an interrupt between cores or a timer"
                    : wire.input() >= 0 && wire.input() < sources ? "the source of an MSI bank"
                    : String.format("it has 0x%x sources", sources));
        }
        return wires[wire.input()];
    }

    private void reset() {
        bus.put(base + MpicRegisters.GCR, MpicRegisters.RESET);
        int polls = 0;
        while (bus.get(base + MpicRegisters.GCR) < 0) {
            if (++polls == RESET_POLLS) {
                throw new ErrnoException(Errno.ETIMEDOUT, "the MPIC at 0x%x does not come out of reset", base);
            }
        }
    }

    private void setUp(int version, int destination, List<MpicBank> banks) {
        bus.put(base + MpicRegisters.GCR, MpicRegisters.MODE_MIXED);
        bus.put(base + MpicRegisters.SVR, MpicCore.SPURIOUS);
        for (int i = 0; i < IPIS; i++) {
            bus.put(base + MpicRegisters.IPIVPR + 0x10L * i, (i == 0 ? 0 : MpicRegisters.MASKED)
                | SETTLE_PRIORITY << MpicRegisters.PRIORITY_SHIFT | MpicCore.SETTLE);
        }
        for (int i = 0; i < TIMERS; i++) {
            bus.put(base + MpicRegisters.TIMER_A + (long) MpicRegisters.TIMER_STRIDE * i + MpicRegisters.GTVPR,
                MpicRegisters.MASKED);
            if (version >= MpicRegisters.VERSION_TIMER_B) {
                bus.put(base + MpicRegisters.TIMER_B + (long) MpicRegisters.TIMER_STRIDE * i + MpicRegisters.GTVPR,
                    MpicRegisters.MASKED);
            }
        }
        for (int source = 0; source < sources; source++) {
            bus.put(vpr(source), MpicRegisters.MASKED | identity(source));
            bus.put(vpr(source) + MpicRegisters.IDR, destination);
            if (version >= MpicRegisters.VERSION_ILR) {
                bus.put(vpr(source) + MpicRegisters.ILR, MpicRegisters.OUTPUT_INT);
            }
            wires[source] = new WireRoute(core, bus, vpr(source), source, identity(source));
            core.route(source, wires[source]);
        }
        if (version >= MpicRegisters.VERSION_ERRORS) {
            // All errors reach source 16, whose handlers share it.
            bus.put(base + MpicRegisters.EIMR0, 0);
        }
        List<MsiRoute> messages = new ArrayList<>();
        for (MpicBank bank : banks) {
            for (int register = 0; register < bank.place().layout().registers(); register++) {
                MsiRoute route = bank.route(register);
                if (route != null) {
                    int source = bank.place().source(register);
                    wires[source] = null;
                    core.route(source, route);
                    messages.add(route);
                    int stale = Integer.bitCount(route.clear());
                    if (stale != 0) {
                        core.unhandled(stale);
                        core.unwanted("messages of a time before this driver, source", source);
                    }
                    bus.put(vpr(source), identity(source));
                }
            }
        }
        core.open(messages.toArray(MsiRoute[]::new));
    }

    private long vpr(int source) {
        return base + MpicRegisters.SOURCE + (long) MpicRegisters.SOURCE_STRIDE * source;
    }

    private static int identity(int source) {
        return PRIORITY << MpicRegisters.PRIORITY_SHIFT | source;
    }
}
