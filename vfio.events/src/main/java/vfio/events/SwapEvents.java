// SPDX-License-Identifier: Apache-2.0
package vfio.events;

import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.event.Event;
import org.osgi.service.event.EventAdmin;
import vfio.api.swap.Swap;
import vfio.api.swap.SwapListener;

/**
 * Posts an event for each report of a swap: topic {@value #DONE} or {@value #FAILED}, with the report's parts as
 * properties of their names, the whole report as {@code swap}, and the moment as {@code timestamp}. Handlers run on the
 * Event Admin's threads, never on the one that swaps.
 */
@Component(service = SwapListener.class)
public final class SwapEvents implements SwapListener {
    /** The newcomer has taken over. */
    static final String DONE = "vfio/swap/DONE";
    /** An attempt has failed; {@code failure} says why. */
    static final String FAILED = "vfio/swap/FAILED";

    private final EventAdmin events;

    /** Built by Declarative Services. */
    @Activate
    public SwapEvents(@Reference(name = "events") EventAdmin events) {
        this.events = events;
    }

    @Override
    public void swapped(Swap swap) {
        Map<String, Object> properties = new HashMap<>();
        properties.put("swap", swap);
        properties.put("timestamp", swap.at().toEpochMilli());
        properties.put("container", swap.container());
        properties.put("backend", swap.backend().name().toLowerCase(Locale.ROOT));
        properties.put("from", swap.from());
        properties.put("to", swap.to());
        properties.put("attributes", swap.attributes());
        properties.put("mappings", swap.mappings());
        properties.put("placements", swap.placements());
        properties.put("routes", swap.routes());
        properties.put("blockedNanos", swap.blockedNanos());
        properties.put("stalled", swap.stalled());
        properties.put("refused", swap.refused());
        properties.put("carried", swap.carried());
        properties.put("failure", swap.failure());
        events.postEvent(new Event(swap.done() ? DONE : FAILED, properties));
    }
}
