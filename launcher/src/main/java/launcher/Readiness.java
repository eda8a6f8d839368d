// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import org.osgi.service.component.runtime.dto.ComponentConfigurationDTO;
import org.osgi.util.tracker.ServiceTracker;

/** Waits until the commands are there, which need everything below them; says what is missing if they do not come. */
final class Readiness {
    private static final String COMMANDS = "(&(osgi.command.scope=vfio)(osgi.command.function=report))";
    private static final long PATIENCE_SECONDS = 10;

    private final BundleContext context;
    private final ServiceComponentRuntime components;

    Readiness(BundleContext context, ServiceComponentRuntime components) {
        this.context = context;
        this.components = components;
    }

    /** @throws ErrnoException ENODEV naming every component that waits for something and what it waits for */
    void await() throws InterruptedException, InvalidSyntaxException {
        ServiceTracker<Object, Object> tracker = new ServiceTracker<>(context, context.createFilter(COMMANDS), null);
        tracker.open();
        try {
            if (tracker.waitForService(TimeUnit.SECONDS.toMillis(PATIENCE_SECONDS)) == null) {
                throw new ErrnoException(Errno.ENODEV, "not everything came up within %d s: %s", PATIENCE_SECONDS, waiting());
            }
        } finally {
            tracker.close();
        }
    }

    private List<String> waiting() {
        return components.getComponentDescriptionDTOs().stream()
            .flatMap(description -> components.getComponentConfigurationDTOs(description).stream())
            .filter(one -> one.state == ComponentConfigurationDTO.UNSATISFIED_REFERENCE
                || one.state == ComponentConfigurationDTO.FAILED_ACTIVATION)
            .map(Readiness::wish).toList();
    }

    private static String wish(ComponentConfigurationDTO one) {
        return one.failure != null ? one.description.name + " failed: " + one.failure.lines().findFirst().orElse("")
            : one.description.name + " waits for " + Arrays.stream(one.unsatisfiedReferences)
                .map(reference -> reference.name + (reference.target == null ? "" : " " + reference.target)).toList();
    }
}
