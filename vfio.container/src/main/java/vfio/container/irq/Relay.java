// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import irq.api.InterruptHandler;
import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.concurrent.locks.LockSupport;
import vfio.api.EventFd;

/**
 * The last hop of an interrupt: from the controller's driver to the user's eventfd, which may be replaced or taken away
 * while the vector stays. Runs on the device's thread; lock-free. Before it the driver's cascade, after it
 * {@link EventFd#signal}.
 *
 * <p>Each target counts the interrupts that are on their way to it, any number of threads. One that has counted itself
 * looks again whether the target is still the one; so {@link #target(EventFd)} knows, when the count of the one before
 * is 0, that nobody signals that any more.
 */
public final class Relay implements InterruptHandler {
    private static final int SPINS = 1_000;
    private static final long PAUSE_NANOS = 20_000;

    /** An eventfd, or none, for as long as it is the one. */
    public static final class Target {
        private static final VarHandle INSIDE;

        static {
            try {
                INSIDE = MethodHandles.lookup().findVarHandle(Target.class, "inside", int.class);
            } catch (ReflectiveOperationException e) {
                throw new ExceptionInInitializerError(e);
            }
        }

        private final EventFd eventFd;
        @SuppressWarnings("unused")
        private volatile int inside;

        private Target(EventFd eventFd) {
            this.eventFd = eventFd;
        }

        /** Ends what {@link Relay#begin} began. */
        public void end() {
            INSIDE.getAndAdd(this, -1);
        }
    }

    private volatile Target target;

    public Relay(EventFd target) {
        this.target = new Target(target);
    }

    @Override
    public void interrupt() {
        Target to = begin();
        try {
            if (to.eventFd != null) {
                signal(to.eventFd);
            }
        } finally {
            to.end();
        }
    }

    /**
     * Signals an eventfd, which may be anybody's: what it throws is logged and disturbs neither the controller's driver
     * nor the device.
     */
    public static void signal(EventFd to) {
        try {
            to.signal();
        } catch (RuntimeException | Error e) {
            System.getLogger(Relay.class.getName()).log(System.Logger.Level.WARNING,
                "an eventfd could not be signalled (" + to.getClass().getName() + ")", e);
        }
    }

    /** {@return the target; it is waited for until {@link Target#end}} */
    public Target begin() {
        while (true) {
            Target to = target;
            Target.INSIDE.getAndAdd(to, 1);
            if (to == target) {
                return to;
            }
            to.end();
        }
    }

    /**
     * Replaces the target. When this returns, the one before is not signalled any more: Linux gives the interrupt back,
     * which waits for its handler, before it has another eventfd (vfio_msi_set_vector_signal, vfio_intx_set_signal of
     * 6.1). One caller at a time.
     *
     * @param next null for none
     */
    public void target(EventFd next) {
        Target before = target;
        target = new Target(next);
        for (int spins = 0; before.inside != 0; spins++) {
            if (spins < SPINS) {
                Thread.onSpinWait();
            } else {
                LockSupport.parkNanos(PAUSE_NANOS);
            }
        }
    }
}
