// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import vfio.api.msi.strategy.MsiStrategy;
import vfio.container.host.Cleanup;
import vfio.container.irq.MsiBinding;
import vfio.container.state.ContainerStatus;

/** MSI strategies come and go beneath one container. Called with the topology lock held. */
public final class StrategyEvents {
    private final ContainerParts parts;
    private final SwapReports reports;
    private final ContainerStatus status;
    private final MsiBinding msi;

    public StrategyEvents(ContainerParts parts, SwapReports reports) {
        this.parts = parts;
        this.reports = reports;
        this.status = parts.status();
        this.msi = parts.msi();
    }

    /** A strategy is there, or has another rank: a container that has none, or a stand-in, looks again. */
    public void arrived() {
        parts.lock().post(() -> {
            if (status.active()) {
                MsiStrategy before = msi.strategy();
                Cleanup steps = new Cleanup();
                steps.take(msi::resolveOrReturn);
                msi.traffic().resume();
                if (msi.strategy() != before && msi.bound() && msi.routes().enabled()) {
                    reports.strategy();
                }
                steps.end();
            }
        });
    }

    /** A strategy is not there any more: if it is at work here, another takes over, or nobody does until it is back. */
    public void gone(MsiStrategy leaving) {
        parts.lock().post(() -> {
            if (msi.strategy() == leaving) {
                reports.strategyLeft(leaving.name());
                Cleanup steps = new Cleanup();
                steps.take(msi::part);
                if (status.active()) {
                    steps.take(msi::resolve);
                    msi.traffic().resume();
                    if (msi.routes().enabled()) {
                        reports.strategy();
                    }
                } else {
                    reports.oweStrategy(msi.routes().enabled());
                }
                steps.end();
            }
        });
    }
}
