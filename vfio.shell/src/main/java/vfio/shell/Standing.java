// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.ArrayList;
import java.util.Collection;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.api.PciFunction;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.wiring.FrameworkWiring;
import vfio.api.Container;
import vfio.api.Vfio;

/** The services, components and devices that depend on a bundle and would be lost if it were replaced. */
final class Standing {
    private Standing() {
    }

    /** {@return what would be lost, in words} */
    static String lost(BundleContext context, Workbench bench, Bundle bundle) {
        List<Bundle> others = new ArrayList<>(
            context.getBundle(0).adapt(FrameworkWiring.class).getDependencyClosure(List.of(bundle)));
        others.remove(bundle);
        Set<String> services = new LinkedHashSet<>();
        List<Bundle> all = new ArrayList<>(others);
        all.add(bundle);
        all.forEach(one -> Offer.services(one).forEach(service -> services.addAll(Offer.types(service))));
        List<String> containers = bench.vfio().containers().stream().map(Container::name).toList();
        List<String> devices = bench.vfio().groups().stream().flatMap(group -> group.devices().stream()).toList();
        // A source's machine goes with its source.
        boolean machine = services.contains(Machine.class.getName())
            || services.contains(MachineSource.class.getName());
        List<String> lost = new ArrayList<>();
        if (bundle.getBundleId() == 0) {
            lost.add("the framework with everything in it");
        }
        if (machine) {
            lost.add("the machine " + bench.machine().model());
        }
        if (!containers.isEmpty() && (machine || services.contains(Vfio.class.getName()))) {
            lost.add("containers " + containers);
        }
        if (!devices.isEmpty() && (machine || services.contains(PciFunction.class.getName()))) {
            lost.add("devices " + devices);
        }
        if (services.contains(Workbench.class.getName())) {
            lost.add("this shell's commands, with what is plugged, opened and reported here");
        }
        if (!others.isEmpty()) {
            lost.add("the state of the bundles that are wired to it: " + names(others));
        }
        return lost.isEmpty() ? "what it does itself" : String.join("; ", lost);
    }

    private static List<String> names(Collection<Bundle> bundles) {
        return bundles.stream().map(Offer::name).sorted().toList();
    }
}
