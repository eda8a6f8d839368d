// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.pci.ConfigHeader;
import vfio.api.Device;
import vfio.api.Region;

/**
 * Drives an {@code edu} device through VFIO alone, as a program on Linux drives QEMU's: register numbers as QEMU
 * documents them. One thread at a time.
 */
final class EduDriver {
    /** Bytes moved by one command: the device's buffer is 4 KiB, and some models refuse its last byte. */
    static final int CHUNK = 2048;

    private static final int IDENTIFICATION = 0x00;
    private static final int RAISE = 0x60;
    private static final int ACKNOWLEDGE = 0x64;
    private static final int SOURCE = 0x80;
    private static final int DESTINATION = 0x88;
    private static final int COUNT = 0x90;
    private static final int COMMAND = 0x98;
    private static final long BUFFER = 0x40000;
    private static final int RUN = 1;
    private static final int FROM_DEVICE = 2;
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(10);

    private final Device device;

    /**
     * Checks that it is an edu and turns bus mastering on.
     *
     * @throws ErrnoException ENODEV if it is another device
     */
    EduDriver(Device device) {
        this.device = device;
        device.write(Region.CONFIG, ConfigHeader.COMMAND, 2,
            device.read(Region.CONFIG, ConfigHeader.COMMAND, 2) | ConfigHeader.MEMORY | ConfigHeader.MASTER);
        long identification = device.read(Region.BAR0, IDENTIFICATION, 4);
        if ((identification & 0xffff) != 0x00ed) {
            throw new ErrnoException(Errno.ENODEV, "device %s identifies itself as 0x%08x, which is no edu",
                device.name(), identification);
        }
    }

    /** The device reads memory into its buffer; at most {@link #CHUNK} bytes. */
    void fetch(long iova, int bytes) {
        transfer(iova, BUFFER, bytes, RUN);
    }

    /** The device writes its buffer to memory; at most {@link #CHUNK} bytes. */
    void store(long iova, int bytes) {
        transfer(BUFFER, iova, bytes, RUN | FROM_DEVICE);
    }

    /** The device raises its interrupt. */
    void raise() {
        device.write(Region.BAR0, RAISE, 4, 1);
    }

    void acknowledge() {
        device.write(Region.BAR0, ACKNOWLEDGE, 4, 1);
    }

    private void transfer(long source, long destination, int bytes, int command) {
        device.write(Region.BAR0, SOURCE, 8, source);
        device.write(Region.BAR0, DESTINATION, 8, destination);
        device.write(Region.BAR0, COUNT, 8, bytes);
        device.write(Region.BAR0, COMMAND, 8, command);
        long begin = System.nanoTime();
        for (int polls = 0; (device.read(Region.BAR0, COMMAND, 8) & RUN) != 0; polls++) {
            if (System.nanoTime() - begin > PATIENCE) {
                throw new ErrnoException(Errno.ETIMEDOUT, "device %s did not finish a transfer of %d bytes",
                    device.name(), bytes);
            }
            if (polls > 1000) {
                LockSupport.parkNanos(10_000);
            } else {
                Thread.onSpinWait();
            }
        }
    }
}
