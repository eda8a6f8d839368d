// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptHandler;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BiConsumer;
import machine.api.Bus;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * Software's side of one core: its interrupt handler and its table of vectors. Stop 6 of the road for an MSI; before it
 * {@link machine.api.Cpu#pin}, after it {@link InterruptHandler#interrupt}.
 *
 * <p>Concurrency: {@link #run} is called by one thread at a time (Cpu sees to that) and takes no lock; the table's
 * slots are claimed and withdrawn from any thread.
 */
final class ApicCore implements Runnable {
    private static final int SPURIOUS_VECTOR = 0xff;
    private static final int NONE = -1;
    /** Stands in a withdrawn vector's slot until nothing of it is left in the APIC. */
    private static final InterruptHandler DRAINING = () -> {
    };

    private static final System.Logger LOG = System.getLogger("irq.apic");

    private final Bus bus;
    private final long page;
    private final int id;
    private final BiConsumer<String, Throwable> report;
    private final AtomicReferenceArray<InterruptHandler> handlers = new AtomicReferenceArray<>(256);
    private volatile int running = NONE;
    private volatile Thread serving;
    private volatile long unclaimed;
    /** Told when a vector has become free; set before the first one is claimed. */
    private Runnable freed = () -> {
    };

    /** Finds the APIC and empties it of what a driver before may have left in service. */
    ApicCore(Bus bus, long page, BiConsumer<String, Throwable> report) {
        this.bus = bus;
        this.page = page;
        this.report = report;
        int version = get(ApicRegisters.VERSION);
        if ((version & 0xf0) != 0x10) {
            throw new ErrnoException(Errno.ENODEV,
                "no local APIC answers at 0x%x (version register 0x%x); is its unit attached?",
                page, version);
        }
        id = get(ApicRegisters.ID) >>> 24;
        for (int i = 0; i < 256 && anyInService(); i++) {
            put(ApicRegisters.END_OF_INTERRUPT, 0);
        }
    }

    /** {@return the physical APIC id} */
    int id() {
        return id;
    }

    /** {@return how many interrupts came for vectors that nobody has} */
    long unclaimed() {
        return unclaimed;
    }

    void enable() {
        put(ApicRegisters.TASK_PRIORITY, 0);
        put(ApicRegisters.SPURIOUS, ApicRegisters.ENABLE | SPURIOUS_VECTOR);
    }

    void disable() {
        put(ApicRegisters.SPURIOUS, SPURIOUS_VECTOR);
    }

    void onFree(Runnable listener) {
        freed = listener;
    }

    boolean free(int vector) {
        return handlers.get(vector) == null;
    }

    boolean claim(int vector, InterruptHandler handler) {
        return handlers.compareAndSet(vector, null, handler);
    }

    /**
     * Takes the handler away. When this returns it does not run any more, unless it is the caller. The vector is free
     * when nothing of it is left in the APIC: now, or when the core has done with it.
     */
    void withdraw(int vector) {
        handlers.set(vector, DRAINING);
        while (running == vector && serving != Thread.currentThread()) {
            LockSupport.parkNanos(20_000);
        }
        settle(vector);
    }

    /** The core's interrupt: acknowledge, handler, end of interrupt. What a handler throws is reported. */
    @Override
    public void run() {
        int vector = (int) bus.read(page + ApicRegisters.ACKNOWLEDGE, 4);
        if (vector < 0 || vector >= SPURIOUS_VECTOR) {
            return;
        }
        serving = Thread.currentThread();
        running = vector;
        InterruptHandler handler = handlers.get(vector);
        try {
            if (handler == null) {
                unclaimed = unclaimed + 1;
            } else {
                handler.interrupt();
            }
        } catch (Throwable e) {
            failed("the handler of vector 0x" + Integer.toHexString(vector) + " of core " + id + " failed", e);
        } finally {
            running = NONE;
            if (bus.write(page + ApicRegisters.END_OF_INTERRUPT, 4, 0) == Bus.OK && handlers.get(vector) == DRAINING) {
                settle(vector);
            }
        }
    }

    /** Never throws. */
    void failed(String what, Throwable failure) {
        try {
            report.accept(what, failure);
        } catch (Throwable e) {
            failure.addSuppressed(e);
            LOG.log(System.Logger.Level.ERROR, what + ", and so did the listener for failures", failure);
        }
    }

    /**
     * IRR is read before ISR: the APIC sets the bit in the one before it clears it in the other, so it is not missed on
     * its way. Either the core sees DRAINING after its EOI or the withdrawer sees the bit gone; the last of them frees
     * the slot.
     */
    private void settle(int vector) {
        int word = 16 * (vector / 32);
        int bits = get(ApicRegisters.REQUEST + word);
        bits |= get(ApicRegisters.IN_SERVICE + word);
        if ((bits >>> (vector & 31) & 1) == 0 && handlers.compareAndSet(vector, DRAINING, null)) {
            freed.run();
        }
    }

    private boolean anyInService() {
        int bits = 0;
        for (int i = 0; i < 8; i++) {
            bits |= get(ApicRegisters.IN_SERVICE + 16 * i);
        }
        return bits != 0;
    }

    private int get(int register) {
        return (int) bus.read(page + register, 4);
    }

    private void put(int register, int value) {
        if (bus.write(page + register, 4, value & 0xffffffffL) != Bus.OK) {
            throw new ErrnoException(Errno.EIO,
                "no local APIC answers at 0x%x; attach its unit and start this driver again", page + register);
        }
    }
}
