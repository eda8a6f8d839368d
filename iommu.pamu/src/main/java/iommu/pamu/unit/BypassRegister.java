// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import iommu.pamu.table.BigEndian;
import machine.api.Mmio;

/**
 * PAMUBYPENR, one word in the chip's global utilities: bit 31 - n set lets everything of PAMU n pass unchecked. Read at
 * the beginning of every translation; lock-free. PAMU: guts + 0x604.
 */
final class BypassRegister implements Mmio {
    private volatile int enabled;

    BypassRegister(int reset) {
        enabled = reset;
    }

    boolean bypassed(int bit) {
        return (enabled & bit) != 0;
    }

    @Override
    public long read(long offset, int size) {
        return Lanes.read(BigEndian.swap(enabled), offset, size);
    }

    /** Words only: a shorter write changes nothing. */
    @Override
    public void write(int requester, long offset, int size, long value) {
        if (size == 4 && offset == 0) {
            enabled = BigEndian.swap(value);
        }
    }
}
