// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import irq.api.InterruptController;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.irq.MsiBinding;
import vfio.container.irq.MsiRoutes;
import vfio.container.irq.Traffic;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;

/**
 * Interrupt controllers come and go beneath one container. Called with the topology lock held, but for
 * {@link #vectorFree}.
 */
public final class ControllerEvents {
    private final ContainerParts parts;
    private final SwapReports reports;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final Translation translation;
    private final MsiBinding msi;
    private final MsiRoutes routes;
    private final Traffic traffic;

    public ControllerEvents(ContainerParts parts, SwapReports reports) {
        this.parts = parts;
        this.reports = reports;
        this.status = parts.status();
        this.ledger = parts.ledger();
        this.translation = parts.translation();
        this.msi = parts.msi();
        this.routes = msi.routes();
        this.traffic = msi.traffic();
    }

    /**
     * There is an interrupt controller: its banks come to where the ledger has them, and what waits for vectors gets
     * them.
     */
    public void arrived(InterruptController controller) {
        parts.lock().post(() -> restoreOn(controller));
    }

    private void restoreOn(InterruptController controller) {
        if (parts.host().controller() != controller) {
            return;
        }
        Cleanup steps = new Cleanup();
        boolean concerned = routes.enabled() || !ledger.placements().isEmpty();
        if (!status.active()) {
            reports.oweController(concerned);
        } else {
            if (routes.waiting() > 0) {
                traffic.shut();
            }
            steps.take(msi::resolveOrReturn);
            // New messages first, then the windows: an old one never meets the new controller.
            routes.connect();
            steps.take(translation::restorePlacements);
            traffic.resume();
            if (concerned || !ledger.placements().isEmpty()) {
                reports.controller();
            }
        }
        parts.pins().get().forEach(pin -> steps.take(() -> pin.restore(controller)));
        steps.end();
    }

    /** The controller is about to go: what devices have sent has reached it when this returns, and nothing follows. */
    public void leaving() {
        traffic.announceDeparture();
    }

    /**
     * The controller is not there any more for containers, and still for its driver: its vectors go back, its banks are
     * out of reach.
     *
     * @param label what reports call it
     * @param served whether all that had reached it has been served
     */
    public void gone(String label, boolean served) {
        parts.lock().post(() -> giveBack(label, served));
    }

    private void giveBack(String label, boolean served) {
        reports.controllerLeft(label);
        if (!served) {
            routes.assumeMissed();
        }
        Cleanup steps = new Cleanup();
        steps.take(routes::controllerGone);
        parts.pins().get().forEach(pin -> steps.take(pin::suspend));
        if (translation.present()) {
            ledger.placements().forEach(placement -> steps.take(() -> translation.shutWindow(placement)));
        }
        traffic.departed();
        traffic.resume();
        if (status.active()) {
            status.reason(routes.enabled() ? "the interrupt controller is gone; MSIs wait for another" : "");
        }
        steps.end();
    }

    /**
     * A vector has come free: what waits for one gets it. For a thread that holds no lock of ours.
     *
     * @return false if a thread hangs in a call that holds the lock, so that this has to be called again
     */
    public boolean vectorFree() {
        return routes.waiting() == 0 || parts.lock().runInTime(() -> {
            if (parts.host().controller() != null && routes.waiting() > 0) {
                traffic.resume();
            }
        });
    }
}
