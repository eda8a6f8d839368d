// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import org.osgi.annotation.versioning.ConsumerType;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A gate in front of the translations of some requesters, for who changes what lies behind it: shut, no access reaches an IOMMU,
 * so that none can see half a change or be recorded as a violation. Made by {@link Machine#gate}; open at first, and then not on
 * the road at all: a port meets its gate only while it is shut.
 *
 * <p>Shut, accesses to memory wait until the gate opens, at most for a bound from the moment it was shut; those that have waited so long,
 * and those that come later, are refused {@link Refusal#BLOCKED}. So are those of a device that is being reset, see {@link DmaPort#dismiss}. Messages do not wait: as the posted writes they are, the gate takes
 * them and its {@link Keeper} remembers them. Who waits at a gate is not in flight: {@link Bus#sync} does not wait for it. An access inside
 * another one of the same thread is part of that one, which is: whoever shuts the gate waits for it, until the bound lets it go.
 *
 * <p>Where a method waits for what is in flight and an access does not end, it waits as long as {@link Bus#sync} does and logs which; the gate
 * has moved all the same. Who gives memory back relies on {@link Bus#sync}, which throws then.
 *
 * <p>Control path. Belongs to whoever made it, who calls one method at a time; the counts may be read by any thread.
 */
@ProviderType
public final class Gate implements AutoCloseable {
    /** In front of devices that cannot be held back, such as those of another process: never shut, it keeps nobody. */
    public static final Gate NONE = new Gate(null, (requester, iova, data) -> false);

    /** Remembers the messages of who must not wait. */
    @FunctionalInterface
    @ConsumerType
    public interface Keeper {
        /**
         * A device writes 4 bytes at a shut gate. Called on the device's thread, inside its access: must be quick and must not block.
         *
         * @param iova where to, a multiple of 4
         * @param data what it writes
         * @return whether this is a message and the keeper will see to it; the device is told that it was written
         */
        boolean keep(int requester, long iova, int data);
    }

    /** A shut gate as one port meets it: immutable, stands in the place of the unit behind it. */
    static final class Bar implements TranslationUnit {
        private final Gate gate;
        private final TranslationUnit behind;
        /** The only pages that are shut; null for everything. */
        private final long[] pages;
        private final long deadline;

        private Bar(Gate gate, TranslationUnit behind, long[] pages, long deadline) {
            this.gate = gate;
            this.behind = behind;
            this.pages = pages;
            this.deadline = deadline;
        }

        @Override
        public long translate(int requester, long iova, int length, int access) {
            return pages == null || length == 4 && access == Access.WRITE && onPage(iova) ? Refusal.STALLED
                : behind.translate(requester, iova, length, access);
        }

        /** Whether a write is a message that is kept. */
        boolean keeps(int requester, long iova, int size, long value) {
            return size == 4 && gate.keeper.keep(requester, iova, (int) value);
        }

        /** What becomes of an access that is no message: {@link Refusal#STALLED} as long as it has to wait. */
        long pass(int requester, long iova, int length, int access) {
            if (pages != null) {
                return behind.translate(requester, iova, length, access);
            }
            if (deadline - System.nanoTime() > 0) {
                return Refusal.STALLED;
            }
            gate.refused.incrementAndGet();
            return Refusal.BLOCKED;
        }

        /** Waits until the port meets something else, or the bound has passed. An interrupt of the thread waits, too. */
        void await(DmaPort port) {
            boolean interrupted = false;
            gate.stalled.incrementAndGet();
            synchronized (gate) {
                for (long left = deadline - System.nanoTime(); left > 0 && port.waitsAt(this); left = deadline - System.nanoTime()) {
                    try {
                        gate.wait(left / 1_000_000, (int) (left % 1_000_000));
                    } catch (InterruptedException e) {
                        interrupted = true;
                    }
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }

        /** The port has gone, or its device is being reset: whoever waits there has nothing to wait for. */
        void wake() {
            synchronized (gate) {
                gate.notifyAll();
            }
        }

        private boolean onPage(long iova) {
            for (long page : pages) {
                if (iova >>> 12 == page >>> 12) {
                    return true;
                }
            }
            return false;
        }
    }

    private final LocalMachine machine;
    private final Keeper keeper;
    private final AtomicLong stalled = new AtomicLong();
    private final AtomicLong refused = new AtomicLong();

    // Guarded by the machine.
    private boolean shut;
    private long[] pages;
    private long deadline;

    Gate(LocalMachine machine, Keeper keeper) {
        this.machine = machine;
        this.keeper = keeper;
    }

    /**
     * Says for whom it is. Who joins while it is shut is behind it from now on; who leaves is not.
     *
     * @throws IllegalArgumentException if one of them has another gate
     */
    public void requesters(Set<Integer> requesters) {
        if (machine != null) {
            machine.behind(this, Set.copyOf(requesters));
            wake();
        }
    }

    /**
     * Shuts it. When this returns, nothing of its requesters is in flight. A gate that is shut already begins a new bound.
     *
     * @param boundNanos how long accesses may wait from now on, in nanoseconds; 0 or less refuses them at once
     */
    public void shut(long boundNanos) {
        change(true, null, System.nanoTime() + Math.max(0, boundNanos));
    }

    /**
     * Shuts it for messages alone: writes of 4 bytes to some pages, that the keeper takes. Everything else passes, and what waits goes
     * on. When this returns, nothing that it would stop is in flight.
     *
     * @param pages one device address of each page of 4 KiB
     */
    public void keepMessages(long... pages) {
        change(true, pages.clone(), System.nanoTime());
    }

    /** Opens it. When this returns, the keeper is not asked any more. */
    public void open() {
        change(false, null, 0);
    }

    /** {@return how many accesses have waited since it was made} */
    public long stalled() {
        return stalled.get();
    }

    /** {@return how many accesses were refused because the bound had passed, since it was made} */
    public long refused() {
        return refused.get();
    }

    /** Opens it for good; its requesters have no gate any more. */
    @Override
    public void close() {
        if (machine != null) {
            open();
            machine.behind(this, Set.of());
        }
    }

    private void change(boolean shutting, long[] only, long until) {
        if (machine != null) {
            synchronized (machine) {
                shut = shutting;
                pages = only;
                deadline = until;
            }
            machine.moved(this);
            wake();
        }
    }

    private synchronized void wake() {
        notifyAll();
    }

    /** {@return what a port meets; the caller holds the machine} */
    TranslationUnit before(TranslationUnit unit) {
        return shut ? new Bar(this, unit, pages, deadline) : unit;
    }
}
