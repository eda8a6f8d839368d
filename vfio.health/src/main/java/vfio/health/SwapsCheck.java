// SPDX-License-Identifier: Apache-2.0
package vfio.health;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
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
 * The check that swaps succeed. CRITICAL if the latest one of an open container's backend has failed and nothing has
 * taken over; WARN if it has failed and the present backend goes on. A failure that has been resolved is mentioned and
 * does not count.
 */
@Component(service = HealthCheck.class, property = {HealthCheck.NAME + "=VFIO swaps", HealthCheck.TAGS + "=vfio"})
public final class SwapsCheck implements HealthCheck {
    private final Vfio vfio;

    private record Of(String container, Swap.Backend backend) {
    }

    /** Built by Declarative Services. */
    @Activate
    public SwapsCheck(@Reference(name = "vfio") Vfio vfio) {
        this.vfio = vfio;
    }

    @Override
    public Result execute() {
        FormattingResultLog log = new FormattingResultLog();
        Optional<Swaps> extension = vfio.extension(Swaps.class);
        if (extension.isEmpty()) {
            log.info("this VFIO swaps nothing");
            return new Result(log);
        }
        List<Swap> swaps = extension.get().latest();
        List<String> open = vfio.containers().stream().map(Container::name).toList();
        Map<Of, Swap> latest = new LinkedHashMap<>();
        swaps.forEach(swap -> latest.put(new Of(swap.container(), swap.backend()), swap));
        latest.values().stream().filter(swap -> !swap.done() && open.contains(swap.container())).forEach(swap -> {
            String backend = swap.backend().name().toLowerCase(Locale.ROOT);
            if (swap.to().isEmpty()) {
                log.critical("the {} of container {} could not be replaced: {}", backend, swap.container(),
                    swap.failure());
            } else {
                log.warn("the {} of container {} was not replaced, {} goes on: {}", backend, swap.container(),
                    swap.to(), swap.failure());
            }
        });
        log.debug("{} swaps, of which {} failed", swaps.size(), swaps.stream().filter(swap -> !swap.done()).count());
        return new Result(log);
    }
}
