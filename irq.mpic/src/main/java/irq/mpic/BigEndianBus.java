// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The driver's way to registers. The one place where it reverses bytes: MPIC registers are big-endian, the bus is
 * little-endian. Lock-free, allocates nothing.
 */
final class BigEndianBus {
    private final Bus bus;

    BigEndianBus(Bus bus) {
        this.bus = bus;
    }

    int get(long physical) {
        return Integer.reverseBytes((int) bus.read(physical, 4));
    }

    /** @throws ErrnoException EIO if nothing answers there */
    void put(long physical, int value) {
        if (!offer(physical, value)) {
            throw new ErrnoException(Errno.EIO, "no MPIC answers at 0x%x; attach its unit and start this driver again",
                physical);
        }
    }

    /** {@return whether something answered there} */
    boolean offer(long physical, int value) {
        return bus.write(physical, 4, Integer.reverseBytes(value) & 0xffffffffL) == Bus.OK;
    }
}
