// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MpicRegisters;

/**
 * One group of four timers: registers only. No time passes here: a count is loaded and stays, nothing expires. Guarded
 * by the lock of {@link Mpic}. (MPIC section 4.)
 */
final class Timers {
    private static final int VPR = MpicRegisters.MASKED | MpicRegisters.PRIORITY_MASK | MpicRegisters.VECTOR_MASK;
    private static final int CONTROL = 0x07000307;

    private final int cpuMask;
    private final int[] count = new int[4];
    private final int[] base = new int[4];
    private final int[] vpr = new int[4];
    private final int[] destination = new int[4];
    private int control;

    Timers(int cpuMask) {
        this.cpuMask = cpuMask;
        reset();
    }

    void reset() {
        for (int timer = 0; timer < 4; timer++) {
            count[timer] = 0;
            base[timer] = MpicRegisters.TIMER_TOP;
            vpr[timer] = MpicRegisters.MASKED;
            destination[timer] = 1;
        }
        control = 0;
    }

    /** @param offset from the first timer of the group */
    int get(int offset) {
        if (offset == MpicRegisters.TCR) {
            return control;
        }
        int timer = offset / MpicRegisters.TIMER_STRIDE;
        if (timer >= 4) {
            return MpicRegisters.NO_REGISTER;
        }
        return switch (offset % MpicRegisters.TIMER_STRIDE) {
            case MpicRegisters.GTCCR -> count[timer];
            case MpicRegisters.GTBCR -> base[timer];
            case MpicRegisters.GTVPR -> vpr[timer];
            case MpicRegisters.GTDR -> destination[timer];
            default -> MpicRegisters.NO_REGISTER;
        };
    }

    void put(int offset, int value) {
        if (offset == MpicRegisters.TCR) {
            control = value & CONTROL;
            return;
        }
        int timer = offset / MpicRegisters.TIMER_STRIDE;
        if (timer >= 4) {
            return;
        }
        switch (offset % MpicRegisters.TIMER_STRIDE) {
            case MpicRegisters.GTBCR -> {
                // Starting loads the count.
                if (base[timer] < 0 && value >= 0) {
                    count[timer] = value;
                }
                base[timer] = value;
            }
            case MpicRegisters.GTVPR -> vpr[timer] = value & VPR;
            case MpicRegisters.GTDR -> destination[timer] = value & cpuMask;
            default -> {
            }
        }
    }
}
