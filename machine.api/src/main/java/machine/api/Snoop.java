// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.util.List;
import org.osgi.annotation.versioning.ProviderType;

/**
 * What a unit with a coherent cache listens to: stores into memory it has cached. From {@link Bus#snoop}.
 *
 * <p>A unit takes a {@link #stamp} before it reads its tables, keeps it with what it has found, and serves that for as long as
 * {@link #unchanged} says so: one volatile read. Every store into the ranges makes all earlier stamps worthless <em>before</em> its
 * first byte is there, and none can be had until its last byte is: so whoever has seen the new bytes, and whoever is
 * told of the store after it has returned, is not served the old ones.
 *
 * <p>Thread-safe; nothing here blocks or allocates.
 */
@ProviderType
public final class Snoop implements Attachment {
    /** No stamp. */
    public static final long NONE = -1;
    /** Gives no stamp, ever: the unit does not cache. */
    public static final Snoop NEVER = new Snoop(List.of(), snoop -> {
    });

    private static final VarHandle STATE;
    /** Set until {@link Bus#sync} has seen off the stores that may not have noticed this, and again at the end. */
    private static final long DEAF = 1L << 63;
    /** Counts stores under way; above it, stores that have ended. */
    private static final long UNDER_WAY = 0xffff;

    static {
        try {
            STATE = MethodHandles.lookup().findVarHandle(Snoop.class, "state", long.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    /** Takes a snoop off the bus. */
    interface Leave {
        void leave(Snoop snoop);
    }

    private final List<Node.Range> ranges;
    private final Leave leave;
    private volatile long state = DEAF;
    private boolean closed;

    Snoop(List<Node.Range> ranges, Leave leave) {
        this.ranges = List.copyOf(ranges);
        this.leave = leave;
    }

    /** {@return what to keep with what is read after this; {@link #NONE}, and it must not be kept, while a store is under way, before
     * the first {@link Bus#sync} and after the end} */
    public long stamp() {
        long now = state;
        return (now & (DEAF | UNDER_WAY)) == 0 ? now : NONE;
    }

    /** {@return whether no store has begun since that stamp was taken; false for {@link #NONE}} */
    public boolean unchanged(long stamp) {
        return state == stamp;
    }

    /** Listens no more: every stamp is worthless from now on. Idempotent. */
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
