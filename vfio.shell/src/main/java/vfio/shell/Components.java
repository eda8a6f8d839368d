// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceReference;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import org.osgi.service.component.runtime.dto.ComponentConfigurationDTO;
import org.osgi.service.component.runtime.dto.ComponentDescriptionDTO;
import org.osgi.service.component.runtime.dto.ReferenceDTO;
import org.osgi.service.component.runtime.dto.UnsatisfiedReferenceDTO;

/** The state of a bundle's components as Declarative Services reports it. */
final class Components {
    private static final long GRACE_MILLIS = 500;

    private final BundleContext context;

    Components(BundleContext context) {
        this.context = context;
    }

    /** {@return which of a bundle's components has failed to start, and why, in one line; empty if none has} */
    String failure(Bundle bundle) {
        return ask(runtime -> {
            for (ComponentDescriptionDTO description : runtime.getComponentDescriptionDTOs(bundle)) {
                for (ComponentConfigurationDTO one : runtime.getComponentConfigurationDTOs(description)) {
                    if (one.state == ComponentConfigurationDTO.FAILED_ACTIVATION) {
                        return "its component " + description.name + " does not start: "
                            + Causes.trace(String.valueOf(one.failure));
                    }
                }
            }
            return "";
        });
    }

    /**
     * @param classes what its components are made of, by its descriptors
     * @return what keeps a bundle's components from starting; empty if nothing does
     */
    String waiting(Bundle bundle, List<String> classes) {
        return ask(runtime -> {
            List<String> waiting = new ArrayList<>();
            Collection<ComponentDescriptionDTO> descriptions = runtime.getComponentDescriptionDTOs(bundle);
            classes.stream()
                .filter(type -> descriptions.stream().noneMatch(one -> type.equals(one.implementationClass)))
                .forEach(type -> waiting
                    .add("Declarative Services does not take its descriptor of " + type + ", see the log"));
            for (ComponentDescriptionDTO description : descriptions) {
                for (ComponentConfigurationDTO one : runtime.getComponentConfigurationDTOs(description)) {
                    for (UnsatisfiedReferenceDTO reference : one.unsatisfiedReferences) {
                        waiting
                            .add("component " + description.name + " waits for " + wanted(description, reference.name)
                            + (reference.target == null ? "" : " " + reference.target));
                    }
                }
            }
            return String.join(", ", waiting);
        });
    }

    private static String wanted(ComponentDescriptionDTO description, String reference) {
        return Arrays.stream(description.references).filter((ReferenceDTO one) -> one.name.equals(reference))
            .map(one -> one.interfaceName)
            .findFirst().orElse(reference);
    }

    /**
     * Switches all of a bundle's components off, each on a thread of its own: one may hang, and the others have to let
     * go of what they hold of the machine. Waits for them for a moment; longer for none.
     */
    void disable(Bundle bundle) throws InterruptedException {
        List<Thread> threads = new ArrayList<>();
        ask(runtime -> {
            for (ComponentDescriptionDTO description : runtime.getComponentDescriptionDTOs(bundle)) {
                Thread thread = new Thread(() -> runtime.disableComponent(description),
                    "vfio.shell: switching off " + description.name);
                thread.setDaemon(true);
                thread.start();
                threads.add(thread);
            }
            return "";
        });
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(GRACE_MILLIS);
        for (Thread thread : threads) {
            thread.join(Math.max(1, TimeUnit.NANOSECONDS.toMillis(end - System.nanoTime())));
        }
    }

    private interface Question {
        String of(ServiceComponentRuntime runtime);
    }

    private String ask(Question question) {
        ServiceReference<ServiceComponentRuntime> reference = context
            .getServiceReference(ServiceComponentRuntime.class);
        ServiceComponentRuntime runtime = reference == null ? null : context.getService(reference);
        if (runtime == null) {
            return "";
        }
        try {
            return question.of(runtime);
        } finally {
            context.ungetService(reference);
        }
    }
}
