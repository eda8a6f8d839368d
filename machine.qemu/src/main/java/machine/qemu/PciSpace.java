// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import machine.api.Errno;
import machine.api.ErrnoException;

/** The hole below 4 GiB that a PC leaves to PCI. One thread. */
final class PciSpace {
    private static final long START = 0xe000_0000L;
    private static final long END = 0xfe00_0000L;
    private static final long PAGE = 4096;

    private long next = START;

    /**
     * @param size a power of two
     * @return an address aligned to it, in pages of its own
     */
    long take(long size, String what) {
        long step = Math.max(size, PAGE);
        long at = next + step - 1 & -step;
        if (size <= 0 || at < next || at > END - step) {
            throw new ErrnoException(Errno.ENOSPC,
                "%s wants 0x%x bytes; 0x%x of the 0x%x between 0x%x and 0x%x are left", what, size,
                END - next, END - START, START, END);
        }
        next = at + step;
        return at;
    }
}
