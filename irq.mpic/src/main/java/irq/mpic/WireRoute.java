// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptHandler;
import java.util.Arrays;
import java.util.concurrent.locks.LockSupport;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Wire;

/**
 * The source of a wire and its handlers. Stop 6 of the road for a wire; before it {@link MpicCore#run}, after it
 * {@link InterruptHandler#interrupt}.
 *
 * <p>Concurrency: {@link #interrupt} takes no lock. Requests and masks take a short one that is not held while a
 * register is written, since unmasking may run handlers: the writer of VPR looks again whether it is still what it
 * should be, so the last write is the right one.
 */
final class WireRoute implements Route {
    private static final Request[] NOBODY = {};

    private final MpicCore core;
    private final BigEndianBus bus;
    private final long vprAddress;
    private final int source;
    /** Priority and vector. */
    private final int identity;

    // Written under the lock.
    private volatile Request[] requests = NOBODY;
    private volatile int vpr;
    private int sense;
    private boolean masked;

    /** Odd while handlers run. Written by the core's handler only. */
    private volatile int passes;
    /**
     * Whether there is no more to be said of interrupts that nobody handles: one that was under way when its last
     * handler left is none.
     */
    private volatile boolean reported;

    private record Request(InterruptHandler handler, Object identity) {
    }

    WireRoute(MpicCore core, BigEndianBus bus, long vprAddress, int source, int identity) {
        this.core = core;
        this.bus = bus;
        this.vprAddress = vprAddress;
        this.source = source;
        this.identity = identity;
        vpr = MpicRegisters.MASKED | identity;
    }

    Attachment request(Wire wire, InterruptHandler handler) {
        int wanted = source < MpicRegisters.FIRST_INTERNAL ? sense(wire) : 0;
        Request fresh = new Request(handler, new Object());
        synchronized (this) {
            if (requests.length == 0) {
                sense = wanted;
                masked = false;
            } else if (sense != wanted) {
                throw new ErrnoException(Errno.EINVAL,
                    "source 0x%x is requested with another sense than <%s>; its wires must agree",
                    source, wire.specifier());
            }
            Request[] more = Arrays.copyOf(requests, requests.length + 1);
            more[requests.length] = fresh;
            requests = more;
            decide();
        }
        if (!program()) {
            remove(fresh);
            throw gone();
        }
        return () -> withdraw(fresh);
    }

    void mask(Wire wire, boolean wanted) {
        boolean before;
        synchronized (this) {
            if (requests.length == 0) {
                throw new ErrnoException(Errno.ENOENT, "nobody has requested source 0x%x (<%s>); request it first",
                    source, wire.specifier());
            }
            before = masked;
            masked = wanted;
            decide();
        }
        if (!program()) {
            synchronized (this) {
                masked = before;
                decide();
            }
            throw gone();
        }
    }

    @Override
    public void interrupt() {
        passes = passes + 1;
        Request[] now = requests;
        for (Request request : now) {
            try {
                request.handler.interrupt();
            } catch (Throwable e) {
                core.failed("a handler of source", source, e);
            }
        }
        passes = passes + 1;
        if (now.length == 0) {
            core.unhandled(1);
            if (!reported) {
                reported = true;
                core.unwanted("source", source);
            }
        }
        if (vpr < 0 && !bus.offer(vprAddress, vpr)) {
            // Somebody who unmasked late may be on this very thread, further down, and not come to look again before
            // this source is quiet.
            core.failed("masking source", source, new ErrnoException(Errno.EIO, "the MPIC has gone"));
        }
    }

    /** An MPIC that is gone interrupts nobody, so that is no error here. */
    private void withdraw(Request leaving) {
        if (remove(leaving)) {
            program();
            int pass = passes;
            while ((pass & 1) != 0 && passes == pass && !core.isServing()) {
                LockSupport.parkNanos(20_000);
            }
        }
    }

    private synchronized boolean remove(Request leaving) {
        int at = Arrays.asList(requests).indexOf(leaving);
        if (at < 0) {
            return false;
        }
        Request[] fewer = new Request[requests.length - 1];
        System.arraycopy(requests, 0, fewer, 0, at);
        System.arraycopy(requests, at + 1, fewer, at, fewer.length - at);
        requests = fewer;
        reported |= fewer.length == 0;
        decide();
        return true;
    }

    private void decide() {
        vpr = (requests.length == 0 || masked ? MpicRegisters.MASKED : 0) | sense | identity;
    }

    /** {@return whether the MPIC is there; after the driver's end there is nothing to say to it} */
    private boolean program() {
        int value;
        do {
            value = vpr;
            if (core.isOpen() && !bus.offer(vprAddress, value)) {
                return false;
            }
        } while (value != vpr);
        return true;
    }

    private ErrnoException gone() {
        return new ErrnoException(Errno.EIO,
            "no MPIC answers at 0x%x (source 0x%x); attach its unit and start this driver again",
            vprAddress, source);
    }

    /** The second cell: 0 rising edge, 1 level low, 2 level high, 3 falling edge. Without one, the wire's own word. */
    private static int sense(Wire wire) {
        String[] cells = wire.specifier().trim().split("\\s+");
        if (cells.length > 1) {
            return switch (cells[1]) {
                case "0", "0x0" -> MpicRegisters.ACTIVE_HIGH;
                case "1", "0x1" -> MpicRegisters.LEVEL;
                case "2", "0x2" -> MpicRegisters.LEVEL | MpicRegisters.ACTIVE_HIGH;
                case "3", "0x3" -> 0;
                default -> throw new ErrnoException(Errno.EINVAL, "<%s>: the sense of a wire is 0 to 3",
                    wire.specifier());
            };
        }
        return MpicRegisters.ACTIVE_HIGH | (wire.level() ? MpicRegisters.LEVEL : 0);
    }
}
