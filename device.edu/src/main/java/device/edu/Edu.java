// SPDX-License-Identifier: Apache-2.0
package device.edu;

import static device.edu.EduRegisters.BUFFER;
import static device.edu.EduRegisters.COMPUTING;
import static device.edu.EduRegisters.DMA_COMMAND;
import static device.edu.EduRegisters.DMA_COUNT;
import static device.edu.EduRegisters.DMA_DESTINATION;
import static device.edu.EduRegisters.DMA_SOURCE;
import static device.edu.EduRegisters.FACTORIAL;
import static device.edu.EduRegisters.INTERRUPT_ACKNOWLEDGE;
import static device.edu.EduRegisters.INTERRUPT_AFTER_FACTORIAL;
import static device.edu.EduRegisters.INTERRUPT_RAISE;
import static device.edu.EduRegisters.LIVENESS;
import static device.edu.EduRegisters.RUN;

import java.util.Arrays;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantReadWriteLock;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Machine;
import machine.api.PciFunction;
import machine.api.PolledLine;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Wire;
import machine.api.pci.ModelConfig;

/**
 * The device: its registers, its DMA engine, its interrupts. Before stop 1 of the road; next {@link DmaPort#write}, for
 * data as for its MSIs.
 *
 * <p>One lock guards configuration space and registers; it is never held while the device speaks on the bus or drives
 * its wire, so a handler that runs inside an interrupt may access the device. Factorials and DMA run on the device's
 * own thread, their completion interrupts too; an interrupt raised by a register write runs on the writer's thread.
 */
public final class Edu implements PciFunction, AutoCloseable {
    private static final int INTA = 1;

    private final Slot slot;
    private final String name;
    private final Optional<Wire> wire;
    private volatile EduSettings settings;
    private final DmaPort port;
    private final PolledLine line;
    private final Thread engine;
    private final Object lock = new Object();
    /** Held for reading while a message is on its way. */
    private final ReentrantReadWriteLock posted = new ReentrantReadWriteLock();

    // Guarded by lock.
    private final ModelConfig config = ModelConfig.of(0x1234, 0x11e8).type(0x00ff00, 0x10)
        // As QEMU gives it to every device without one of its own.
        .subsystem(0x1af4, 0x1100).bar(0, 1 << 20).pin(1).msi().build();
    private int liveness;
    private int factorial;
    private int status;
    private int interruptStatus;
    private long source;
    private long destination;
    private long count;
    private long command;
    private long dmaDue;
    /** Grows with every reset: what the engine began before does not come to an end. */
    private int resets;
    private boolean engineBusy;
    private boolean closed;
    private long outOfBuffer;
    private long refusedTransfers;
    private long refusedMessages;

    /** The 4 KiB at 0x40000. Only the engine reaches it, and {@link #reset} while the engine waits. */
    private final byte[] buffer = new byte[EduRegisters.BUFFER_SIZE];

    /**
     * Plugs a device into a slot.
     *
     * @param device PCI device number, 0..31
     * @param function PCI function number, 0..7
     * @throws machine.api.ErrnoException EBUSY if there is a device at that place; EINVAL or ENXIO as
     *     {@link Slot#requester}
     */
    public Edu(Machine machine, Slot slot, int device, int function, EduSettings settings) {
        this.slot = slot;
        this.settings = settings;
        this.name = slot.address(device, function);
        this.wire = slot.interrupt(device, INTA);
        this.port = machine.openPort(slot, device, function);
        try {
            this.line = wire.isPresent() ? machine.line(wire.get(), this::asserted) : PolledLine.NONE;
            this.engine = new Thread(this::serve, "device.edu " + name);
            engine.setDaemon(true);
            engine.start();
        } catch (RuntimeException | Error e) {
            port.close();
            throw e;
        }
    }

    /** Has other address lines, and another delay, from the next transfer on. */
    public void change(EduSettings next) {
        settings = next;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public Slot slot() {
        return slot;
    }

    @Override
    public Requester requester() {
        return port.requester();
    }

    @Override
    public Optional<Wire> interrupt() {
        return wire;
    }

    @Override
    public int configSize() {
        return ModelConfig.SIZE;
    }

    /**
     * @throws IllegalArgumentException for a size that is not 1, 2 or 4, or an offset that is not aligned or outside
     */
    @Override
    public long readConfig(int offset, int size) {
        verify(offset, size, 4, ModelConfig.SIZE, "configuration space");
        flush();
        synchronized (lock) {
            config.interruptStatus(interruptStatus != 0 && !config.msiEnabled());
            return config.read(offset, size);
        }
    }

    /** @throws IllegalArgumentException as {@link #readConfig} */
    @Override
    public void writeConfig(int offset, int size, long value) {
        verify(offset, size, 4, ModelConfig.SIZE, "configuration space");
        synchronized (lock) {
            if (closed) {
                return;
            }
            config.write(offset, size, value);
        }
        line.update();
    }

    /** @throws IllegalArgumentException if {@code bar} is not 0..5 */
    @Override
    public long barSize(int bar) {
        if (bar < 0 || bar > 5) {
            throw new IllegalArgumentException("BAR " + bar);
        }
        return config.barSize(bar);
    }

    /**
     * {@inheritDoc} All ones where there is no register, while memory is disabled in the command register, and for a
     * size the register does not have.
     *
     * @throws IllegalArgumentException for a BAR the device does not have, a size that is not 1, 2, 4 or 8, or an
     *     offset that is not aligned or outside
     */
    @Override
    public long readBar(int bar, long offset, int size) {
        verify(offset, size, 8, barSize(bar), "BAR");
        long ones = size == 8 ? -1L : (1L << 8 * size) - 1;
        synchronized (lock) {
            return config.memoryEnabled() && EduRegisters.accepts(offset, size) ? register((int) offset) & ones : ones;
        }
    }

    /**
     * {@inheritDoc} Dropped where there is no register, while memory is disabled in the command register, and for a
     * size the register does not have.
     *
     * @throws IllegalArgumentException as {@link #readBar}
     */
    @Override
    public void writeBar(int bar, long offset, int size, long value) {
        verify(offset, size, 8, barSize(bar), "BAR");
        boolean raised = false;
        int epoch;
        synchronized (lock) {
            if (closed || !config.memoryEnabled() || !EduRegisters.accepts(offset, size)) {
                return;
            }
            epoch = resets;
            long word = size == 8 ? value : value & 0xffffffffL;
            switch ((int) offset) {
                case LIVENESS -> liveness = ~(int) word;
                case FACTORIAL -> compute((int) word);
                case EduRegisters.STATUS -> status = status & COMPUTING | (int) word & INTERRUPT_AFTER_FACTORIAL;
                case INTERRUPT_RAISE -> raised = latch((int) word);
                case INTERRUPT_ACKNOWLEDGE -> interruptStatus &= ~(int) word;
                case DMA_SOURCE, DMA_DESTINATION, DMA_COUNT, DMA_COMMAND -> program((int) offset, word);
                default -> {
                    return;
                }
            }
        }
        if (raised) {
            signal(epoch);
        } else if (offset == INTERRUPT_ACKNOWLEDGE) {
            line.update();
        }
    }

    /**
     * {@inheritDoc} The buffer is zero afterwards. A transfer that waits at a shut gate is dropped at once. A handler
     * that runs on the device's own thread may call this; the transfer whose interrupt it handles is finished then.
     */
    @Override
    public void reset() {
        try (Attachment dismissed = port.dismiss()) {
            synchronized (lock) {
                resets++;
                power();
                lock.notifyAll();
                awaitEngine();
                Arrays.fill(buffer, (byte) 0);
            }
        }
        line.update();
    }

    /** Takes the device out: its thread has ended, its wire is low, its place is free. Idempotent. */
    @Override
    public void close() {
        synchronized (lock) {
            resets++;
            closed = true;
            power();
            lock.notifyAll();
        }
        try (Attachment dismissed = port.dismiss()) {
            join();
        }
        line.close();
        port.close();
    }

    /** {@return DMA commands that were not carried out because they reach beyond the buffer; QEMU would end there} */
    public long outOfBuffer() {
        synchronized (lock) {
            return outOfBuffer;
        }
    }

    /** {@return DMA commands that were refused on the bus, or not sent for want of the bus master bit} */
    public long refusedTransfers() {
        synchronized (lock) {
            return refusedTransfers;
        }
    }

    /** {@return MSIs that were refused on the bus, or not sent for want of the bus master bit} */
    public long refusedMessages() {
        synchronized (lock) {
            return refusedMessages;
        }
    }

    // Registers. All of it is called with the lock held.

    private long register(int offset) {
        return switch (offset) {
            case EduRegisters.IDENTIFICATION -> EduRegisters.IDENTITY;
            case LIVENESS -> liveness;
            case FACTORIAL -> factorial;
            case EduRegisters.STATUS -> status;
            case EduRegisters.INTERRUPT_STATUS -> interruptStatus;
            case DMA_SOURCE -> source;
            case DMA_DESTINATION -> destination;
            case DMA_COUNT -> count;
            case DMA_COMMAND -> command;
            default -> -1;
        };
    }

    /** QEMU: a number written while one is being worked on is dropped. */
    private void compute(int number) {
        if ((status & COMPUTING) == 0) {
            factorial = number;
            status |= COMPUTING;
            lock.notifyAll();
        }
    }

    /** QEMU: while a transfer runs its registers do not change; a command without the run bit is dropped. */
    private void program(int offset, long value) {
        if ((command & RUN) != 0) {
            return;
        }
        switch (offset) {
            case DMA_SOURCE -> source = value;
            case DMA_DESTINATION -> destination = value;
            case DMA_COUNT -> count = value;
            default -> {
                if ((value & RUN) != 0) {
                    command = value;
                    dmaDue = System.nanoTime() + settings.dmaDelayNanos();
                    lock.notifyAll();
                }
            }
        }
    }

    /** {@return whether there is an interrupt to signal: raising nothing while nothing is raised is none} */
    private boolean latch(int value) {
        interruptStatus |= value;
        return interruptStatus != 0;
    }

    private void power() {
        config.reset();
        liveness = 0;
        factorial = 0;
        status = 0;
        interruptStatus = 0;
        source = 0;
        destination = 0;
        count = 0;
        command = 0;
    }

    /**
     * Waits for the messages that other threads are sending. PCI: the answer to a read does not pass writes that were
     * posted before it, so a host that has changed the message and then reads knows that the old one is not on its way
     * any more.
     */
    @SuppressWarnings("LockNotBeforeTry")
    private void flush() {
        if (posted.getReadHoldCount() == 0) {
            posted.writeLock().lock();
            posted.writeLock().unlock();
        }
    }

    // Interrupts. All of it is called without the lock.

    /** An MSI is a memory write like any other; without MSI the wire shows whether something is raised. */
    private void signal(int epoch) {
        boolean sent;
        posted.readLock().lock();
        try {
            sent = message(epoch);
        } finally {
            posted.readLock().unlock();
        }
        if (!sent) {
            line.update();
        }
    }

    /** {@return whether there is nothing for the wire to show} */
    private boolean message(int epoch) {
        long address;
        long data;
        synchronized (lock) {
            if (epoch != resets) {
                return true;
            }
            if (!config.msiEnabled()) {
                return false;
            }
            address = config.msiAddress();
            data = config.msiData();
            if (!config.busMaster()) {
                refusedMessages++;
                return true;
            }
        }
        if (port.write(address, 4, data) != Bus.OK) {
            synchronized (lock) {
                refusedMessages++;
            }
        }
        return true;
    }

    /** The level of the pin. Asked by the machine, which holds no lock of ours meanwhile. */
    private boolean asserted() {
        synchronized (lock) {
            return interruptStatus != 0 && !config.msiEnabled() && !config.intxDisabled();
        }
    }

    // The engine.

    private void serve() {
        while (true) {
            int epoch;
            boolean transfer;
            synchronized (lock) {
                engineBusy = false;
                lock.notifyAll();
                if (!awaitWork()) {
                    return;
                }
                engineBusy = true;
                epoch = resets;
                transfer = (status & COMPUTING) == 0;
            }
            try {
                if (transfer ? transfer(epoch) : factorial(epoch)) {
                    signal(epoch);
                }
            } catch (Throwable e) {
                report(e);
            }
        }
    }

    /** Reports an exception of a unit, a doorbell or a handler behind it; the device goes on. */
    private void report(Throwable e) {
        try {
            engine.getUncaughtExceptionHandler().uncaughtException(engine, e);
        } catch (Throwable again) {
            e.addSuppressed(again);
            System.getLogger("device.edu").log(System.Logger.Level.ERROR, name + ": what it spoke to failed", e);
        }
    }

    /** {@return false when the device is closed} */
    private boolean awaitWork() {
        while (!closed) {
            if ((status & COMPUTING) != 0) {
                return true;
            }
            try {
                if ((command & RUN) == 0) {
                    lock.wait();
                } else {
                    long left = dmaDue - System.nanoTime();
                    if (left <= 0) {
                        return true;
                    }
                    TimeUnit.NANOSECONDS.timedWait(lock, left + 999_999);
                }
            } catch (InterruptedException e) {
                // Nobody stops a device by interrupting its thread; closing it does.
            }
        }
        return false;
    }

    /** {@return whether to interrupt} */
    private boolean factorial(int epoch) {
        int number;
        synchronized (lock) {
            number = factorial;
        }
        int result = 1;
        for (int n = number; n != 0 && result != 0; n--) {
            result *= n;
        }
        synchronized (lock) {
            if (epoch != resets) {
                return false;
            }
            factorial = result;
            status &= ~COMPUTING;
            return (status & INTERRUPT_AFTER_FACTORIAL) != 0 && latch(EduRegisters.FACTORIAL_INTERRUPT);
        }
    }

    /** {@return whether to interrupt; QEMU: a transfer that was refused interrupts too} */
    private boolean transfer(int epoch) {
        long from;
        long to;
        long bytes;
        boolean toMemory;
        synchronized (lock) {
            if (epoch != resets) {
                return false;
            }
            from = source;
            to = destination;
            bytes = count;
            toMemory = (command & EduRegisters.TO_MEMORY) != 0;
            if (!EduRegisters.inBuffer(toMemory ? from : to, bytes)) {
                outOfBuffer++;
                return done();
            }
            if (!config.busMaster()) {
                refusedTransfers++;
                return done();
            }
        }
        int refusal;
        try {
            refusal = toMemory
                ? port.write(to & settings.dmaMask(), buffer, (int) (from - BUFFER), (int) bytes)
                : port.read(from & settings.dmaMask(), buffer, (int) (to - BUFFER), (int) bytes);
        } catch (Throwable e) {
            report(e);
            refusal = Refusal.UNSUPPORTED;
        }
        synchronized (lock) {
            if (refusal != Bus.OK) {
                refusedTransfers++;
            }
            return epoch == resets && done();
        }
    }

    private boolean done() {
        command &= ~RUN;
        return (command & EduRegisters.INTERRUPT) != 0 && latch(EduRegisters.DMA_INTERRUPT);
    }

    /** Waits until the engine waits, unless it is the engine that asks. */
    private void awaitEngine() {
        boolean interrupted = false;
        while (engineBusy && Thread.currentThread() != engine) {
            try {
                lock.wait();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void join() {
        boolean interrupted = false;
        while (engine.isAlive() && Thread.currentThread() != engine) {
            try {
                engine.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private static void verify(long offset, int size, int largest, long end, String where) {
        boolean power = size > 0 && size <= largest && (size & size - 1) == 0;
        if (!power || offset < 0 || offset > end - size || (offset & size - 1) != 0) {
            throw new IllegalArgumentException(
                String.format("%d bytes at 0x%x of a %s of 0x%x bytes", size, offset, where, end));
        }
    }
}
