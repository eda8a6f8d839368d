// SPDX-License-Identifier: Apache-2.0
package device.edu;

import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The settings of one device.
 *
 * @param dmaMask the address lines the device has: 2^n - 1, at least 0xfff; -1 is all 64. A device address is cut to
 *     them, as QEMU does
 * @param dmaDelayMillis milliseconds between the DMA command and the transfer, 0..60000
 */
public record EduSettings(long dmaMask, int dmaDelayMillis) {
    /** QEMU's 28 address lines, and no delay (QEMU's is 100 ms). */
    public static final EduSettings DEFAULT = new EduSettings(EduSettings.QEMU_DMA_MASK, 0);

    static final long QEMU_DMA_MASK = 0xfffffffL;

    /** @throws ErrnoException EINVAL if a value is out of range */
    public EduSettings {
        if ((dmaMask & dmaMask + 1) != 0 || Long.compareUnsigned(dmaMask, 0xfff) < 0) {
            throw new ErrnoException(Errno.EINVAL, "dma.mask 0x%x: must be 2^n - 1 with n from 12 to 64", dmaMask);
        }
        if (dmaDelayMillis < 0 || dmaDelayMillis > 60_000) {
            throw new ErrnoException(Errno.EINVAL, "dma.delay.millis %d: must be 0..60000", dmaDelayMillis);
        }
    }

    long dmaDelayNanos() {
        return TimeUnit.MILLISECONDS.toNanos(dmaDelayMillis);
    }
}
