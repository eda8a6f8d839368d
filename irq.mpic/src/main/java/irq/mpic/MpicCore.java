// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.concurrent.atomic.LongAdder;
import java.util.function.BiConsumer;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The interrupt handler of the core that all interrupts go to. Stop 6 of the road; before it {@link
 * machine.api.Cpu#pin}, after it {@link WireRoute#interrupt} or {@link MsiRoute#interrupt}.
 *
 * <p>Concurrency: {@link #run} is called by one thread at a time (Cpu sees to that) and takes no lock; what it reads is
 * published by volatile writes.
 */
final class MpicCore implements Runnable {
    /** The answer of an acknowledge with nothing to deliver: no source has this vector, there are 2048 at most. */
    static final int SPURIOUS = 0xffff;
    /** Vector of the interrupt by which the driver asks its own core to look at withdrawn MSI vectors. */
    static final int SETTLE = 0xfffe;

    private static final System.Logger LOG = System.getLogger("irq.mpic");

    private final BigEndianBus bus;
    private final long block;
    private final int number;
    private final BiConsumer<String, Throwable> report;
    private final AtomicReferenceArray<Route> routes;
    private final LongAdder unhandled = new LongAdder();
    private final LongAdder spurious = new LongAdder();
    private volatile MsiRoute[] messages = {};
    /** For the question whether it is oneself, which a thread's own stores answer: so no fence is needed. */
    private Thread serving;
    private volatile boolean open;

    MpicCore(BigEndianBus bus, long base, int number, int sources, BiConsumer<String, Throwable> report) {
        this.bus = bus;
        this.block = base + MpicRegisters.CPU + (long) MpicRegisters.CPU_STRIDE * number;
        this.number = number;
        this.report = report;
        routes = new AtomicReferenceArray<>(sources);
    }

    /** Lets interrupts come, whatever their priority. */
    void open(MsiRoute[] messageRoutes) {
        messages = messageRoutes;
        open = true;
        bus.put(block + MpicRegisters.CTPR, 0);
    }

    /** Holds interrupts back. A core whose MPIC is gone gets none anyway, so that is no error here. */
    void close() {
        open = false;
        bus.offer(block + MpicRegisters.CTPR, MpicRegisters.TASK_PRIORITY_MASK);
    }

    boolean isOpen() {
        return open;
    }

    /** {@return whether the caller is being called by this handler} */
    boolean isServing() {
        return serving == Thread.currentThread();
    }

    void route(int source, Route route) {
        routes.set(source, route);
    }

    /**
     * Makes the core look at withdrawn MSI vectors, now or when it has done with what it does.
     *
     * @return whether it will: not after {@link #close}, nor if the MPIC is gone; then no message arrives any more
     *     either
     */
    boolean settle() {
        return open && bus.offer(block + MpicRegisters.IPIDR, 1 << number);
    }

    long unhandled() {
        return unhandled.sum();
    }

    long spurious() {
        return spurious.sum();
    }

    /** Counts interrupts that nobody handles. */
    void unhandled(int count) {
        unhandled.add(count);
    }

    /** Reports the first interrupt of an origin that nobody handles. */
    void unwanted(String origin, int which) {
        failed(origin, which, new ErrnoException(Errno.ENOENT, "nobody handles it; more of them are only counted"));
    }

    /** Never throws: there is an interrupt to be ended. */
    void failed(String origin, int which, Throwable failure) {
        failed(origin + " 0x" + Integer.toHexString(which), failure);
    }

    /** Reports a failure of that origin. Never throws. */
    void failed(String origin, Throwable failure) {
        String what = origin + " of core " + number;
        try {
            report.accept(what, failure);
        } catch (Throwable e) {
            failure.addSuppressed(e);
            LOG.log(System.Logger.Level.ERROR, what + ", and the listener for failures failed as well", failure);
        }
    }

    /** Acknowledge, handlers, end of interrupt. A spurious vector is not ended. */
    @Override
    public void run() {
        if (!open) {
            close();
            return;
        }
        int vector = bus.get(block + MpicRegisters.IACK);
        if (vector != SETTLE && (vector < 0 || vector >= routes.length())) {
            spurious.increment();
            return;
        }
        serving = Thread.currentThread();
        try {
            if (vector == SETTLE) {
                for (MsiRoute route : messages) {
                    route.settle();
                }
            } else {
                routes.get(vector).interrupt();
            }
        } finally {
            serving = null;
            end(vector);
        }
    }

    private void end(int vector) {
        if (!bus.offer(block + MpicRegisters.EOI, 0)) {
            failed("end of interrupt", vector, new ErrnoException(Errno.EIO, "the MPIC has gone while it was handled"));
        }
    }
}
