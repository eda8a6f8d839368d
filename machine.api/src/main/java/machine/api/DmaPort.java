// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A device's door to memory: everything a device does passes here, its MSIs too. Stop 1 of the road; next
 * {@link TranslationUnit#translate}, then {@link Bus#write}.
 *
 * <p>A port is opened by {@link Machine#openPort} and belongs to one device model; several devices may share one
 * requester id and still have a port each. Transfers are cut where PCIe cuts them, at 4 KiB boundaries, and stop at the
 * first piece that is refused: what went before has happened. Each piece is an access of its own, so {@link Bus#sync} waits for one
 * piece at most and not for a whole transfer. May be used by several threads of the device at once; lock-free; allocates only when an
 * access is refused.
 */
@ProviderType
public final class DmaPort implements AutoCloseable {
    private static final int BOUNDARY = 4096;

    private final Requester requester;
    private final int id;
    private final PhysicalBus bus;
    private final FaultListener faults;
    private final InFlight inFlight;
    private final Attachment registration;
    /** What an access meets: the unit, or the bar of a shut gate before it. */
    private volatile TranslationUnit unit;

    /** How often {@link #dismiss} holds. Written under this. */
    private volatile int dismissals;

    // Guarded by this.
    private TranslationUnit behind;
    private Gate gate;
    private boolean closed;

    /** @param device whose it is, for messages */
    DmaPort(Requester requester, String device, PhysicalBus bus, TranslationUnit unit, Gate gate, FaultListener faults,
            Attachment registration) {
        this.requester = requester;
        this.id = requester.id();
        this.inFlight = new InFlight(id, device);
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
        int status;
        int entered = inFlight.enter();
        try {
            while (true) {
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, size, Access.WRITE);
                if (physical == Refusal.STALLED) {
                    Gate.Bar bar = (Gate.Bar) now;
                    if (bar.keeps(id, iova, size, value)) {
                        status = Bus.OK;
                        break;
                    }
                    physical = bar.pass(id, iova, size, Access.WRITE);
                    if (physical == Refusal.STALLED && dismissals > 0) {
                        physical = Refusal.BLOCKED;
                    } else if (physical == Refusal.STALLED) {
                        // Off the road while it waits, so no drain waits for it.
                        inFlight.exit(entered);
                        entered = InFlight.OUT;
                        bar.await(this);
                        entered = inFlight.enter();
                        continue;
                    }
                }
                if (physical < 0) {
                    status = refuse(iova, size, Access.WRITE, (int) physical);
                    break;
                }
                Ram ram = bus.ram(physical, size);
                if (ram != null) {
                    try {
                        ram.write(physical - ram.base(), size, value);
                        status = Bus.OK;
                    } catch (Ram.Exhausted e) {
                        status = refuse(iova, size, Access.WRITE, Refusal.NO_MEMORY);
                    }
                } else {
                    status = answer(iova, size, Access.WRITE, bus.register(id, physical, size, value));
                }
                break;
            }
            inFlight.exit(entered);
            entered = InFlight.OUT;
        } finally {
            if (entered >= 0) {
                synchronized (inFlight.words) {
                    inFlight.words[entered]++;
                }
            }
        }
        return status;
    }

    /**
     * Writes a block to memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused
     */
    public int write(long iova, byte[] from, int offset, int length) {
        return transfer(iova, from, offset, length, Access.WRITE);
    }

    /**
     * Reads a block from memory.
     *
     * @return {@link Bus#OK}, or the {@link Refusal} of the first piece that was refused; from there on {@code to} holds
     *     all ones, as a device sees a failed completion
     */
    public int read(long iova, byte[] to, int offset, int length) {
        return transfer(iova, to, offset, length, Access.READ);
    }

    private int transfer(long iova, byte[] block, int offset, int length, int access) {
        if (length > 0 && length <= piece(iova)) {
            return transferPiece(iova, block, offset, length, access);
        }
        int size;
        for (int done = 0; done < length; done += size) {
            size = Math.min(length - done, piece(iova + done));
            int status = transferPiece(iova + done, block, offset + done, size, access);
            if (status != Bus.OK) {
                if (access == Access.READ) {
                    Arrays.fill(block, offset + done + size, offset + length, (byte) -1);
                }
                return status;
            }
        }
        return Bus.OK;
    }

    /** Asks for none of its arguments after the copy, so none has to be kept during it: what is stored there waits behind the block. */
    private int transferPiece(long iova, byte[] block, int offset, int length, int access) {
        int status = Bus.OK;
        int entered = inFlight.enter();
        try {
            while (true) {
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, length, access);
                if (physical == Refusal.STALLED) {
                    Gate.Bar bar = (Gate.Bar) now;
                    physical = bar.pass(id, iova, length, access);
                    if (physical == Refusal.STALLED && dismissals > 0) {
                        physical = Refusal.BLOCKED;
                    } else if (physical == Refusal.STALLED) {
                        inFlight.exit(entered);
                        entered = InFlight.OUT;
                        bar.await(this);
                        entered = inFlight.enter();
                        continue;
                    }
                }
                Ram ram = physical < 0 ? null : bus.ram(physical, length);
                if (ram == null) {
                    status = physical < 0 ? (int) physical : access == Access.WRITE
                        ? bus.registers(id, physical, block, offset, length) : bus.read(physical, block, offset, length);
                    if (status != Bus.OK && access == Access.READ) {
                        Arrays.fill(block, offset, offset + length, (byte) -1);
                    }
                    status = answer(iova, length, access, status);
                } else if (access == Access.WRITE) {
                    try {
                        ram.write(physical - ram.base(), block, offset, length);
                    } catch (Ram.Exhausted e) {
                        status = refuse(iova, length, access, Refusal.NO_MEMORY);
                    }
                } else {
                    ram.read(physical - ram.base(), block, offset, length);
                }
                break;
            }
            inFlight.exit(entered);
            entered = InFlight.OUT;
        } finally {
            if (entered >= 0) {
                synchronized (inFlight.words) {
                    inFlight.words[entered]++;
                }
            }
        }
        return status;
    }

    /** {@return how much from there on may be one request} */
    private static int piece(long iova) {
        return BOUNDARY - (int) (iova & BOUNDARY - 1);
    }

    /** Control path: puts another unit (or {@link TranslationUnit#NONE}) in front of the bus. The caller drains. A port
     * that is closed stays blocked. The machine calls this, {@link #gate} and the constructor with its lock held. */
    synchronized void unit(TranslationUnit next) {
        behind = closed ? TranslationUnit.NONE : next;
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

    /** Whether an access that meets this bar now has to wait there. */
    boolean waitsAt(Gate.Bar bar) {
        return unit == bar && dismissals == 0;
    }

    /**
     * For a device that is reset or taken out, and waits for its own accesses to end: none of them waits at a shut gate. Those that wait
     * there now are woken and refused {@link Refusal#BLOCKED}, and so are those that would wait from now on; messages are kept as ever.
     *
     * @return ends it; idempotent. Until every one that was given has been closed, it holds
     */
    public Attachment dismiss() {
        TranslationUnit now;
        synchronized (this) {
            dismissals++;
            now = unit;
        }
        if (now instanceof Gate.Bar bar) {
            bar.wake();
        }
        AtomicBoolean holds = new AtomicBoolean(true);
        return () -> {
            if (holds.getAndSet(false)) {
                synchronized (this) {
                    dismissals--;
                }
            }
        };
    }

    /**
     * Waits until no access that began before is still on its way.
     *
     * @throws ErrnoException ETIMEDOUT if one does not end within the patience
     */
    void drain(InFlight.Patience patience) {
        inFlight.drain(patience);
    }

    /**
     * Blocks the port, waits for what is in flight and forgets the port. Idempotent.
     *
     * @throws ErrnoException ETIMEDOUT, naming the device, if an access does not end within the bus's bound: its place is free all the same,
     *     and nothing passes any more, but {@link Bus#sync} goes on waiting for that access
     */
    @Override
    public void close() {
        TranslationUnit last;
        synchronized (this) {
            closed = true;
            last = unit;
            // Who keeps a closed port, a thread that drove its device for one, keeps no unit and none of a bundle's classes with it.
            behind = TranslationUnit.NONE;
            unit = TranslationUnit.NONE;
        }
        if (last instanceof Gate.Bar bar) {
            bar.wake();
        }
        try {
            inFlight.drain(bus.patience());
        } finally {
            registration.close();
        }
        bus.watch(inFlight, false);
    }

    private int answer(long iova, int length, int access, int status) {
        return status == Bus.OK ? Bus.OK : refuse(iova, length, access, status);
    }

    private int refuse(long iova, int length, int access, int refusal) {
        faults.fault(new Fault(id, iova, length, access, refusal));
        return refusal;
    }
}
