// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import irq.mpic.MpicRegisters;

/**
 * One group of four message registers, through which cores send each other words. Guarded by the lock of {@link Mpic}.
 * (MPIC section 4.)
 */
final class MessageRegisters {
    private final Sources sources;
    private final int firstSource;
    private final int[] words = new int[4];
    private int enabled;
    private int pending;

    MessageRegisters(Sources sources, int firstSource) {
        this.sources = sources;
        this.firstSource = firstSource;
    }

    void reset() {
        enabled = 0;
        pending = 0;
        raise();
    }

    /** @param offset from the first register of the group */
    int get(int offset, boolean peek) {
        if (offset == MpicRegisters.MER) {
            return enabled;
        }
        if (offset == MpicRegisters.MSR) {
            return pending;
        }
        if (offset >= 0x40 || (offset & 0xf) != 0) {
            return MpicRegisters.NO_REGISTER;
        }
        if (!peek) {
            pending &= ~(1 << offset / 0x10);
            raise();
        }
        return words[offset / 0x10];
    }

    void put(int offset, int value) {
        if (offset == MpicRegisters.MER) {
            enabled = value & 0xf;
        } else if (offset < 0x40 && (offset & 0xf) == 0) {
            words[offset / 0x10] = value;
            pending |= 1 << offset / 0x10;
        }
        raise();
    }

    private void raise() {
        for (int i = 0; i < 4; i++) {
            sources.raise(firstSource + i, (enabled & pending & 1 << i) != 0);
        }
    }
}
