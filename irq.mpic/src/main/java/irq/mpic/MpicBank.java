// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptHandler;
import irq.api.MsiBank;
import irq.api.MsiMessage;
import irq.api.MsiVector;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.BitSet;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The vectors of one MSI bank. Stop 6 of the road for an MSI; before it {@link MsiRoute#interrupt}, after it
 * {@link InterruptHandler#interrupt}.
 *
 * <p>A vector is free, allocated, or withdrawn: given back, but a message of its last owner may still stand in the
 * message register. It becomes free when the core has read that register once more, which {@link #release} waits for.
 *
 * <p>Concurrency: {@link #deliver} is called by one thread at a time and takes no lock; the pool of free vectors has a
 * short one under which nothing else is called.
 */
final class MpicBank {
    private static final int NONE = -1;
    /**
     * Limit of the wait for a released number to become free: many times the longest pass of handlers that do not
     * block.
     */
    private static final long PATIENCE_NANOS = 1_000_000_000L;
    private static final long PAUSE_NANOS = 20_000;
    private static final VarHandle RUNNING;

    static {
        try {
            RUNNING = MethodHandles.lookup().findVarHandle(MpicBank.class, "running", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final MpicCore core;
    private final MsiBankNode place;
    private final MsiBank description;
    private final MsiLayout layout;
    private final AtomicReferenceArray<InterruptHandler> handlers;
    private final MsiRoute[] routes;
    /** Guarded by itself. */
    private final BitSet free;
    private volatile int running = NONE;
    private boolean reported;
    /** Told when a vector has become free; set before the first one is taken. */
    private Runnable freed;

    /**
     * Stands in a withdrawn vector's slot; each release has its own, so that it sees its end and not that of the next.
     */
    private static final class Withdrawn implements InterruptHandler {
        @Override
        public void interrupt() {
            // The message came too late.
        }
    }

    MpicBank(MpicCore core, BigEndianBus bus, MsiBankNode place, int index) {
        this.core = core;
        this.place = place;
        layout = place.layout();
        description = new MsiBank(index, place.doorbell() & -MsiLayout.ALIAS_STRIDE, MsiLayout.ALIAS_STRIDE,
            layout.vectors());
        handlers = new AtomicReferenceArray<>(layout.vectors());
        routes = new MsiRoute[layout.registers()];
        free = new BitSet(layout.vectors());
        for (int register = 0; register < layout.registers(); register++) {
            if (place.source(register) != MsiBankNode.NO_SOURCE) {
                routes[register] = new MsiRoute(bus, place.registers() + (long) MsiLayout.MSIR_STRIDE * register,
                    register, this);
                for (int bit = 0; bit < MsiLayout.BITS; bit++) {
                    free.set(layout.vector(register, bit));
                }
            }
        }
    }

    MsiBank description() {
        return description;
    }

    void onFree(Runnable listener) {
        freed = listener;
    }

    MsiBankNode place() {
        return place;
    }

    /** {@return the route of a message register; null if it is not ours} */
    MsiRoute route(int register) {
        return routes[register];
    }

    int free() {
        synchronized (free) {
            return free.cardinality();
        }
    }

    /** {@return the lowest free vector, now taken; -1 if there is none} */
    int take(InterruptHandler handler) {
        synchronized (free) {
            int vector = free.nextSetBit(0);
            if (vector != NONE) {
                free.clear(vector);
                handlers.set(vector, handler);
            }
            return vector;
        }
    }

    /**
     * As {@link irq.api.MsiDoorbells#release}; the vector is free when this returns, unless a handler called it or
     * another handler blocks. Then it becomes free with the core's next pass, and until then messages to it are
     * dropped.
     */
    void release(MsiVector vector) {
        InterruptHandler handler = allocated(vector);
        int number = vector.number();
        Withdrawn mark = new Withdrawn();
        if (!handlers.compareAndSet(number, handler, mark)) {
            throw missing(vector);
        }
        while (running == number && !core.isServing()) {
            LockSupport.parkNanos(PAUSE_NANOS);
        }
        routes[layout.register(number)].withdraw(layout.bit(number));
        if (core.settle() && !core.isServing()) {
            long start = System.nanoTime();
            while (handlers.get(number) == mark && core.isOpen() && System.nanoTime() - start < PATIENCE_NANOS) {
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        }
    }

    MsiMessage compose(MsiVector vector) {
        allocated(vector);
        return new MsiMessage(description.index(), (int) (place.doorbell() - description.page()), vector.number());
    }

    /** Calls the handler of each bit, the lowest first. Withdrawn vectors' messages are dropped. */
    void deliver(int register, int bits) {
        for (int left = bits; left != 0; left &= left - 1) {
            int vector = layout.vector(register, Integer.numberOfTrailingZeros(left));
            running = vector;
            InterruptHandler handler = handlers.get(vector);
            if (handler == null) {
                unhandled(vector);
            } else {
                try {
                    handler.interrupt();
                } catch (Throwable e) {
                    core.failed("the handler of bank " + description.index() + ", vector", vector, e);
                }
            }
            RUNNING.setRelease(this, NONE);
        }
    }

    private void unhandled(int vector) {
        core.unhandled(1);
        if (!reported) {
            reported = true;
            core.unwanted("MSI of bank " + description.index() + ", vector", vector);
        }
    }

    /** Nothing of these is under way any more. */
    void settled(int register, int bits) {
        synchronized (free) {
            for (int left = bits; left != 0; left &= left - 1) {
                int vector = layout.vector(register, Integer.numberOfTrailingZeros(left));
                handlers.set(vector, null);
                free.set(vector);
            }
        }
        freed.run();
    }

    private InterruptHandler allocated(MsiVector vector) {
        InterruptHandler handler = vector.number() >= 0 && vector.number() < handlers.length()
            ? handlers.get(vector.number())
            : null;
        if (handler == null || handler instanceof Withdrawn) {
            throw missing(vector);
        }
        return handler;
    }

    private static ErrnoException missing(MsiVector vector) {
        return new ErrnoException(Errno.ENOENT, "vector 0x%x of bank %d is not allocated", vector.number(),
            vector.bank());
    }
}
