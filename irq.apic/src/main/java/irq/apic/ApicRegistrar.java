// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptController;
import irq.api.InterruptRemapping;
import java.util.Collections;
import java.util.Dictionary;
import java.util.HashMap;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiConsumer;
import java.util.function.Function;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import org.osgi.util.tracker.ServiceTracker;

/**
 * The registration of the controller as a service: a new one for each remapping that is used, because a message
 * composed for one table means nothing in the next. The best remapping available is used.
 *
 * <p>It follows the remappings itself because they belong to another bundle, which comes and goes on other threads than
 * this one does. Declarative Services has been seen to lose a component then: of two threads that activate it each can
 * find that the other has just taken a reference away, and neither tries again (Felix SCR 2.2.18).
 */
final class ApicRegistrar extends ServiceTracker<InterruptRemapping, InterruptRemapping> {
    private final Function<Optional<InterruptRemapping>, ApicDriver> drivers;
    private final BiConsumer<String, Throwable> report;

    /**
     * Taken before any lock of the containers, which are told of the service under it; never while one of theirs is
     * held.
     */
    private final Object lock = new Object();

    // Guarded by it.
    private boolean unremapped;
    private Dictionary<String, ?> properties;
    private final Map<ServiceReference<InterruptRemapping>, InterruptRemapping> remappings = new HashMap<>();
    private boolean open;
    private ServiceReference<InterruptRemapping> used;
    private ApicDriver driver;
    private ServiceRegistration<InterruptController> service;

    /**
     * Offers nothing yet.
     *
     * @param drivers take hold of the cores
     * @param unremapped whether there is a controller without remapping, too
     * @param properties of the service
     * @param report is called with the reason why there is no controller although there could be one
     */
    ApicRegistrar(BundleContext context, Function<Optional<InterruptRemapping>, ApicDriver> drivers, boolean unremapped,
            Dictionary<String, ?> properties, BiConsumer<String, Throwable> report) {
        super(context, InterruptRemapping.class, null);
        this.drivers = drivers;
        this.unremapped = unremapped;
        this.properties = properties;
        this.report = report;
    }

    /**
     * Offers the controller now, or as soon as there is a remapping.
     *
     * @return whether there was one
     */
    boolean begin() {
        synchronized (lock) {
            open = true;
        }
        open();
        follow();
        synchronized (lock) {
            return unremapped || !remappings.isEmpty();
        }
    }

    /** As the constructor's; a controller that is used by then with remapping stays. */
    void change(boolean nextUnremapped, Dictionary<String, ?> nextProperties) {
        synchronized (lock) {
            unremapped = nextUnremapped;
            properties = nextProperties;
            follow();
            if (service != null) {
                service.setProperties(properties);
            }
        }
    }

    /** When this returns there is no controller and the cores are free. */
    void end() {
        synchronized (lock) {
            open = false;
            withdraw();
        }
        close();
    }

    @Override
    public InterruptRemapping addingService(ServiceReference<InterruptRemapping> reference) {
        InterruptRemapping remapping;
        try {
            remapping = super.addingService(reference);
        } catch (IllegalStateException e) {
            return null; // This bundle has stopped since the event was sent.
        }
        if (remapping != null) {
            synchronized (lock) {
                remappings.put(reference, remapping);
            }
            follow();
        }
        return remapping;
    }

    @Override
    public void modifiedService(ServiceReference<InterruptRemapping> reference, InterruptRemapping remapping) {
        follow();
    }

    @Override
    public void removedService(ServiceReference<InterruptRemapping> reference, InterruptRemapping remapping) {
        synchronized (lock) {
            remappings.remove(reference);
        }
        follow();
        try {
            super.removedService(reference, remapping);
        } catch (IllegalStateException e) {
            return; // This bundle has stopped since the event was sent; what it used is given back.
        }
    }

    /** Makes what is offered fit what there is. */
    private void follow() {
        synchronized (lock) {
            ServiceReference<InterruptRemapping> best = remappings.isEmpty() ? null
                : Collections.max(remappings.keySet());
            if (driver != null && best != used || best == null && !unremapped) {
                withdraw();
            }
            if (open && driver == null && (best != null || unremapped)) {
                offer(best);
            }
        }
    }

    private void offer(ServiceReference<InterruptRemapping> remapping) {
        try {
            driver = drivers.apply(Optional.ofNullable(remappings.get(remapping)));
            used = remapping;
            service = context.registerService(InterruptController.class, driver, properties);
        } catch (RuntimeException | Error e) {
            withdraw();
            report.accept(
                "the local APICs are not driven; the next remapping, or a restart of this bundle, tries again", e);
        }
    }

    private void withdraw() {
        try {
            if (service != null) {
                service.unregister();
            }
        } finally {
            service = null;
            used = null;
            if (driver != null) {
                ApicDriver gone = driver;
                driver = null;
                gone.close();
            }
        }
    }
}
