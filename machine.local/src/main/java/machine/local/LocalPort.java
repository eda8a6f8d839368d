// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.FaultListener;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.TranslationUnit;

/**
 * A port of a {@link LocalMachine}: counts itself in, asks the unit, and goes on to the bus's memory or, where there is
 * none, to its register windows. It asks the bus for these itself rather than through {@link Bus#write}: what a device
 * stores is counted here already.
 */
final class LocalPort implements DmaPort {
    private static final int BOUNDARY = 4096;

    private final Requester requester;
    private final int id;
    /** The requester id that register windows see. */
    private final int messageId;
    private final PhysicalBus bus;
    private final FaultListener faults;
    private final InFlight inFlight;
    private final Attachment registration;
    /** The next stop of an access: the unit, or the bar of a shut gate before it. */
    private volatile TranslationUnit unit;

    /** The number of {@link #dismiss} calls that hold. Written under this. */
    private volatile int dismissals;

    // Guarded by this.
    private TranslationUnit behind;
    private LocalGate gate;
    private boolean closed;

    /** @param device whose it is, for messages */
    LocalPort(Requester requester, String device, PhysicalBus bus, TranslationUnit unit, LocalGate gate,
        FaultListener faults,
            Attachment registration) {
        this.requester = requester;
        this.id = requester.id();
        this.messageId = requester.messageId();
        this.inFlight = new InFlight(id, device);
        this.bus = bus;
        this.behind = unit;
        this.gate = gate;
        this.unit = gate.before(unit);
        this.faults = faults;
        this.registration = registration;
        bus.watch(inFlight, true);
    }

    @Override
    public Requester requester() {
        return requester;
    }

    @Override
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
                if (physical == LocalGate.Bar.STALLED) {
                    LocalGate.Bar bar = (LocalGate.Bar) now;
                    if (bar.keeps(id, iova, size, value)) {
                        status = Bus.OK;
                        break;
                    }
                    physical = bar.pass(id, iova, size, Access.WRITE);
                    if (physical == LocalGate.Bar.STALLED && dismissals > 0) {
                        physical = Refusal.BLOCKED;
                    } else if (physical == LocalGate.Bar.STALLED) {
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
                    status = answer(iova, size, Access.WRITE, bus.register(messageId, physical, size, value));
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

    @Override
    public int write(long iova, byte[] from, int offset, int length) {
        return transfer(iova, from, offset, length, Access.WRITE);
    }

    @Override
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

    /**
     * Asks for none of its arguments after the copy, so none has to be kept during it: what is stored there waits
     * behind the block.
     */
    private int transferPiece(long iova, byte[] block, int offset, int length, int access) {
        int status = Bus.OK;
        int entered = inFlight.enter();
        try {
            while (true) {
                TranslationUnit now = unit;
                long physical = now.translate(id, iova, length, access);
                if (physical == LocalGate.Bar.STALLED) {
                    LocalGate.Bar bar = (LocalGate.Bar) now;
                    physical = bar.pass(id, iova, length, access);
                    if (physical == LocalGate.Bar.STALLED && dismissals > 0) {
                        physical = Refusal.BLOCKED;
                    } else if (physical == LocalGate.Bar.STALLED) {
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
                        ? bus.registers(messageId, physical, block, offset, length)
                            : bus.read(physical, block, offset, length);
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
    synchronized void gate(LocalGate next) {
        gate = next;
        unit = closed ? TranslationUnit.NONE : gate.before(behind);
    }

    /** Whether an access meets the bar of a shut gate now. */
    boolean atBar() {
        return unit instanceof LocalGate.Bar;
    }

    /** Whether an access that meets this bar now has to wait there. */
    boolean waitsAt(LocalGate.Bar bar) {
        return unit == bar && dismissals == 0;
    }

    @Override
    public Attachment dismiss() {
        TranslationUnit now;
        synchronized (this) {
            dismissals++;
            now = unit;
        }
        if (now instanceof LocalGate.Bar bar) {
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

    @Override
    public void close() {
        TranslationUnit last;
        synchronized (this) {
            closed = true;
            last = unit;
            // Who keeps a closed port, a thread that drove its device for one, keeps no unit and none of a bundle's
            // classes with it.
            behind = TranslationUnit.NONE;
            unit = TranslationUnit.NONE;
        }
        if (last instanceof LocalGate.Bar bar) {
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
