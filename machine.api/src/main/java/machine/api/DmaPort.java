// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Arrays;

/**
 * A device's door to memory: everything a device does passes here, its MSIs too. Stop 1 of the road; next
 * {@link TranslationUnit#translate}, then {@link Bus#write}.
 *
 * <p>A port is opened by {@link Machine#openPort} and belongs to one device model; several devices may share one
 * requester id and still have a port each. Transfers are cut where PCIe cuts them, at 4 KiB boundaries, and stop at the
 * first piece that is refused: what went before has happened. May be used by several threads of the device at once;
 * lock-free; allocates only when an access is refused.
 */
public final class DmaPort implements AutoCloseable {
    private static final int BOUNDARY = 4096;

    private final Requester requester;
    private final int id;
    private final PhysicalBus bus;
    private final FaultListener faults;
    private final InFlight inFlight = new InFlight();
    private final Attachment registration;
    /** What an access meets: the unit, or the bar of a shut gate before it. */
    private volatile TranslationUnit unit;

    // Guarded by this.
    private TranslationUnit behind;
    private Gate gate;
    private boolean closed;

    DmaPort(Requester requester, PhysicalBus bus, TranslationUnit unit, Gate gate, FaultListener faults, Attachment registration) {
        this.requester = requester;
        this.id = requester.id();
        this.bus = bus;
        this.behind = unit;
        this.gate = gate;
        this.unit = gate.before(unit);
        this.faults = faults;
        this.registration = registration;
        bus.watch(inFlight, true);
    }

    /** {@return on whose behalf this port speaks} */
    public Requester requester() {
        return requester;
    }

    /**
     * Writes one value, little-endian, as one bus request. An MSI is such a write of 4 bytes.
     *
     * @param size 1, 2, 4 or 8; the value must be naturally aligned
     * @return {@link Bus#OK} or a {@link Refusal}; {@link Refusal#UNSUPPORTED} if the address is not aligned to the size
     */
    public int write(long iova, int size, long value) {
        if ((iova & size - 1) != 0) {
            return refuse(iova, size, Access.WRITE, Refusal.UNSUPPORTED);
        }
        int phase = inFlight.enter();
        try {
            while (true) {
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, size, Access.WRITE);
                if (physical == Refusal.STALLED) {
                    Gate.Bar bar = (Gate.Bar) now;
                    if (bar.keeps(id, iova, size, value)) {
                        return Bus.OK;
                    }
                    physical = bar.pass(id, iova, size, Access.WRITE);
                    if (physical == Refusal.STALLED) {
                        phase = await(bar, phase);
                        continue;
                    }
                }
                int status = physical < 0 ? (int) physical : bus.counted(id, physical, size, value);
                return status == Bus.OK ? Bus.OK : refuse(iova, size, Access.WRITE, status);
            }
        } finally {
            inFlight.exit(phase);
        }
    }

    /**
     * Writes a block to memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused
     */
    public int write(long iova, byte[] from, int offset, int length) {
        int phase = inFlight.enter();
        try {
            while (length > 0) {
                int piece = Math.min(length, BOUNDARY - (int) (iova & BOUNDARY - 1));
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, piece, Access.WRITE);
                if (physical == Refusal.STALLED) {
                    physical = ((Gate.Bar) now).pass(id, iova, piece, Access.WRITE);
                    if (physical == Refusal.STALLED) {
                        phase = await((Gate.Bar) now, phase);
                        continue;
                    }
                }
                int status = physical < 0 ? (int) physical : bus.counted(id, physical, from, offset, piece);
                if (status != Bus.OK) {
                    return refuse(iova, piece, Access.WRITE, status);
                }
                iova += piece;
                offset += piece;
                length -= piece;
            }
            return Bus.OK;
        } finally {
            inFlight.exit(phase);
        }
    }

    /**
     * Reads a block from memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused; from there on {@code to} holds
     *     all ones, as a device sees a failed completion
     */
    public int read(long iova, byte[] to, int offset, int length) {
        int phase = inFlight.enter();
        try {
            while (length > 0) {
                int piece = Math.min(length, BOUNDARY - (int) (iova & BOUNDARY - 1));
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, piece, Access.READ);
                if (physical == Refusal.STALLED) {
                    physical = ((Gate.Bar) now).pass(id, iova, piece, Access.READ);
                    if (physical == Refusal.STALLED) {
                        phase = await((Gate.Bar) now, phase);
                        continue;
                    }
                }
                int status = physical < 0 ? (int) physical : bus.read(physical, to, offset, piece);
                if (status != Bus.OK) {
                    Arrays.fill(to, offset, offset + length, (byte) -1);
                    return refuse(iova, piece, Access.READ, status);
                }
                iova += piece;
                offset += piece;
                length -= piece;
            }
            return Bus.OK;
        } finally {
            inFlight.exit(phase);
        }
    }

    /** Control path: puts another unit (or {@link TranslationUnit#NONE}) in front of the bus. The caller drains. A port
     * that is closed stays blocked. The machine calls this, {@link #gate} and the constructor with its lock held. */
    synchronized void unit(TranslationUnit next) {
        behind = next;
        unit = closed ? TranslationUnit.NONE : gate.before(behind);
    }

    /** Control path: the gate has moved, or is another one. The caller drains. */
    synchronized void gate(Gate next) {
        gate = next;
        unit = closed ? TranslationUnit.NONE : gate.before(behind);
    }

    /** Whether an access meets the bar of a shut gate now. */
    boolean atBar() {
        return unit instanceof Gate.Bar;
    }

    /** Whether an access meets this bar now. */
    boolean meets(Gate.Bar bar) {
        return unit == bar;
    }

    /** Waits until no access that began before is still on its way. */
    void drain() {
        inFlight.drain();
    }

    /** Blocks the port, waits for what is in flight and forgets the port. Idempotent. */
    @Override
    public void close() {
        TranslationUnit last;
        synchronized (this) {
            closed = true;
            last = unit;
            unit = TranslationUnit.NONE;
        }
        if (last instanceof Gate.Bar bar) {
            bar.wake();
        }
        inFlight.drain();
        registration.close();
        bus.watch(inFlight, false);
    }

    /** Off the road: leaves, waits at a shut gate, and enters again; so no drain waits for who waits here. */
    private int await(Gate.Bar bar, int phase) {
        inFlight.exit(phase);
        bar.await(this);
        return inFlight.enter();
    }

    private int refuse(long iova, int length, int access, int refusal) {
        faults.fault(new Fault(id, iova, length, access, refusal));
        return refusal;
    }
}
