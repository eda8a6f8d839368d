// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import java.util.Arrays;
import machine.api.Cpu;

/**
 * The MPIC's state for one core: task priority, the sources in service, and the level of its pins. Stop 5 of the road
 * for an interrupt is the {@link Cpu} this drives; before it {@link Mpic}, after it the driver's handler.
 *
 * <p>Concurrency: guarded by the lock of {@link Mpic}, except {@link #drive}, which must be called without it.
 */
final class Core {
    /** No interrupt. */
    static final int NONE = -1;

    private final Cpu cpu;
    private int taskPriority;
    /** The sources in service, by priority: only a higher one interrupts, so there is at most one per priority. */
    private final int[] inService = new int[16];
    private int inServicePriorities;
    private int offered = NONE;
    private volatile boolean interrupt;
    private volatile boolean critical;
    private volatile boolean machineCheck;

    Core(Cpu cpu) {
        this.cpu = cpu;
        reset();
    }

    void reset() {
        taskPriority = 15;
        inServicePriorities = 0;
        Arrays.fill(inService, NONE);
    }

    int taskPriority() {
        return taskPriority;
    }

    void taskPriority(int value) {
        taskPriority = value;
    }

    /** {@return what a source's priority has to exceed} */
    int threshold() {
        return Math.max(taskPriority, 31 - Integer.numberOfLeadingZeros(inServicePriorities));
    }

    /** {@return what an acknowledge is answered with; {@link #NONE} if with the spurious vector} */
    int offered() {
        return offered;
    }

    /**
     * Takes the offered source into service. It had the highest priority, so nothing that is pending now exceeds the
     * new threshold.
     */
    void begin(int priority, int interruptNumber) {
        inService[priority] = interruptNumber;
        inServicePriorities |= 1 << priority;
        offered = NONE;
        interrupt = false;
    }

    /** Ends the one of the highest priority; nothing if there is none. */
    void end() {
        if (inServicePriorities != 0) {
            int priority = 31 - Integer.numberOfLeadingZeros(inServicePriorities);
            inServicePriorities &= ~(1 << priority);
            inService[priority] = NONE;
        }
    }

    boolean serves(int interruptNumber) {
        for (int number : inService) {
            if (number == interruptNumber) {
                return true;
            }
        }
        return false;
    }

    /** {@return whether the level of the interrupt pin has changed} */
    boolean offer(int number) {
        offered = number;
        boolean level = number != NONE;
        if (interrupt == level) {
            return false;
        }
        interrupt = level;
        return true;
    }

    /** The levels of the other two pins. */
    void level(boolean criticalNow, boolean machineCheckNow) {
        // A volatile store costs a fence, and most of the time nothing changes.
        if (critical != criticalNow) {
            critical = criticalNow;
        }
        if (machineCheck != machineCheckNow) {
            machineCheck = machineCheckNow;
        }
    }

    boolean critical() {
        return critical;
    }

    boolean machineCheck() {
        return machineCheck;
    }

    /**
     * Brings the core's pin to the level it should have. Threads that race here may set an old level, but each looks
     * again after it has set one, so the last thread leaves the right one. Only then, and once, is what is asserted
     * served: while the pin is asserted the driver's handler runs inside {@link Cpu#serve}, on this thread or on
     * another that asserts it.
     */
    void drive() {
        boolean level;
        do {
            level = interrupt;
            cpu.level(level);
        } while (level != interrupt);
        if (level) {
            cpu.serve();
        }
    }
}
