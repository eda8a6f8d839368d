// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Access;
import machine.api.Gate;
import machine.api.Refusal;
import machine.api.TranslationUnit;

/**
 * A gate of a {@link LocalMachine}: open, no port knows of it; shut, each port has a {@link Bar} in the place of its
 * unit.
 */
final class LocalGate implements Gate {
    /** The gate of a port without one: never shut. */
    static final LocalGate OPEN = new LocalGate(null, (requester, iova, data) -> false);

    /** A shut gate as one port meets it: immutable, stands in the place of the unit behind it. */
    static final class Bar implements TranslationUnit {
        /** No answer of a unit: the access has to wait. No device and no fault listener sees it. */
        static final int STALLED = Integer.MIN_VALUE;

        private final LocalGate gate;
        private final TranslationUnit behind;
        /** The only pages that are shut; null for everything. */
        private final long[] pages;
        private final long deadline;

        private Bar(LocalGate gate, TranslationUnit behind, long[] pages, long deadline) {
            this.gate = gate;
            this.behind = behind;
            this.pages = pages;
            this.deadline = deadline;
        }

        @Override
        public long translate(int requester, long iova, int length, int access) {
            return pages == null || length == 4 && access == Access.WRITE && onPage(iova) ? STALLED
                : behind.translate(requester, iova, length, access);
        }

        /** Whether a write is a message that is kept. */
        boolean keeps(int requester, long iova, int size, long value) {
            return size == 4 && gate.keeper.keep(requester, iova, (int) value);
        }

        /** {@return the answer to an access that is no message: {@link #STALLED} as long as it has to wait} */
        long pass(int requester, long iova, int length, int access) {
            if (pages != null) {
                return behind.translate(requester, iova, length, access);
            }
            if (deadline - System.nanoTime() > 0) {
                return STALLED;
            }
            gate.refused.incrementAndGet();
            return Refusal.BLOCKED;
        }

        /**
         * Waits until the port meets something else, or the bound has passed. An interrupt of the thread waits, too.
         */
        void await(LocalPort port) {
            boolean interrupted = false;
            gate.stalled.incrementAndGet();
            synchronized (gate) {
                for (long left = deadline - System.nanoTime(); left > 0
                    && port.waitsAt(this); left = deadline - System.nanoTime()) {
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

        /** The port has gone, or its device is being reset: its waiting accesses end. */
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

    LocalGate(LocalMachine machine, Keeper keeper) {
        this.machine = machine;
        this.keeper = keeper;
    }

    @Override
    public void requesters(Set<Integer> requesters) {
        machine.behind(this, Set.copyOf(requesters));
        wake();
    }

    @Override
    public void shut(long boundNanos) {
        change(true, null, System.nanoTime() + Math.max(0, boundNanos));
    }

    @Override
    public void keepMessages(long... pages) {
        change(true, pages.clone(), System.nanoTime());
    }

    @Override
    public void open() {
        change(false, null, 0);
    }

    @Override
    public long stalled() {
        return stalled.get();
    }

    @Override
    public long refused() {
        return refused.get();
    }

    @Override
    public void close() {
        open();
        machine.behind(this, Set.of());
    }

    private void change(boolean shutting, long[] only, long until) {
        synchronized (machine) {
            shut = shutting;
            pages = only;
            deadline = until;
        }
        machine.moved(this);
        wake();
    }

    private synchronized void wake() {
        notifyAll();
    }

    /** {@return what a port meets; the caller holds the machine} */
    TranslationUnit before(TranslationUnit unit) {
        return shut ? new Bar(this, unit, pages, deadline) : unit;
    }
}
