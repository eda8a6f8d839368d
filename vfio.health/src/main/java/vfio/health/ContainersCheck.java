// SPDX-License-Identifier: Apache-2.0
package vfio.health;

import java.util.List;
import org.apache.felix.hc.api.FormattingResultLog;
import org.apache.felix.hc.api.HealthCheck;
import org.apache.felix.hc.api.Result;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import vfio.api.Container;
import vfio.api.Vfio;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;

/**
 * The check that every container works. TEMPORARILY_UNAVAILABLE while one's backend is away, which is a matter of
 * moments in an update; CRITICAL if one is blocked although there was an attempt to restore it; WARN if memory is
 * reachable and an interrupt waits. OK if none is open.
 */
@Component(service = HealthCheck.class, property = {HealthCheck.NAME + "=VFIO containers", HealthCheck.TAGS + "=vfio"})
public final class ContainersCheck implements HealthCheck {
    private final Vfio vfio;

    /** Built by Declarative Services. */
    @Activate
    public ContainersCheck(@Reference(name = "vfio") Vfio vfio) {
        this.vfio = vfio;
    }

    @Override
    public Result execute() {
        FormattingResultLog log = new FormattingResultLog();
        if (vfio.containers().isEmpty()) {
            // A result without a single entry counts as a warning.
            log.info("no container is open");
        }
        for (Container container : vfio.containers()) {
            switch (container.state()) {
                case BLOCKED -> {
                    if (failed(container)) {
                        log.critical("container {} is BLOCKED: {}; replace the bundle, then vfio:retry {}",
                        container.name(), container.reason(),
                            container.name());
                    } else {
                        log.temporarilyUnavailable("container {} is BLOCKED: {}", container.name(), container.reason());
                    }
                }
                case QUIESCING, RESTORING ->
                log.temporarilyUnavailable("container {} is {}", container.name(), container.state());
                default -> {
                    if (container.reason().isEmpty()) {
                        log.debug("container {} is {}", container.name(), container.state());
                    } else {
                        log.warn("container {} is {}: {}", container.name(), container.state(), container.reason());
                    }
                }
            }
        }
        return new Result(log);
    }

    /** Whether the latest swap of its IOMMU is one that failed. */
    private boolean failed(Container container) {
        Swap last = null;
        for (Swap swap : vfio.extension(Swaps.class).map(Swaps::latest).orElse(List.of())) {
            if (swap.container().equals(container.name()) && swap.backend() == Swap.Backend.IOMMU) {
                last = swap;
            }
        }
        return last != null && !last.done() && last.to().isEmpty();
    }
}
