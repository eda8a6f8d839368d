// SPDX-License-Identifier: Apache-2.0
package vfio.container.irq;

import vfio.container.dma.Translation;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Quiescence;

/**
 * Stops the traffic of a container's devices while something behind them changes, keeps their messages, and lets it
 * continue as far as possible. The caller holds the container's lock, but for {@link #announceDeparture}.
 */
public final class Traffic {
    private final MsiRoutes routes;
    private final Quiescence gate;
    private final Translation translation;
    private final ContainerStatus status;

    Traffic(MsiRoutes routes, Quiescence gate, Translation translation, ContainerStatus status) {
        this.routes = routes;
        this.gate = gate;
        this.translation = translation;
        this.status = status;
    }

    /** Holds the devices back, and keeps their messages. When it returns, nothing of theirs is in flight. */
    public void shut() {
        routes.hold();
        gate.shut();
    }

    /**
     * As {@link #shut}, before the lock is held: its holder cannot let the devices go on until {@link #departed}.
     */
    public void announceDeparture() {
        routes.hold();
        gate.departing();
    }

    /** A departure has been dealt with. What is shut stays so. */
    public void departed() {
        gate.departed();
    }

    /**
     * Gives vectors to what waits for them, lets devices through as far as that went well, and delivers what was kept.
     * What still waits is the reason that the container gives. Does nothing unless it is ACTIVE.
     */
    public void resume() {
        if (!status.active()) {
            return;
        }
        status.reason(routes.connect());
        try {
            // A controller that has just come may be at work before its arrival has been told here.
            translation.restorePlacements();
        } catch (RuntimeException e) {
            if (status.reason().isEmpty()) {
                status.reason("a bank cannot be reached: " + e.getMessage());
            }
        }
        long[] waiting = routes.waitingPages();
        if (waiting.length > 0) {
            gate.keepMessages(waiting);
            routes.pass();
            // Who looked before they may pass has kept its message when this returns.
            gate.keepMessages(waiting);
        } else {
            gate.open();
        }
        routes.deliver();
    }
}
