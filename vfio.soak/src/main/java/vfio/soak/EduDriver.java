// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.pci.ConfigHeader;
import vfio.api.Device;
import vfio.api.Region;

/** Drives an {@code edu} device through VFIO alone; register numbers as QEMU documents them. One thread at a time. */
final class EduDriver {
    /** The device's buffer: what one command moves at most. */
    static final int BUFFER_SIZE = 4096;

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
    private static final int INTERRUPT = 4;
    private static final int SPINS = 200;
    private static final long NAP_NANOS = 20_000;
    /** The interrupt bits that may be raised: the DMA engine's own, and the one of {@link #raise}. */
    private static final int ALL = 0x101;

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

    /** The device reads memory into the start of its buffer. */
    void fetch(long iova, int bytes) {
        transfer(iova, BUFFER, bytes, RUN);
    }

    /** The device writes the start of its buffer to memory. */
    void store(long iova, int bytes) {
        transfer(BUFFER, iova, bytes, RUN | FROM_DEVICE);
    }

    /** The same, and an interrupt when it is done. */
    void storeAndSignal(long iova, int bytes) {
        transfer(BUFFER, iova, bytes, RUN | FROM_DEVICE | INTERRUPT);
    }

    /** The device raises its interrupt. */
    void raise() {
        device.write(Region.BAR0, RAISE, 4, 1);
    }

    void acknowledge() {
        device.write(Region.BAR0, ACKNOWLEDGE, 4, ALL);
    }

    private void transfer(long source, long destination, int bytes, int command) {
        device.write(Region.BAR0, SOURCE, 8, source);
        device.write(Region.BAR0, DESTINATION, 8, destination);
        device.write(Region.BAR0, COUNT, 8, bytes);
        device.write(Region.BAR0, COMMAND, 8, command);
        long begin = System.nanoTime();
        for (int polls = 0; (device.read(Region.BAR0, COMMAND, 8) & RUN) != 0; polls++) {
            if (System.nanoTime() - begin > TimeUnit.SECONDS.toNanos(Referee.PATIENCE_SECONDS)) {
                throw new ErrnoException(Errno.ETIMEDOUT, "device %s did not finish a transfer of %d bytes within %d s",
                    device.name(), bytes, Referee.PATIENCE_SECONDS);
            }
            if (polls > SPINS) {
                LockSupport.parkNanos(NAP_NANOS);
            } else {
                Thread.onSpinWait();
            }
        }
    }
}
