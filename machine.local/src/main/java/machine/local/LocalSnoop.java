// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.List;
import machine.api.Bus;
import machine.api.Node;
import machine.api.Snoop;

/**
 * A snoop of a {@link PhysicalBus}: its state is a number that every store into its ranges changes twice, before the
 * first byte and after the last.
 */
final class LocalSnoop implements Snoop {
    private static final VarHandle STATE;
    /** Set until {@link Bus#sync} has seen off the stores that may not have noticed this, and again at the end. */
    private static final long DEAF = 1L << 63;
    /** Counts stores under way; above it, stores that have ended. */
    private static final long UNDER_WAY = 0xffff;

    static {
        try {
            STATE = MethodHandles.lookup().findVarHandle(LocalSnoop.class, "state", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Takes a snoop off the bus. */
    interface Leave {
        void leave(LocalSnoop snoop);
    }

    private final List<Node.Range> ranges;
    private final Leave leave;
    private volatile long state = DEAF;
    private boolean closed;

    LocalSnoop(List<Node.Range> ranges, Leave leave) {
        this.ranges = List.copyOf(ranges);
        this.leave = leave;
    }

    @Override
    public long stamp() {
        long now = state;
        return (now & (DEAF | UNDER_WAY)) == 0 ? now : NONE;
    }

    @Override
    public boolean unchanged(long stamp) {
        return state == stamp;
    }

    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
            STATE.getAndBitwiseOr(this, DEAF);
        }
        leave.leave(this);
    }

    List<Node.Range> ranges() {
        return ranges;
    }

    boolean touches(long physical, long length) {
        for (Node.Range range : ranges) {
            if (physical < range.physical() + range.size() && range.physical() < physical + length) {
                return true;
            }
        }
        return false;
    }

    /** Every store that is not announced here has left. */
    synchronized void listen() {
        if (!closed) {
            STATE.getAndBitwiseAnd(this, ~DEAF);
        }
    }

    /** Before the first byte of a store; a full fence. */
    void begin() {
        STATE.getAndAdd(this, 1L);
    }

    /** After its last byte. */
    void end() {
        STATE.getAndAdd(this, UNDER_WAY);
    }
}
