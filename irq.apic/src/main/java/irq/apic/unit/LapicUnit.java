// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import irq.apic.ApicRegisters;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Unit;

/**
 * The range 0xFEE00000..0xFEEFFFFF. Stop 4 of the road for an MSI; before it a port's look-up among the
 * windows, or the {@link Bus#write} of a remapping unit; after it {@link Lapic}.
 *
 * <p>What is written there depends on who writes. A device's aligned write of 4 bytes is an interrupt message:
 * destination in bits 19:12, see {@link ApicRegisters}. A core's access reaches registers: page n of the range is the
 * register page of core n. (A chip answers every core with its own registers at page 0; a bus access here does not say
 * which core makes it, so each core's page has an address of its own. Of pages without a core nobody answers: all
 * ones.)
 *
 * <p>Concurrency: lock-free for messages, see {@link Lapic} for registers. Never called with a lock of its own held.
 */
public final class LapicUnit implements Mmio {
    private static final int NO_SHORTHAND = 0;
    private static final int SELF = 1;
    private static final int OTHERS = 3;

    private final Lapic[] lapics;
    private final long base;
    private final AtomicLong refused = new AtomicLong();

    /**
     * @param node where the range is: one register range of 0x100000 bytes
     * @param cpus the cores; the APIC id of each is its place in the list
     * @throws ErrnoException EINVAL if the node's range is another, or for more than 255 cores
     */
    public LapicUnit(Node node, List<Cpu> cpus) {
        List<Node.Range> registers = node.registers();
        if (registers.size() != 1 || registers.get(0).size() != ApicRegisters.RANGE) {
            throw new ErrnoException(Errno.EINVAL, "%s: the local APICs need one register range of 0x%x bytes, not %s",
                node.path(), ApicRegisters.RANGE, registers);
        }
        if (cpus.isEmpty() || cpus.size() > ApicRegisters.BROADCAST) {
            throw new ErrnoException(Errno.EINVAL, "%s: %d cores; an APIC id of 8 bits numbers 1..255", node.path(),
                cpus.size());
        }
        base = registers.get(0).physical();
        lapics = new Lapic[cpus.size()];
        for (int i = 0; i < lapics.length; i++) {
            lapics[i] = new Lapic(i, cpus.get(i));
        }
    }

    /** {@return what to attach to the machine} */
    public Unit unit() {
        return new Unit(List.of(new Unit.Window(base, ApicRegisters.RANGE, this)), Map.of(), InterruptInputs.NONE);
    }

    /** {@return the local APIC of a core} */
    public Lapic lapic(int core) {
        return lapics[core];
    }

    /** {@return how many messages had a form or a destination that no APIC accepts} */
    public long refused() {
        return refused.get();
    }

    /** As after power-up, all pins low. */
    public void reset() {
        for (Lapic lapic : lapics) {
            lapic.reset();
        }
    }

    @Override
    public long read(long offset, int size) {
        int core = (int) offset / ApicRegisters.PAGE;
        return core < lapics.length ? lapics[core].read((int) offset % ApicRegisters.PAGE, size) & 0xffffffffL : -1;
    }

    @Override
    public void write(int requester, long offset, int size, long value) {
        if (requester != Bus.CPU) {
            message((int) offset, size, (int) value);
            return;
        }
        int core = (int) offset / ApicRegisters.PAGE;
        if (core < lapics.length) {
            int register = (int) offset % ApicRegisters.PAGE;
            lapics[core].write(register, size, (int) value);
            if (register == ApicRegisters.COMMAND_LOW && size == 4) {
                command(core, (int) value);
            }
        }
    }

    /** Remappable messages (format bit 4) are for a remapping unit; one that gets as far as here is refused. */
    private void message(int offset, int size, int data) {
        int mode = mode(data);
        boolean level = (data & ApicRegisters.LEVEL) != 0;
        if (size != 4 || (offset & ApicRegisters.ADDRESS_RESERVED) != 0 || mode == 3 || mode == ApicRegisters.STARTUP) {
            refused.getAndIncrement();
        } else if (!level || (data & ApicRegisters.ASSERT) != 0) {
            boolean logical = (offset & ApicRegisters.LOGICAL) != 0;
            boolean hinted = logical && (offset & ApicRegisters.REDIRECTION_HINT) != 0;
            deliver(offset >> ApicRegisters.DESTINATION_SHIFT, logical, hinted || mode == ApicRegisters.LOWEST_PRIORITY,
                mode, data & 0xff, level);
        }
    }

    /** An interrupt from core to core; always edge-triggered, as every processor that has this APIC sends them. */
    private void command(int from, int low) {
        int mode = mode(low);
        int vector = low & 0xff;
        int shorthand = low >> ApicRegisters.SHORTHAND_SHIFT & 3;
        if (mode <= ApicRegisters.LOWEST_PRIORITY && vector < ApicRegisters.FIRST_LEGAL_VECTOR) {
            lapics[from].error(ApicRegisters.SEND_ILLEGAL_VECTOR);
        } else if (mode == 3 || mode == ApicRegisters.EXTINT || shorthand == SELF && mode != ApicRegisters.FIXED) {
            refused.getAndIncrement();
        } else if (mode == ApicRegisters.INIT
            && (low & (ApicRegisters.LEVEL | ApicRegisters.ASSERT)) == ApicRegisters.LEVEL) {
            return; // INIT level de-assert: synchronises arbitration ids, which nobody has any more.
        } else if (shorthand == NO_SHORTHAND) {
            deliver(lapics[from].plain(ApicRegisters.COMMAND_HIGH) >>> 24, (low & ApicRegisters.COMMAND_LOGICAL) != 0,
                mode == ApicRegisters.LOWEST_PRIORITY, mode, vector, false);
        } else {
            for (int i = 0; i < lapics.length; i++) {
                if (shorthand == SELF ? i == from : shorthand != OTHERS || i != from) {
                    lapics[i].accept(mode, vector, false);
                }
            }
            drive();
        }
    }

    private void deliver(int destination, boolean logical, boolean lowest, int mode, int vector, boolean level) {
        if (!logical && destination != ApicRegisters.BROADCAST) {
            if (destination >= lapics.length) {
                refused.getAndIncrement();
                return;
            }
            lapics[destination].accept(mode, vector, level);
            lapics[destination].drive();
            return;
        }
        Lapic chosen = null;
        boolean found = false;
        for (Lapic lapic : lapics) {
            if (lapic.addressed(destination, logical)) {
                if (!lowest) {
                    lapic.accept(mode, vector, level);
                    found = true;
                } else if (lapic.enabled() && (chosen == null || lapic.priority() < chosen.priority())) {
                    chosen = lapic;
                }
            }
        }
        if (chosen != null) {
            chosen.accept(mode, vector, level);
            chosen.drive();
        } else if (found) {
            drive();
        } else {
            refused.getAndIncrement();
        }
    }

    private void drive() {
        for (Lapic lapic : lapics) {
            lapic.drive();
        }
    }

    private static int mode(int data) {
        return data >> ApicRegisters.MODE_SHIFT & 7;
    }
}
