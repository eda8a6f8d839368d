// SPDX-License-Identifier: Apache-2.0
package vfio.container.state;

import static vfio.api.ContainerState.ACTIVE;
import static vfio.api.ContainerState.BLOCKED;
import static vfio.api.ContainerState.CLOSED;
import static vfio.api.ContainerState.QUIESCING;
import static vfio.api.ContainerState.RESTORING;
import static vfio.api.ContainerState.UNSET;

import java.util.Arrays;
import java.util.Set;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.ContainerState;

/**
 * The state of one container, its IOMMU type, and the reason why it does not, or not fully, work: decision 12's
 * picture, with a method for each of its edges. Read at any time. Changed with the container's lock held, but for
 * {@link #block}, which a departing provider's thread calls without if another thread hangs in a call that holds it.
 */
public final class ContainerStatus {
    /** The permitted transitions. */
    private enum Edge {
        SET(ACTIVE, UNSET),
        QUIESCE(QUIESCING, ACTIVE, BLOCKED),
        RESUME(ACTIVE, QUIESCING),
        BLOCK(BLOCKED, ACTIVE, QUIESCING, RESTORING, BLOCKED),
        RESTORE(RESTORING, QUIESCING, BLOCKED),
        RESTORED(ACTIVE, RESTORING),
        CLEAR(UNSET, UNSET, ACTIVE, QUIESCING, BLOCKED, RESTORING),
        CLOSE(CLOSED, UNSET);

        private final ContainerState to;
        private final Set<ContainerState> from;

        Edge(ContainerState to, ContainerState... from) {
            this.to = to;
            this.from = Set.of(from);
        }
    }

    private final String name;
    private volatile ContainerState state = ContainerState.UNSET;
    private volatile String reason = "";
    /**
     * Why a backend was not replaced, of what reports call what; empty if the latest was. Nothing that keeps anybody
     * from working.
     */
    private volatile String notReplaced = "";
    private volatile String type;

    /** @param name the container's */
    public ContainerStatus(String name) {
        this.name = name;
    }

    /** Whether one state may follow another: by the table that the model of the hot swap is held to as well. */
    public static boolean follows(ContainerState from, ContainerState to) {
        return Arrays.stream(Edge.values()).anyMatch(edge -> edge.to == to && edge.from.contains(from));
    }

    /** The IOMMU type is set. */
    public void set(String iommu) {
        go(Edge.SET, () -> type = iommu);
    }

    /**
     * Its devices are held back, its domain is about to be closed. From BLOCKED if a hanging call has delayed a
     * departure.
     */
    public void quiesce() {
        go(Edge.QUIESCE);
    }

    /** The domain could not be closed, and is as it was. */
    public void resume() {
        go(Edge.RESUME);
    }

    /**
     * No provider has restored the ledger, or none could. From ACTIVE at once if a provider leaves while a thread hangs
     * in it, or if the domain does not close.
     */
    public void block(String why) {
        go(Edge.BLOCK, () -> reason = why);
    }

    /** A provider replays the ledger. */
    public void restore() {
        go(Edge.RESTORE);
    }

    /** The ledger is replayed. */
    public void restored() {
        go(Edge.RESTORED);
    }

    /** The last group has left, or the container is about to be closed: all is as it was in the beginning. */
    public void unset() {
        go(Edge.CLEAR, () -> {
            type = null;
            reason = "";
            notReplaced = "";
        });
    }

    public void close() {
        go(Edge.CLOSE);
    }

    private void go(Edge edge) {
        go(edge, () -> {
        });
    }

    /** @param first what is to be seen together with the new state, or before it */
    private synchronized void go(Edge edge, Runnable first) {
        if (!edge.from.contains(state)) {
            throw new IllegalStateException("container " + name + ": " + edge + " in state " + state);
        }
        first.run();
        state = edge.to;
    }

    public ContainerState state() {
        return state;
    }

    public boolean active() {
        return state == ContainerState.ACTIVE;
    }

    public boolean blocked() {
        return state == ContainerState.BLOCKED;
    }

    /** {@return the IOMMU type; null while none is set} */
    public String type() {
        return type;
    }

    /** A swap has led to another type. */
    public void type(String iommu) {
        type = iommu;
    }

    /**
     * {@return why it is not, or not wholly, at work, and why a backend was not replaced; empty if there is nothing to
     *     say}
     */
    public String reasons() {
        String now = reason;
        String last = notReplaced;
        return now.isEmpty() ? last : last.isEmpty() ? now : now + "; " + last;
    }

    /** {@return why it is not, or not wholly, at work; empty if it is} */
    public String reason() {
        return reason;
    }

    public void reason(String why) {
        reason = why;
    }

    /** One more reason. */
    public void addReason(String why) {
        reason += "; " + why;
    }

    /** Why a backend was not replaced; empty if the latest was. */
    public void notReplaced(String why) {
        notReplaced = why;
    }

    /** @throws ErrnoException EINVAL if the container is closed */
    public void requireOpen() {
        if (state == ContainerState.CLOSED) {
            throw new ErrnoException(Errno.EINVAL, "container %s is closed", name);
        }
    }

    /** @throws ErrnoException EINVAL if no IOMMU is set */
    public void requireIommu() {
        if (type == null) {
            throw new ErrnoException(Errno.EINVAL, "container %s has no IOMMU set; add a group and set one first",
                name);
        }
    }

    /** @throws ErrnoException EINVAL if the container is closed or has no IOMMU set, EAGAIN if it is not ACTIVE */
    public void requireActive() {
        requireOpen();
        requireIommu();
        if (state != ContainerState.ACTIVE) {
            throw new ErrnoException(Errno.EAGAIN, "container %s is %s: %s", name, state, reason);
        }
    }
}
