// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import java.time.Instant;
import java.util.Set;
import vfio.api.swap.Swap;
import vfio.container.dma.Translation;
import vfio.container.irq.MsiBinding;
import vfio.container.state.Quiescence;

/**
 * The reports of one container's swaps: the previous provider, the cost of a swap, and the other swaps while the IOMMU
 * was away, which are reported when devices are let through again. Guarded by the container's lock.
 */
public final class SwapReports {
    private final ContainerParts parts;
    private String leftIommu = "";
    private String leftController = "";
    /** Whether another interrupt controller, or strategy, has come while the IOMMU was away. */
    private boolean owesController;
    private boolean owesStrategy;

    public SwapReports(ContainerParts parts) {
        this.parts = parts;
    }

    /** The IOMMU's provider leaves, or is left. */
    void iommuLeft(String label) {
        leftIommu = label;
    }

    /** The interrupt controller has left; while a report is owed, what that says was there first stays. */
    void controllerLeft(String label) {
        if (!owesController) {
            leftController = label;
        }
    }

    /** As {@link #controllerLeft}, for a strategy. */
    void strategyLeft(String name) {
        if (!owesStrategy) {
            parts.msi().left(name);
        }
    }

    void oweController(boolean concerned) {
        owesController |= concerned;
    }

    void oweStrategy(boolean concerned) {
        owesStrategy |= concerned;
    }

    /** @param to what has taken over; empty if nothing has */
    Swap iommu(String to, String failure) {
        return report(Swap.Backend.IOMMU, leftIommu, to, failure);
    }

    Swap controller() {
        return report(Swap.Backend.CONTROLLER, leftController, parts.host().controllerLabel(), parts.status().reason());
    }

    Swap strategy() {
        return report(Swap.Backend.STRATEGY, parts.msi().left(), parts.msi().strategyName(), parts.status().reason());
    }

    /** The user has moved the container to another strategy. */
    public void moved(String from, String to) {
        report(Swap.Backend.STRATEGY, from, to, "");
    }

    /** The other swaps while the IOMMU was away. */
    void owed() {
        if (owesController && parts.host().controller() != null) {
            owesController = false;
            controller();
        }
        if (owesStrategy) {
            owesStrategy = false;
            strategy();
        }
    }

    /** Nothing is owed to a container that has been given up. */
    public void forget() {
        owesController = false;
        owesStrategy = false;
    }

    /**
     * Reports the failed replacement of a backend if this container uses one, or waits for one.
     */
    public void notReplaced(Swap.Backend backend, Set<String> types, String cause) {
        parts.lock().post(() -> {
            MsiBinding msi = parts.msi();
            String type = parts.status().type();
            boolean concerned = type != null && switch (backend) {
                case IOMMU -> types.contains(type);
                case CONTROLLER -> msi.routes().enabled() || !parts.ledger().placements().isEmpty();
                case STRATEGY -> msi.bound() || msi.routes().enabled();
            };
            if (concerned) {
                parts.status().notReplaced(cause);
                String present = present(backend);
                report(backend, present.isEmpty() ? left(backend) : present, present, cause);
            }
        });
    }

    private String present(Swap.Backend backend) {
        return switch (backend) {
            case IOMMU -> parts.translation().provider() == null ? "" : parts.translation().provider().label();
            case CONTROLLER -> parts.host().controllerLabel();
            case STRATEGY -> parts.msi().strategyName();
        };
    }

    private String left(Swap.Backend backend) {
        return switch (backend) {
            case IOMMU -> leftIommu;
            case CONTROLLER -> leftController;
            case STRATEGY -> parts.msi().left();
        };
    }

    private Swap report(Swap.Backend backend, String from, String to, String failure) {
        Quiescence.Tally tally = parts.gate().tally();
        Translation translation = parts.translation();
        boolean replayed = backend == Swap.Backend.IOMMU && translation.present();
        Swap report = new Swap(Instant.now(), parts.name(), backend, from, to, replayed
            ? translation.replayedAttributes() : 0,
            replayed ? parts.ledger().size() : 0, parts.ledger().placements().size(),
            parts.msi().routes().list().size(),
            tally.blockedNanos(), tally.stalled(), tally.refused(), tally.carried(), failure);
        if (report.done()) {
            parts.status().notReplaced("");
        }
        parts.host().report(report);
        return report;
    }
}
