// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import static irq.apic.ApicRegisters.ACKNOWLEDGE;
import static irq.apic.ApicRegisters.BROADCAST;
import static irq.apic.ApicRegisters.COMMAND_HIGH;
import static irq.apic.ApicRegisters.COMMAND_LOW;
import static irq.apic.ApicRegisters.DESTINATION_FORMAT;
import static irq.apic.ApicRegisters.ENABLE;
import static irq.apic.ApicRegisters.END_OF_INTERRUPT;
import static irq.apic.ApicRegisters.ERROR_STATUS;
import static irq.apic.ApicRegisters.FIRST_LEGAL_VECTOR;
import static irq.apic.ApicRegisters.FIXED;
import static irq.apic.ApicRegisters.ID;
import static irq.apic.ApicRegisters.ILLEGAL_REGISTER;
import static irq.apic.ApicRegisters.IN_SERVICE;
import static irq.apic.ApicRegisters.LOCAL_VECTOR_TABLE;
import static irq.apic.ApicRegisters.LOCAL_VECTOR_TABLE_LAST;
import static irq.apic.ApicRegisters.LOGICAL_DESTINATION;
import static irq.apic.ApicRegisters.LOWEST_PRIORITY;
import static irq.apic.ApicRegisters.MASKED;
import static irq.apic.ApicRegisters.PROCESSOR_PRIORITY;
import static irq.apic.ApicRegisters.RECEIVE_ILLEGAL_VECTOR;
import static irq.apic.ApicRegisters.REQUEST;
import static irq.apic.ApicRegisters.SPURIOUS;
import static irq.apic.ApicRegisters.TASK_PRIORITY;
import static irq.apic.ApicRegisters.TIMER_CURRENT;
import static irq.apic.ApicRegisters.TIMER_DIVIDE;
import static irq.apic.ApicRegisters.TIMER_INITIAL;
import static irq.apic.ApicRegisters.TRIGGER_MODE;
import static irq.apic.ApicRegisters.VERSION;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicLongArray;
import machine.api.Cpu;

/**
 * The local APIC of one core. Stop 5 of the road for an MSI; before it {@link LapicUnit#write}, after it
 * {@link Cpu#pin}.
 *
 * <p>A vector is requested (IRR), offered to the core while its class (bits 7:4) is above the processor priority's,
 * acknowledged (IRR to ISR) and ended (EOI). A vector that is requested already is not requested twice: that is where
 * hardware coalesces.
 *
 * <p>Concurrency: requests come from any thread, lock-free; what the core itself writes takes this object's monitor,
 * which is never held while the pin is driven.
 */
public final class Lapic {
    /** Integrated APIC, six local vector table entries. */
    private static final int VERSION_VALUE = 0x00050014;
    private static final VarHandle WORD = MethodHandles.arrayElementVarHandle(long[].class);

    private final int id;
    private final Cpu cpu;
    private final long[] requested = new long[4];
    private final long[] inService = new long[4];
    private final long[] triggerMode = new long[4];
    private final int[] plain = new int[0x400 >> 4];
    private final AtomicInteger errors = new AtomicInteger();
    private final AtomicLongArray accepted = new AtomicLongArray(8);
    private final AtomicLong dropped = new AtomicLong();
    private final AtomicLong broadcastEnds = new AtomicLong();
    private volatile int taskPriority;
    private volatile int processorPriority;
    private volatile int spurious;
    private volatile int logicalDestination;
    private volatile int destinationFormat;
    private volatile int errorStatus;

    Lapic(int id, Cpu cpu) {
        this.id = id;
        this.cpu = cpu;
        powerUp();
    }

    /** {@return how many messages of a delivery mode have been accepted, 0..7; a requested vector counts again} */
    public long accepted(int mode) {
        return accepted.get(mode);
    }

    /** {@return how many vectors came while the APIC was disabled or were illegal} */
    public long dropped() {
        return dropped.get();
    }

    /** {@return how many EOIs ended a level-triggered vector: a machine with an IOAPIC would receive each} */
    public long broadcastEnds() {
        return broadcastEnds.get();
    }

    boolean enabled() {
        return (spurious & ENABLE) != 0;
    }

    int priority() {
        return processorPriority;
    }

    boolean addressed(int destination, boolean logical) {
        if (destination == BROADCAST) {
            return true;
        }
        if (!logical) {
            return destination == id;
        }
        int mine = logicalDestination >>> 24;
        boolean common = (mine & destination & ((destinationFormat >>> 28) == 0 ? 0xf : 0xff)) != 0;
        return switch (destinationFormat >>> 28) {
            case 0xf -> common;
            case 0 -> common && mine >>> 4 == destination >>> 4;
            default -> false;
        };
    }

    /** Notes a message; {@link #drive} must follow. */
    void accept(int mode, int vector, boolean level) {
        if (mode == FIXED || mode == LOWEST_PRIORITY) {
            if (!enabled()) {
                dropped.getAndIncrement();
                return;
            }
            if (vector < FIRST_LEGAL_VECTOR) {
                error(RECEIVE_ILLEGAL_VECTOR);
                dropped.getAndIncrement();
                return;
            }
            // The trigger mode first: a core that sees the request must find its mode.
            if (level != bit(triggerMode, vector)) {
                put(triggerMode, vector, level);
            }
            put(requested, vector, true);
        }
        accepted.getAndIncrement(mode);
    }

    /**
     * Puts the pin where the registers want it. Two threads may come here with different findings and reach the pin in
     * the wrong order; the last thread looks again, so that the pin always ends up right. Only then, and once, is what
     * is asserted served.
     */
    void drive() {
        boolean level;
        do {
            level = offered();
            cpu.level(level);
        } while (level != offered());
        if (level) {
            cpu.serve();
        }
    }

    void error(int bit) {
        errors.getAndAccumulate(bit, (a, b) -> a | b);
    }

    synchronized int plain(int register) {
        return plain[register >> 4];
    }

    /** As after power-up: disabled, nothing requested, the pin low. */
    void reset() {
        powerUp();
        drive();
    }

    /** A core reads a register; only aligned 32-bit reads answer, others give 0. */
    int read(int register, int size) {
        if (size != 4 || (register & 0xf) != 0) {
            return 0;
        }
        if (register >= IN_SERVICE && register < ERROR_STATUS) {
            long[] vectors = register < TRIGGER_MODE ? inService : register < REQUEST ? triggerMode : requested;
            int word = register >> 4 & 7;
            return (int) ((long) WORD.getVolatile(vectors, word >> 1) >>> 32 * (word & 1));
        }
        return switch (register) {
            case ID -> id << 24;
            case VERSION -> VERSION_VALUE;
            case TASK_PRIORITY -> taskPriority;
            case PROCESSOR_PRIORITY -> processorPriority;
            case LOGICAL_DESTINATION -> logicalDestination;
            case DESTINATION_FORMAT -> destinationFormat;
            case SPURIOUS -> spurious;
            case ERROR_STATUS -> errorStatus;
            case END_OF_INTERRUPT, TIMER_CURRENT -> 0;
            case ACKNOWLEDGE -> acknowledge();
            default -> {
                if (!stored(register)) {
                    error(ILLEGAL_REGISTER);
                    yield 0;
                }
                yield plain(register);
            }
        };
    }

    /**
     * A core writes a register; writes that are not aligned 32-bit ones are ignored, as those to read-only registers
     * are.
     */
    void write(int register, int size, int value) {
        if (size != 4 || (register & 0xf) != 0 || register >= IN_SERVICE && register < ERROR_STATUS) {
            return;
        }
        switch (register) {
            case ID, VERSION, PROCESSOR_PRIORITY, TIMER_CURRENT, ACKNOWLEDGE -> {
            }
            case TASK_PRIORITY, END_OF_INTERRUPT, SPURIOUS -> {
                writePriority(register, value);
                drive();
            }
            case LOGICAL_DESTINATION -> logicalDestination = value & 0xff000000;
            case DESTINATION_FORMAT -> destinationFormat = value | 0x0fffffff;
            case ERROR_STATUS -> errorStatus = errors.getAndSet(0);
            default -> {
                if (stored(register)) {
                    store(register, value);
                } else {
                    error(ILLEGAL_REGISTER);
                }
            }
        }
    }

    private boolean offered() {
        return enabled() && highest(requested) >> 4 > processorPriority >> 4;
    }

    private int acknowledge() {
        int vector = take();
        drive();
        return vector;
    }

    /**
     * A request of the same vector that arrives before its bit is cleared here joins this one: nobody has served it
     * yet. In service first: who reads IRR and then ISR, without the lock, finds it in one of them.
     */
    private synchronized int take() {
        int vector = highest(requested);
        if (!enabled() || vector >> 4 <= processorPriority >> 4) {
            return spurious & 0xff;
        }
        put(inService, vector, true);
        put(requested, vector, false);
        prioritise();
        return vector;
    }

    private synchronized void writePriority(int register, int value) {
        switch (register) {
            case TASK_PRIORITY -> taskPriority = value & 0xff;
            case SPURIOUS -> {
                spurious = value & 0x3ff;
                if (!enabled()) {
                    maskLocalVectors();
                }
            }
            default -> end();
        }
        prioritise();
    }

    private void end() {
        int vector = highest(inService);
        if (vector < 0) {
            return;
        }
        put(inService, vector, false);
        if (bit(triggerMode, vector)) {
            broadcastEnds.getAndIncrement();
        }
    }

    private void prioritise() {
        int serving = Math.max(highest(inService), 0);
        processorPriority = taskPriority >> 4 >= serving >> 4 ? taskPriority : serving & 0xf0;
    }

    private static boolean stored(int register) {
        return register >= LOCAL_VECTOR_TABLE && register <= LOCAL_VECTOR_TABLE_LAST || register == COMMAND_LOW
            || register == COMMAND_HIGH || register == TIMER_INITIAL || register == TIMER_DIVIDE;
    }

    private synchronized void store(int register, int value) {
        boolean local = register >= LOCAL_VECTOR_TABLE && register <= LOCAL_VECTOR_TABLE_LAST;
        plain[register >> 4] = local && !enabled() ? value | MASKED : value;
    }

    private void maskLocalVectors() {
        for (int register = LOCAL_VECTOR_TABLE; register <= LOCAL_VECTOR_TABLE_LAST; register += 16) {
            plain[register >> 4] |= MASKED;
        }
    }

    private synchronized void powerUp() {
        spurious = 0xff;
        taskPriority = 0;
        for (int i = 0; i < requested.length; i++) {
            WORD.setVolatile(requested, i, 0L);
            WORD.setVolatile(inService, i, 0L);
            WORD.setVolatile(triggerMode, i, 0L);
        }
        Arrays.fill(plain, 0);
        maskLocalVectors();
        prioritise();
        errors.set(0);
        errorStatus = 0;
        logicalDestination = 0;
        destinationFormat = -1;
    }

    /** {@return the highest vector whose bit is set, -1 if there is none} */
    private static int highest(long[] vectors) {
        for (int i = vectors.length - 1; i >= 0; i--) {
            long word = (long) WORD.getVolatile(vectors, i);
            if (word != 0) {
                return 64 * i + 63 - Long.numberOfLeadingZeros(word);
            }
        }
        return -1;
    }

    private static boolean bit(long[] vectors, int vector) {
        return ((long) WORD.getVolatile(vectors, vector >> 6) >>> (vector & 63) & 1) != 0;
    }

    private static void put(long[] vectors, int vector, boolean value) {
        long mask = 1L << (vector & 63);
        if (value) {
            WORD.getAndBitwiseOr(vectors, vector >> 6, mask);
        } else {
            WORD.getAndBitwiseAnd(vectors, vector >> 6, ~mask);
        }
    }
}
