// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MpicRegisters;
import irq.mpic.MsiLayout;
import java.util.List;
import java.util.Map;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Unit;

/**
 * A Freescale MPIC with the MSI banks inside its block: 0x40000 bytes of registers, one input for each interrupt
 * source, one pin for each core. Stop 4 of the road for an MSI; before it a port's look-up among the windows, after it
 * {@link Cpu#pin}.
 *
 * <p><b>Concurrency.</b> Any number of threads. One short lock guards the state: it is held for a few bit operations
 * and a scan of some words, never across a call to anything outside this package, so a thread that waits for it waits
 * for arithmetic. Hardware has the same lock, its register bus. Pins are driven after it is released ({@link
 * Core#drive}), because a driver's handler runs inside {@link Cpu#pin} and comes back here; an acknowledge drives the
 * pin even if its level did not change, so that a pin which lost a race is low again when the handler asks for the
 * reason.
 *
 * <p><b>Bytes.</b> The registers are big-endian and the bus carries little-endian values; {@link #read} and
 * {@link #write} reverse the bytes and nothing else does. So a device's little-endian payload 0x67 is 0x67000000 in
 * MSIIR.
 *
 * <p>What is not there reads as all ones and ignores writes. Registers take 4 bytes; the doorbells take 1 and 2 as
 * well, missing bytes are zero. (MPIC sections 1 to 5.)
 */
public final class Mpic implements Mmio, InterruptInputs {
    private static final int IPIS = 4;
    private static final int IPI_VPR = MpicRegisters.MASKED | MpicRegisters.PRIORITY_MASK | MpicRegisters.VECTOR_MASK;
    private static final int GROUP = 0x300;
    private static final int MESSAGE_GROUP = 0x120;
    private static final int NONE = -1;

    private final MpicModel model;
    private final MsiLayout layout;
    private final Core[] cores;

    // Guarded by this.
    private final Sources sources;
    private final MsiRegisters messages;
    private final Timers timersA;
    private final Timers timersB;
    private final MessageRegisters mailA;
    private final MessageRegisters mailB;
    private final int[] ipiVpr = new int[IPIS];
    /** The cores that wait for each of them. */
    private final int[] ipiPending = new int[IPIS];
    private int configuration;
    private int processorReset;
    private int spurious;
    private int timerFrequency;
    private int errorMask;
    /** Cores whose pins have to be driven when the lock is released. */
    private int undriven;

    /**
     * @param cpus the cores, at least as many as the model has
     * @throws IllegalArgumentException if there are fewer
     */
    public Mpic(MpicModel model, List<Cpu> cpus) {
        if (cpus.size() < model.cpus()) {
            throw new IllegalArgumentException(cpus.size() + " cores for an MPIC of " + model.cpus());
        }
        this.model = model;
        layout = model.layout();
        cores = new Core[model.cpus()];
        for (int i = 0; i < cores.length; i++) {
            cores[i] = new Core(cpus.get(i));
        }
        sources = new Sources(model);
        messages = new MsiRegisters(layout, sources);
        timersA = new Timers(model.cpuMask());
        timersB = new Timers(model.cpuMask());
        mailA = new MessageRegisters(sources, MpicRegisters.MSGR_SOURCE);
        mailB = new MessageRegisters(sources, MpicRegisters.MSGR_SOURCE + 4);
        resetRegisters();
    }

    /**
     * {@return this, ready to be attached to its node}
     *
     * @throws ErrnoException EINVAL if the node's first register range is not 0x40000 bytes
     */
    public Unit unit(Node node) {
        List<Node.Range> ranges = node.registers();
        if (ranges.isEmpty() || ranges.get(0).size() != MpicRegisters.SIZE) {
            throw new ErrnoException(Errno.EINVAL, "%s: an MPIC has 0x%x bytes of registers, the node says %s",
                node.path(), MpicRegisters.SIZE,
                ranges.isEmpty() ? "nothing" : String.format("0x%x", ranges.get(0).size()));
        }
        return new Unit(List.of(new Unit.Window(ranges.get(0).physical(), MpicRegisters.SIZE, this)), Map.of(), this);
    }

    /** Resets as GCR does, and so lowers all pins: after this nothing is delivered until a driver has set it up. */
    public void reset() {
        int drive;
        synchronized (this) {
            resetRegisters();
            drive = driven();
        }
        drive(drive);
    }

    /** {@return the level of a core's critical interrupt; any thread} */
    public boolean critical(int cpu) {
        return cores[cpu].critical();
    }

    /** {@return the level of a core's machine check; any thread} */
    public boolean machineCheck(int cpu) {
        return cores[cpu].machineCheck();
    }

    /** {@return what a read would answer, big-endian, without its side effects: for a debugger} */
    public int peek(int offset) {
        synchronized (this) {
            return get(offset, true);
        }
    }

    @Override
    public long read(long offset, int size) {
        if (size == 8) {
            return read(offset, 4) | read(offset + 4, 4) << 32;
        }
        if (size != 4) {
            return -1L >>> 64 - 8 * size;
        }
        int value;
        int drive;
        synchronized (this) {
            value = get((int) offset, false);
            drive = driven();
        }
        drive(drive);
        return Integer.reverseBytes(value) & 0xffffffffL;
    }

    @Override
    public void write(int requester, long offset, int size, long value) {
        if (size == 8) {
            write(requester, offset, 4, value & 0xffffffffL);
            write(requester, offset + 4, 4, value >>> 32);
            return;
        }
        int register = (int) offset;
        boolean doorbell = bank(register) != NONE && doorbell(register);
        if (size != 4 && !doorbell) {
            return;
        }
        int bigEndian = Integer.reverseBytes((int) value);
        int drive;
        synchronized (this) {
            if (doorbell) {
                ring(bank(register), register, bigEndian);
            } else {
                put(register, bigEndian);
            }
            drive = driven();
        }
        drive(drive);
    }

    @Override
    public void set(int input, boolean asserted) {
        if (input < 0 || input >= model.sources()) {
            return;
        }
        synchronized (this) {
            sources.wire(input, asserted);
            refresh(sources.destinations(input));
        }
    }

    @Override
    public void settle() {
        int drive;
        synchronized (this) {
            drive = driven();
        }
        drive(drive);
    }

    private void drive(int which) {
        for (int left = which; left != 0; left &= left - 1) {
            cores[Integer.numberOfTrailingZeros(left)].drive();
        }
    }

    // ---- From here on the lock is held. Values are big-endian register values. ----

    private int driven() {
        int which = undriven;
        undriven = 0;
        return which;
    }

    private void resetRegisters() {
        sources.reset();
        timersA.reset();
        timersB.reset();
        mailA.reset();
        mailB.reset();
        for (int i = 0; i < IPIS; i++) {
            ipiVpr[i] = MpicRegisters.MASKED;
            ipiPending[i] = 0;
        }
        configuration = 0;
        processorReset = 0;
        spurious = MpicRegisters.VECTOR_MASK;
        timerFrequency = 0;
        errorMask = 0;
        for (Core core : cores) {
            core.reset();
        }
        refresh(model.cpuMask());
    }

    /** After every change: works out anew what these cores are offered, and the levels of their pins. */
    private void refresh(int cpus) {
        for (int left = cpus; left != 0; left &= left - 1) {
            int cpu = Integer.numberOfTrailingZeros(left);
            Core core = cores[cpu];
            if (core.offer(best(cpu, core.threshold()))) {
                undriven |= 1 << cpu;
            }
            if (sources.otherOutputs()) {
                core.level(sources.critical(cpu), sources.machineCheck(cpu));
            }
        }
    }

    /**
     * What the core is to be offered: the pending one of the highest priority, if that exceeds the threshold. Numbers
     * from {@link MpicModel#sources} on are interrupts between cores.
     */
    private int best(int cpu, int threshold) {
        if ((configuration & MpicRegisters.MODE_MASK) == 0) {
            return Core.NONE;
        }
        int best = sources.best(cpu, threshold);
        return (ipiPending[0] | ipiPending[1] | ipiPending[2] | ipiPending[3]) == 0 ? best
            : bestIpi(cpu, best, best == Core.NONE ? threshold : sources.priority(best));
    }

    private int bestIpi(int cpu, int best, int highest) {
        for (int i = 0; i < IPIS; i++) {
            int priority = priority(ipiVpr[i]);
            if ((ipiPending[i] >>> cpu & 1) != 0 && ipiVpr[i] >= 0 && priority > highest) {
                highest = priority;
                best = model.sources() + i;
            }
        }
        return best;
    }

    private int acknowledge(int cpu) {
        int number = cores[cpu].offered();
        undriven |= 1 << cpu;
        if (number == Core.NONE) {
            return spurious;
        }
        int vpr;
        if (number < model.sources()) {
            vpr = sources.vpr(number);
            sources.acknowledged(number);
            cores[cpu].begin(priority(vpr), number);
            refresh(sources.destinations(number) & ~(1 << cpu));
        } else {
            vpr = ipiVpr[number - model.sources()];
            ipiPending[number - model.sources()] &= ~(1 << cpu);
            cores[cpu].begin(priority(vpr), number);
        }
        return vpr & MpicRegisters.VECTOR_MASK;
    }

    private void ring(int bank, int register, int value) {
        int message;
        int bit;
        if (place(register) == MsiLayout.MSIIR1) {
            message = value >>> 24 & 0xf;
            bit = value >>> 28 | value >>> 12 & 0x10;
        } else {
            message = value >>> 29;
            bit = value >>> 24 & 0x1f;
        }
        refresh(sources.destinations(messages.ring(bank, message, bit)));
    }

    private int get(int offset, boolean peek) {
        if (offset >= MpicRegisters.CPU) {
            int cpu = (offset - MpicRegisters.CPU) / MpicRegisters.CPU_STRIDE;
            return cpu < cores.length ? core(cpu, offset % MpicRegisters.CPU_STRIDE, peek) : MpicRegisters.NO_REGISTER;
        }
        if (offset >= MpicRegisters.SOURCE) {
            return source((offset - MpicRegisters.SOURCE) / MpicRegisters.SOURCE_STRIDE,
                offset % MpicRegisters.SOURCE_STRIDE);
        }
        if (bank(offset) != NONE) {
            return offset >= MsiLayout.ALIAS ? doorbell(offset) ? 0 : MpicRegisters.NO_REGISTER
                : message(bank(offset), offset % MsiLayout.BANK_STRIDE, peek);
        }
        if (offset < MpicRegisters.FRR) {
            return offset == MpicRegisters.BRR1 ? model.brr1() : core(0, offset, peek);
        }
        if (in(offset, MpicRegisters.TIMER_A, GROUP)) {
            return timersA.get(offset - MpicRegisters.TIMER_A);
        }
        if (in(offset, MpicRegisters.TIMER_B, GROUP) && model.has(MpicRegisters.VERSION_TIMER_B)) {
            return timersB.get(offset - MpicRegisters.TIMER_B);
        }
        if (in(offset, MpicRegisters.MSGR_A, MESSAGE_GROUP)) {
            int value = mailA.get(offset - MpicRegisters.MSGR_A, peek);
            refresh(peek ? 0 : model.cpuMask());
            return value;
        }
        if (in(offset, MpicRegisters.MSGR_B, MESSAGE_GROUP)) {
            int value = mailB.get(offset - MpicRegisters.MSGR_B, peek);
            refresh(peek ? 0 : model.cpuMask());
            return value;
        }
        int ipi = ipi(offset, MpicRegisters.IPIVPR);
        if (ipi != NONE) {
            return ipiVpr[ipi]
                | (active(model.sources() + ipi, ipiPending[ipi] != 0 && ipiVpr[ipi] >= 0) ? MpicRegisters.ACTIVITY
                    : 0);
        }
        return switch (offset) {
            case MpicRegisters.FRR -> model.frr();
            case MpicRegisters.GCR -> configuration;
            case MpicRegisters.VIR -> 0;
            case MpicRegisters.PIR -> processorReset;
            case MpicRegisters.SVR -> spurious;
            case MpicRegisters.TFRR -> timerFrequency;
            case MpicRegisters.EISR0 -> model.has(MpicRegisters.VERSION_ERRORS) ? 0 : MpicRegisters.NO_REGISTER;
            case MpicRegisters.EIMR0 -> model.has(MpicRegisters.VERSION_ERRORS) ? errorMask : MpicRegisters.NO_REGISTER;
            default -> MpicRegisters.NO_REGISTER;
        };
    }

    private void put(int offset, int value) {
        if (offset >= MpicRegisters.CPU) {
            int cpu = (offset - MpicRegisters.CPU) / MpicRegisters.CPU_STRIDE;
            if (cpu < cores.length) {
                core(cpu, offset % MpicRegisters.CPU_STRIDE, value);
            }
        } else if (offset >= MpicRegisters.SOURCE) {
            source((offset - MpicRegisters.SOURCE) / MpicRegisters.SOURCE_STRIDE, offset % MpicRegisters.SOURCE_STRIDE,
                value);
        } else if (offset < MpicRegisters.FRR) {
            core(0, offset, value);
        } else if (in(offset, MpicRegisters.TIMER_A, GROUP)) {
            timersA.put(offset - MpicRegisters.TIMER_A, value);
        } else if (in(offset, MpicRegisters.TIMER_B, GROUP) && model.has(MpicRegisters.VERSION_TIMER_B)) {
            timersB.put(offset - MpicRegisters.TIMER_B, value);
        } else if (in(offset, MpicRegisters.MSGR_A, MESSAGE_GROUP)) {
            mailA.put(offset - MpicRegisters.MSGR_A, value);
            refresh(model.cpuMask());
        } else if (in(offset, MpicRegisters.MSGR_B, MESSAGE_GROUP)) {
            mailB.put(offset - MpicRegisters.MSGR_B, value);
            refresh(model.cpuMask());
        } else {
            global(offset, value);
        }
    }

    private void global(int offset, int value) {
        int ipi = ipi(offset, MpicRegisters.IPIVPR);
        if (ipi != NONE) {
            ipiVpr[ipi] = value & IPI_VPR;
            refresh(model.cpuMask());
            return;
        }
        switch (offset) {
            case MpicRegisters.GCR -> {
                if ((value & MpicRegisters.RESET) != 0) {
                    resetRegisters();
                } else {
                    configuration = value
                    & (model.has(MpicRegisters.VERSION_ILR) ? MpicRegisters.MODE_MASK : MpicRegisters.MODE_MIXED);
                    refresh(model.cpuMask());
                }
            }
            case MpicRegisters.PIR -> processorReset = value & model.cpuMask();
            case MpicRegisters.SVR -> spurious = value & MpicRegisters.VECTOR_MASK;
            case MpicRegisters.TFRR -> timerFrequency = value;
            case MpicRegisters.EIMR0 -> errorMask = value;
            default -> {
            }
        }
    }

    private int core(int cpu, int offset, boolean peek) {
        return switch (offset) {
            case MpicRegisters.CTPR -> cores[cpu].taskPriority();
            case MpicRegisters.WHOAMI -> cpu;
            case MpicRegisters.IACK -> peek ? MpicRegisters.NO_REGISTER : acknowledge(cpu);
            case MpicRegisters.EOI -> 0;
            default -> ipi(offset, MpicRegisters.IPIDR) != NONE ? 0 : MpicRegisters.NO_REGISTER;
        };
    }

    private void core(int cpu, int offset, int value) {
        switch (offset) {
            case MpicRegisters.CTPR -> {
                cores[cpu].taskPriority(value & MpicRegisters.TASK_PRIORITY_MASK);
                refresh(1 << cpu);
            }
            case MpicRegisters.EOI -> {
                cores[cpu].end();
                refresh(1 << cpu);
            }
            default -> {
                int ipi = ipi(offset, MpicRegisters.IPIDR);
                if (ipi != NONE) {
                    ipiPending[ipi] |= value & model.cpuMask();
                    refresh(value & model.cpuMask());
                }
            }
        }
    }

    private int source(int source, int register) {
        if (source >= model.sources()) {
            return MpicRegisters.NO_REGISTER;
        }
        return switch (register) {
            case MpicRegisters.VPR -> sources.vpr(source)
                | (active(source, sources.pending(source) && sources.vpr(source) >= 0) ? MpicRegisters.ACTIVITY : 0);
            case MpicRegisters.IDR -> sources.idr(source);
            case MpicRegisters.ILR ->
            model.has(MpicRegisters.VERSION_ILR) ? sources.ilr(source) : MpicRegisters.NO_REGISTER;
            default -> MpicRegisters.NO_REGISTER;
        };
    }

    private void source(int source, int register, int value) {
        if (source >= model.sources()) {
            return;
        }
        int before = sources.destinations(source);
        switch (register) {
            case MpicRegisters.VPR -> sources.vpr(source, value);
            case MpicRegisters.IDR -> sources.idr(source, value);
            case MpicRegisters.ILR -> {
                if (model.has(MpicRegisters.VERSION_ILR)) {
                    sources.ilr(source, value);
                }
            }
            default -> {
            }
        }
        refresh(before | sources.destinations(source));
    }

    private int message(int bank, int offset, boolean peek) {
        if (offset == MsiLayout.MSISR) {
            return messages.summary(bank);
        }
        if (doorbell(offset)) {
            return 0;
        }
        int register = offset / MsiLayout.MSIR_STRIDE;
        if (register >= layout.registers() || offset % MsiLayout.MSIR_STRIDE != 0) {
            return MpicRegisters.NO_REGISTER;
        }
        if (peek) {
            return messages.peek(bank, register);
        }
        int bits = messages.take(bank, register);
        refresh(sources.destinations(MsiLayout.source(bank, register)));
        return bits;
    }

    private boolean active(int number, boolean requested) {
        if (requested) {
            return true;
        }
        for (Core core : cores) {
            if (core.serves(number)) {
                return true;
            }
        }
        return false;
    }

    // ---- Places ----

    /** The bank whose registers or alias page the offset lies in. */
    private int bank(int offset) {
        if (in(offset, MsiLayout.ALIAS, layout.banks() * MsiLayout.ALIAS_STRIDE)) {
            return (offset - MsiLayout.ALIAS) / MsiLayout.ALIAS_STRIDE;
        }
        if (in(offset, MsiLayout.BANK, layout.banks() * MsiLayout.BANK_STRIDE)) {
            return (offset - MsiLayout.BANK) / MsiLayout.BANK_STRIDE;
        }
        return NONE;
    }

    /** Whether an offset inside a bank or an alias page is that of a doorbell. */
    private boolean doorbell(int offset) {
        int place = place(offset);
        return place == MsiLayout.MSIIR || place == MsiLayout.MSIIR1 && layout.doorbell() == MsiLayout.MSIIR1;
    }

    private static int place(int offset) {
        return offset >= MsiLayout.ALIAS ? offset % MsiLayout.ALIAS_STRIDE : offset % MsiLayout.BANK_STRIDE;
    }

    private static int ipi(int offset, int first) {
        return in(offset, first, IPIS * 0x10) && (offset & 0xf) == 0 ? (offset - first) / 0x10 : NONE;
    }

    private static int priority(int vpr) {
        return (vpr & MpicRegisters.PRIORITY_MASK) >>> MpicRegisters.PRIORITY_SHIFT;
    }

    private static boolean in(int offset, int start, int length) {
        return offset >= start && offset < start + length;
    }
}
