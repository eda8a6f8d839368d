// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The register page of one unit as software reaches it: through the bus, little-endian. Thread-safe for single accesses
 * and for what goes through GCMD, which holds the levels of all.
 */
final class Registers {
    private final Bus bus;
    private final long base;
    private final String path;
    private volatile int timeoutMillis;

    Registers(Bus bus, long base, String path, int timeoutMillis) {
        this.bus = bus;
        this.base = base;
        this.path = path;
        this.timeoutMillis = timeoutMillis;
    }

    /** For what is waited for from now on. */
    void timeout(int millis) {
        timeoutMillis = millis;
    }

    int read(int offset) {
        return (int) bus.read(base + offset, 4);
    }

    long read8(int offset) {
        return bus.read(base + offset, 8);
    }

    void write(int offset, int value) {
        written(offset, bus.write(base + offset, 4, value));
    }

    void write8(int offset, long value) {
        written(offset, bus.write(base + offset, 8, value));
    }

    /** Changes one bit of GCMD and waits for GSTS. Level bits go along, one-shot bits do not. */
    synchronized void command(int bit, boolean on) {
        int levels = read(VtdRegisters.GSTS) & VtdRegisters.LEVELS;
        write(VtdRegisters.GCMD, on ? levels | bit : levels & ~bit);
        await("GSTS", () -> (read(VtdRegisters.GSTS) & bit) != 0 == on);
    }

    /** RWBF: what software has written into tables is where the unit reads it when this returns. */
    synchronized void flushWriteBuffer() {
        write(VtdRegisters.GCMD, read(VtdRegisters.GSTS) & VtdRegisters.LEVELS | VtdRegisters.WBF);
        await("GSTS.WBFS", () -> (read(VtdRegisters.GSTS) & VtdRegisters.WBF) == 0);
    }

    /**
     * @param register what is waited for, for the message
     * @throws ErrnoException ETIMEDOUT if it does not happen in time
     */
    void await(String register, BooleanSupplier done) {
        int millis = timeoutMillis;
        long deadline = System.nanoTime() + millis * 1_000_000L;
        for (int spins = 0; !done.getAsBoolean(); spins++) {
            if (System.nanoTime() - deadline > 0) {
                throw new ErrnoException(Errno.ETIMEDOUT,
                    "%s: no answer in %s after %d ms (GSTS 0x%x, FSTS 0x%x); the unit hangs", path, register, millis,
                    read(VtdRegisters.GSTS), read(VtdRegisters.FSTS));
            }
            if (spins < 100) {
                Thread.onSpinWait();
            } else {
                LockSupport.parkNanos(20_000);
            }
        }
    }

    private void written(int offset, int status) {
        if (status != Bus.OK) {
            throw new ErrnoException(Errno.EIO, "%s: no register answers at 0x%x", path, base + offset);
        }
    }
}
