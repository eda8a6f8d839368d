// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import iommu.api.Iommu;
import irq.api.InterruptController;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.stream.Stream;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.wiring.BundleRevision;
import vfio.api.msi.MsiStrategy;

/** What bundles offer to containers. A bundle that offers an IOMMU, an interrupt controller or MSI strategies is a backend. */
final class Offer {
    private static final List<String> TYPES = List.of(Iommu.class.getName(), InterruptController.class.getName(), MsiStrategy.class.getName());
    private static final String SERVICE = "osgi.service";
    private static final String OBJECT_CLASS = "objectClass";

    private Offer() {
    }

    /** {@return the names of the backends that are installed, at work or not} */
    static List<String> backends(BundleContext context) {
        return Arrays.stream(context.getBundles()).filter(Offer::backend).map(Offer::name).toList();
    }

    /** Whether it offers something to containers now, or says in its manifest that it does when it is at work. */
    static boolean backend(Bundle bundle) {
        ServiceReference<?>[] registered = bundle.getRegisteredServices();
        return registered != null && Arrays.stream(registered).flatMap(one -> Stream.of((String[]) one.getProperty(Constants.OBJECTCLASS)))
            .anyMatch(TYPES::contains) || declares(bundle);
    }

    private static boolean declares(Bundle bundle) {
        BundleRevision revision = bundle.adapt(BundleRevision.class);
        return revision != null && revision.getDeclaredCapabilities(SERVICE).stream()
            .map(capability -> capability.getAttributes().get(OBJECT_CLASS))
            .anyMatch(types -> types instanceof Collection<?> several ? several.stream().anyMatch(TYPES::contains) : TYPES.contains(types));
    }

    /** A bundle of the first manifest version has no symbolic name. */
    private static String name(Bundle bundle) {
        return bundle.getSymbolicName() == null ? "bundle " + bundle.getBundleId() : bundle.getSymbolicName();
    }
}
