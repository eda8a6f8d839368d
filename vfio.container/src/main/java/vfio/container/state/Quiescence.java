// SPDX-License-Identifier: Apache-2.0
package vfio.container.state;

import java.time.Duration;
import java.util.Set;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Gate;
import machine.api.Machine;

/**
 * Holds the devices of one container back while something behind them is swapped, and counts what that costs them.
 * Thread-safe: it has a lock of its own, the last of all, so that devices can be held back even if a provider hangs in
 * a call of the container's user.
 */
public final class Quiescence {
    /**
     * What a swap has cost so far.
     *
     * @param blockedNanos how long memory was held back
     * @param stalled accesses that waited
     * @param refused accesses that came when the bound had passed
     * @param carried messages that were kept
     */
    public record Tally(long blockedNanos, long stalled, long refused, long carried) {
    }

    private final Gate gate;
    private final AtomicLong kept = new AtomicLong();
    private volatile Duration bound;

    // Guarded by this.
    private boolean held;
    private boolean memory;
    /** Departures that are announced and not dealt with: until they are, nothing opens. */
    private int departures;
    private long since;
    private long blockedNanos;
    private Tally before = new Tally(0, 0, 0, 0);

    public Quiescence(Machine machine, Gate.Keeper keeper, Duration bound) {
        this.gate = machine.gate((requester, iova, data) -> {
            boolean message = keeper.keep(requester, iova, data);
            if (message) {
                kept.incrementAndGet();
            }
            return message;
        });
        this.bound = bound;
    }

    public Duration bound() {
        return bound;
    }

    public void bound(Duration next) {
        bound = next;
    }

    /** Whether this machine's devices can be held back at all. */
    public boolean possible() {
        return gate != Gate.NONE;
    }

    /** Whether anything is held back now. */
    public synchronized boolean holds() {
        return held;
    }

    /** Sets its devices. */
    public synchronized void requesters(Set<Integer> requesters) {
        gate.requesters(requesters);
    }

    /**
     * Holds everything back. When it returns, nothing is in flight; if everything is held back already, the bound goes
     * on.
     */
    public synchronized void shut() {
        if (!memory) {
            begin();
            memory = true;
            since = System.nanoTime();
            gate.shut(bound.toNanos());
        }
    }

    /**
     * As {@link #shut}, for a departure that another thread may have to handle: nothing opens until {@link #departed}.
     */
    public synchronized void departing() {
        departures++;
        shut();
    }

    /** A departure has been dealt with. What is shut stays so. */
    public synchronized void departed() {
        departures--;
    }

    /** Lets memory pass, but keeps the messages that go to some pages. */
    public synchronized void keepMessages(long[] pages) {
        if (departures == 0) {
            begin();
            gate.keepMessages(pages);
            endMemory();
        }
    }

    /** Lets everything pass. What was kept is the keeper's when this returns. */
    public synchronized void open() {
        if (held && departures == 0) {
            gate.open();
            endMemory();
            held = false;
        }
    }

    /** {@return what it has cost since it was last open, or what it cost then} */
    public synchronized Tally tally() {
        return new Tally(blockedNanos + (memory ? System.nanoTime() - since : 0), gate.stalled() - before.stalled(),
            gate.refused() - before.refused(), kept.get() - before.carried());
    }

    public synchronized void close() {
        gate.close();
        memory = false;
        held = false;
    }

    private void begin() {
        if (!held) {
            held = true;
            blockedNanos = 0;
            before = new Tally(0, gate.stalled(), gate.refused(), kept.get());
        }
    }

    private void endMemory() {
        if (memory) {
            memory = false;
            blockedNanos += System.nanoTime() - since;
        }
    }
}
