// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Iommu;
import irq.api.InterruptController;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Stream;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.wiring.BundleRevision;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.Swap;

/**
 * One thing that a bundle offers to containers. A bundle that offers any is a backend.
 *
 * @param kind of an IOMMU its {@link Iommu#KIND}, of a strategy its name; empty for an interrupt controller: any will
 *     do
 * @param types of an IOMMU its {@link Iommu#TYPE}; empty for others
 */
record Offer(Swap.Backend backend, String kind, Set<String> types) {
    private static final String SERVICE = "osgi.service";
    private static final String OBJECT_CLASS = "objectClass";
    private static final String STRATEGY = "msi.strategy";

    /** {@return what is offered, in words} */
    String text() {
        return switch (backend) {
            case IOMMU -> kind.isEmpty() ? "IOMMU without a kind" : "IOMMU of kind " + kind;
            case CONTROLLER -> "interrupt controller";
            case STRATEGY -> kind.isEmpty() ? "MSI strategy" : "MSI strategy " + kind;
        };
    }

    /** {@return the names of the backends that are installed, at work or not} */
    static List<String> backends(BundleContext context) {
        return Arrays.stream(context.getBundles()).filter(Offer::backend).map(Offer::name).distinct().toList();
    }

    /** Whether it offers something to containers now, or says in its manifest that it does when it is at work. */
    static boolean backend(Bundle bundle) {
        return services(bundle)
            .anyMatch(service -> !of(types(service), service.getProperty(Iommu.KIND), null, "").isEmpty())
            || !declared(bundle).isEmpty();
    }

    /** {@return what it offers now} */
    static Set<Offer> of(Bundle bundle) {
        Set<Offer> offers = new LinkedHashSet<>();
        services(bundle).forEach(service -> offers
            .addAll(of(types(service), service.getProperty(Iommu.KIND), service.getProperty(Iommu.TYPE),
            strategy(bundle, service))));
        return offers;
    }

    /** {@return what it says in its manifest that it offers when it is at work} */
    static Set<Offer> declared(Bundle bundle) {
        Set<Offer> offers = new LinkedHashSet<>();
        BundleRevision revision = bundle.adapt(BundleRevision.class);
        if (revision != null) {
            revision.getDeclaredCapabilities(SERVICE).forEach(capability -> {
                Object types = capability.getAttributes().get(OBJECT_CLASS);
                offers.addAll(of(types instanceof Collection<?> several ? several : List.of(String.valueOf(types)),
                    capability.getAttributes().get(Iommu.KIND), capability.getAttributes().get(Iommu.TYPE), ""));
            });
        }
        return offers;
    }

    /** A bundle of the first manifest version has no symbolic name. */
    static String name(Bundle bundle) {
        return bundle.getSymbolicName() == null ? "bundle " + bundle.getBundleId() : bundle.getSymbolicName();
    }

    static Stream<ServiceReference<?>> services(Bundle bundle) {
        ServiceReference<?>[] services = bundle.getRegisteredServices();
        return services == null ? Stream.of() : Arrays.stream(services);
    }

    static List<String> types(ServiceReference<?> service) {
        return List.of((String[]) service.getProperty(Constants.OBJECTCLASS));
    }

    private static Set<Offer> of(Collection<?> types, Object kind, Object iommuTypes, String strategy) {
        Set<Offer> offers = new LinkedHashSet<>();
        if (types.contains(Iommu.class.getName())) {
            offers.add(new Offer(Swap.Backend.IOMMU, kind instanceof String text ? text
                : kind == null ? "" : kind + " (" + kind.getClass().getSimpleName() + " and no text)",
                Set.copyOf(Iommu.types(iommuTypes))));
        }
        if (types.contains(InterruptController.class.getName())) {
            offers.add(new Offer(Swap.Backend.CONTROLLER, "", Set.of()));
        }
        if (types.contains(MsiStrategy.class.getName())) {
            offers.add(new Offer(Swap.Backend.STRATEGY, strategy, Set.of()));
        }
        return offers;
    }

    /**
     * {@return the strategy's name: its property, or else what it says itself; empty if it is another service, or says
     * nothing}
     */
    private static String strategy(Bundle bundle, ServiceReference<?> service) {
        if (service.getProperty(STRATEGY) instanceof String name) {
            return name;
        }
        if (!types(service).contains(MsiStrategy.class.getName())) {
            return "";
        }
        BundleContext context = bundle.getBundleContext();
        Object strategy = context == null ? null : context.getService(service);
        try {
            return strategy instanceof MsiStrategy one ? one.name() : "";
        } catch (RuntimeException | LinkageError e) {
            return "";
        } finally {
            if (strategy != null) {
                context.ungetService(service);
            }
        }
    }
}
