// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import irq.api.InterruptController;
import irq.api.MsiBank;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Semaphore;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.Wire;
import org.apache.felix.service.command.Descriptor;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;

/**
 * The commands of scope {@code irq}: they use the interrupt controller's driver directly, with no device and no
 * container. Their results go into the report.
 */
@Component(service = IrqCommands.class, property = {"osgi.command.scope=irq", "osgi.command.function=bell",
    "osgi.command.function=wire", "osgi.command.function=masked", "gantry.command.group=to try: bell wire masked"})
public final class IrqCommands {
    private static final long PATIENCE_MILLIS = 5_000;
    /** The requester id of the messages. */
    private static final int REQUESTER = 0x1;

    private final Workbench bench;

    /** Built by Declarative Services. */
    @Activate
    public IrqCommands(@Reference(name = "bench") Workbench bench) {
        this.bench = bench;
    }

    @Descriptor("write an MSI's message to its doorbell, and see whom it reaches; takes the bank's vectors up to "
        + "that one for it")
    public String bell(@Descriptor("bank") String bankNumber, @Descriptor("number of the vector") String vectorNumber)
            throws InterruptedException {
        InterruptController controller = bench.controller();
        int index = Amount.parseInt(bankNumber);
        int number = Amount.parseInt(vectorNumber);
        MsiBank bank = controller.doorbells().banks().stream().filter(one -> one.index() == index).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "there is no MSI bank %d; there are %s", index,
                controller.doorbells().banks().stream().map(MsiBank::index).toList()));
        if (number < 0 || number >= bank.vectors()) {
            throw new ErrnoException(Errno.EINVAL, "vector %d of bank %d, which has %d", number, index, bank.vectors());
        }
        Semaphore due = new Semaphore(0);
        AtomicLong strays = new AtomicLong();
        List<MsiVector> taken = new ArrayList<>();
        try {
            MsiVector vector;
            do {
                int next = taken.size();
                vector = controller.doorbells().allocate(new MsiRequest(REQUESTER, List.of(index), () -> {
                    if (next == taken.size() - 1) {
                        due.release();
                    } else {
                        strays.incrementAndGet();
                    }
                }));
                taken.add(vector);
            } while (vector.number() < number);
            if (vector.number() != number) {
                throw new ErrnoException(Errno.EBUSY, "vector %d of bank %d is taken", number, index);
            }
            MsiMessage message = controller.doorbells().compose(vector);
            long doorbell = bank.page() + message.offset();
            long begin = System.nanoTime();
            if (bench.machine().bus().write(REQUESTER, doorbell, 4, message.data() & 0xffff_ffffL) != Bus.OK) {
                throw new ErrnoException(Errno.EIO, "no doorbell answers at 0x%x", doorbell);
            }
            long delivered = due.tryAcquire(PATIENCE_MILLIS, TimeUnit.MILLISECONDS) ? 1 : 0;
            return record(
                new Journal.Interrupt("-", "-", true, index, number, doorbell, message.data(),
                delivered + due.drainPermits(), strays.get(), (System.nanoTime() - begin) / 1000));
        } finally {
            taken.forEach(controller.doorbells()::release);
        }
    }

    @Descriptor("assert a wire of an interrupt controller, see whom it reaches; requests it for that; the handler "
        + "lowers it")
    public String wire(@Descriptor("end of the controller's path") String controller,
        @Descriptor("number of the input") String input)
            throws InterruptedException {
        return wire(controller, input, false);
    }

    @Descriptor("as irq:wire, masked at first; nothing may arrive before it is unmasked")
    public String masked(@Descriptor("end of the controller's path") String controller,
        @Descriptor("number of the input") String input)
            throws InterruptedException {
        return wire(controller, input, true);
    }

    private String wire(String controllerPath, String inputNumber, boolean masked) throws InterruptedException {
        InterruptController controller = bench.controller();
        String path = bench.machine().nodes().stream().map(Node::path).filter(one -> one.endsWith(controllerPath))
            .findFirst()
            .orElseThrow(
                () -> new ErrnoException(Errno.ENOENT, "no node's path ends in %s; see vfio:nodes", controllerPath));
        int input = Amount.parseInt(inputNumber);
        // Level, active high.
        Wire wire = new Wire(path, input, true, input + " 2 0 0");
        AtomicBoolean level = new AtomicBoolean();
        PolledLine line = bench.machine().line(wire, level::get);
        Semaphore due = new Semaphore(0);
        try (Attachment request = controller.request(wire, () -> {
            level.set(false);
            line.update();
            due.release();
        })) {
            long early = 0;
            if (masked) {
                controller.mask(wire, true);
                level.set(true);
                line.update();
                bench.machine().bus().sync();
                early = due.drainPermits();
                controller.mask(wire, false);
            }
            long begin = System.nanoTime();
            if (!masked) {
                level.set(true);
                line.update();
            }
            long delivered = due.tryAcquire(PATIENCE_MILLIS, TimeUnit.MILLISECONDS) ? 1 : 0;
            return record(
                new Journal.Interrupt("-", "input " + input + (masked ? ", masked first" : ""), false, -1, -1, 0, 0,
                delivered + due.drainPermits(), early, (System.nanoTime() - begin) / 1000));
        } finally {
            line.close();
        }
    }

    private String record(Journal.Interrupt interrupt) {
        bench.journal().add(interrupt);
        return String.format("%d delivered, %d where none was due, after %d µs", interrupt.delivered(),
            interrupt.stray(), interrupt.micros());
    }
}
