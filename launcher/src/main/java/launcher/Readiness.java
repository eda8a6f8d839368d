// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import org.osgi.service.component.runtime.dto.ComponentConfigurationDTO;
import org.osgi.util.tracker.ServiceTracker;

/**
 * Waits until the commands are available, which need everything below them; reports the missing services if they do not
 * come.
 */
final class Readiness {
    private static final String COMMANDS = "(&(osgi.command.scope=vfio)(osgi.command.function=report))";
    private static final String SOAK = "(&(osgi.command.scope=vfio)(osgi.command.function=soak))";
    private static final String INTERRUPTS = "(objectClass=irq.api.InterruptController)";
    private static final String IOMMU = "(objectClass=iommu.api.Iommu)";
    private static final long PATIENCE_SECONDS = 10;
    private static final long GLANCE_MILLIS = 100;

    private final BundleContext context;
    private final ServiceComponentRuntime components;

    Readiness(BundleContext context, ServiceComponentRuntime components) {
        this.context = context;
        this.components = components;
    }

    /**
     * @param log what the components say meanwhile
     * @param isolates whether the machine is to have an IOMMU
     * @throws ErrnoException ENODEV with the reason of the component that refused, or else naming every component that
     *     waits for something and what it waits for
     */
    void await(Log log, boolean isolates) throws InterruptedException, InvalidSyntaxException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        for (String wanted : isolates ? List.of(COMMANDS, SOAK, INTERRUPTS, IOMMU)
            : List.of(COMMANDS, SOAK, INTERRUPTS)) {
            ServiceTracker<Object, Object> tracker = new ServiceTracker<>(context, context.createFilter(wanted), null);
            tracker.open();
            try {
                while (tracker.waitForService(GLANCE_MILLIS) == null) {
                    Optional<String> failure = log.failure();
                    if (failure.isPresent()) {
                        throw new ErrnoException(Errno.ENODEV, "this machine does not come up: " + failure.get());
                    }
                    if (System.nanoTime() > deadline) {
                        throw new ErrnoException(Errno.ENODEV, "not everything came up within %d s: %s",
                            PATIENCE_SECONDS, waiting());
                    }
                }
            } finally {
                tracker.close();
            }
        }
        log.release();
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
