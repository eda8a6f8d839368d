// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import irq.api.InterruptController;
import java.util.List;
import java.util.function.Supplier;
import machine.api.ErrnoException;
import vfio.container.host.Host;

/**
 * The MSI banks, which all containers share, and the last lock of all: it serialises the choice of the bank of which a
 * container takes a vector or makes the page reachable. No foreign code is called with it held. Thread-safe.
 */
public final class SharedBanks {
    /** A container's use of banks. Any thread. */
    public interface User {
        /** Whether its banks must be its own. */
        boolean isolated();

        /** Whether it has reserved banks, and not settled yet. */
        boolean reserving();

        /** Whether a device of its could ring that bank, or has a vector of it, or is about to. */
        boolean reaches(int bank);
    }

    /** Limit of the wait for a bank that another container has reserved. */
    private static final long SETTLING_NANOS = 1_000_000_000L;

    private final Host host;
    private final Supplier<List<? extends User>> users;
    private final Object lock = new Object();

    /** @param users gives those of all open containers */
    public SharedBanks(Host host, Supplier<List<? extends User>> users) {
        this.host = host;
        this.users = users;
    }

    /** Whether some container's banks must be its own. */
    public boolean anyIsolated() {
        return users.get().stream().anyMatch(User::isolated);
    }

    /**
     * Whether isolation keeps nobody from a bank: where doorbells verify their source nobody can ring another's vector.
     * Asks the interrupt controller, so it is not called with the lock held.
     */
    boolean shareable() {
        InterruptController controller = host.controller();
        return controller == null || controller.doorbells().verifiesSource();
    }

    /** Whether isolation, a container's or another's, keeps a bank that is not {@link #shareable} from it. */
    boolean taken(User user, int bank) {
        return users.get().stream()
            .anyMatch(other -> other != user && (user.isolated() || other.isolated()) && other.reaches(bank));
    }

    /** Does that with the lock held. */
    void change(Runnable change) {
        synchronized (lock) {
            change.run();
        }
    }

    /**
     * Decides with the lock held. Where only a reservation of another container's may be in the way, waits a moment for
     * what becomes of it.
     *
     * @param choice reserves what it chooses; throws if there is nothing to choose
     */
    <T> T reserve(User user, Supplier<T> choice) {
        long end = System.nanoTime() + SETTLING_NANOS;
        boolean interrupted = false;
        try {
            synchronized (lock) {
                while (true) {
                    try {
                        return choice.get();
                    } catch (ErrnoException e) {
                        long left = end - System.nanoTime();
                        if (left <= 0 || users.get().stream().noneMatch(other -> other != user && other.reserving())) {
                            throw e;
                        }
                        try {
                            lock.wait(left / 1_000_000 + 1);
                        } catch (InterruptedException again) {
                            interrupted = true;
                        }
                    }
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** Wakes the threads that wait for a reservation. */
    void settle(Runnable change) {
        synchronized (lock) {
            change.run();
            lock.notifyAll();
        }
    }
}
