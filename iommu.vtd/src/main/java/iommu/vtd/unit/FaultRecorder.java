// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdRegisters;
import machine.api.Bus;

/**
 * Primary fault recording: the ring of fault records, FSTS and the fault event. Called by a device's thread only when
 * an access is refused; its lock is held for a few instructions and never while the event's message is written.
 *
 * <pre>
 *  FRCD low  63..12 FI                      high  63 F  62 T  61..60 AT  39..32 FR  15..0 SID
 * </pre>
 */
final class FaultRecorder {
    private static final long F = 1L << 63;
    private static final long T_READ = 1L << 62;
    private static final int FRI = 8;

    private final EventMessage event;
    private final boolean compress;
    private final long[] low;
    private final long[] high;
    private int next;
    private int first;
    private boolean overflow;
    private boolean queueError;

    FaultRecorder(Bus bus, VtdSettings settings) {
        event = new EventMessage(bus);
        compress = settings.compressFaults();
        low = new long[settings.capabilities().faultRecords()];
        high = new long[low.length];
    }

    EventMessage event() {
        return event;
    }

    /**
     * @param information FI: the page of the address, or an interrupt's index in 63:48
     * @param read T
     */
    void record(int source, long information, int reason, boolean read) {
        boolean raise;
        synchronized (this) {
            if (overflow || compress && recorded(source)) {
                return;
            }
            boolean quiet = status() == 0;
            if (high[next] < 0) {
                overflow = true;
            } else {
                if (!pending()) {
                    first = next;
                }
                low[next] = information & ~0xfffL;
                high[next] = F | (read ? T_READ : 0) | (long) reason << 32 | source & 0xffff;
                next = (next + 1) % low.length;
            }
            raise = quiet;
        }
        if (raise) {
            event.raise();
        }
    }

    /** IQE: the invalidation queue has stopped. */
    void queueError() {
        boolean raise;
        synchronized (this) {
            raise = status() == 0;
            queueError = true;
        }
        if (raise) {
            event.raise();
        }
    }

    synchronized boolean queueStopped() {
        return queueError;
    }

    /** {@return FSTS} */
    synchronized int readStatus() {
        return status() | (pending() ? first << FRI : 0);
    }

    /** Write 1 to clear: PFO, IQE. */
    synchronized void writeStatus(int value) {
        if ((value & VtdRegisters.PFO) != 0) {
            overflow = false;
        }
        if ((value & VtdRegisters.IQE) != 0) {
            queueError = false;
        }
        settle();
    }

    /** @param offset from the first record, a multiple of 4 */
    synchronized int readRecord(int offset) {
        long half = (offset & 8) == 0 ? low[offset >>> 4] : high[offset >>> 4];
        return (int) ((offset & 4) == 0 ? half : half >>> 32);
    }

    /** Only F can be written. */
    synchronized void writeRecord(int offset, int value) {
        int record = offset >>> 4;
        if ((offset & 0xc) != 0xc || (value & VtdRegisters.FAULT) == 0 || high[record] >= 0) {
            return;
        }
        high[record] &= ~F;
        for (int i = 0; i < high.length && high[first] >= 0; i++) {
            first = (first + 1) % high.length;
        }
        settle();
    }

    private void settle() {
        if (status() == 0) {
            event.withdraw();
        }
    }

    private int status() {
        return (overflow ? VtdRegisters.PFO : 0) | (pending() ? VtdRegisters.PPF : 0)
            | (queueError ? VtdRegisters.IQE : 0);
    }

    private boolean pending() {
        for (long record : high) {
            if (record < 0) {
                return true;
            }
        }
        return false;
    }

    private boolean recorded(int source) {
        for (long record : high) {
            if (record < 0 && (record & 0xffff) == (source & 0xffff)) {
                return true;
            }
        }
        return false;
    }
}
