// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.lang.reflect.Field;
import java.lang.reflect.Modifier;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import machine.api.Errno;
import machine.api.Refusal;
import machine.api.Slot;
import org.osgi.framework.BundleContext;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import vfio.api.Container;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.Swap;

/**
 * The possible arguments of the commands of scope {@code vfio} at the moment: functions that the commands' property
 * {@code gantry.command.completes} names, for completion. Each is given the arguments before the one that is asked for.
 * None but {@code __operations} waits for a container that is busy.
 */
@Component(service = Completions.class, property = {"osgi.command.scope=vfio",
    "osgi.command.function=__containers", "osgi.command.function=__slots", "osgi.command.function=__places",
    "osgi.command.function=__devices", "osgi.command.function=__plugged", "osgi.command.function=__iommus",
    "osgi.command.function=__strategies", "osgi.command.function=__operations", "osgi.command.function=__operands",
    "osgi.command.function=__policies", "osgi.command.function=__backends", "osgi.command.function=__replacements",
    "osgi.command.function=__refusals", "osgi.command.function=__errnos"})
public final class Completions {
    /** The operation of {@code msi} that is {@code use}. */
    private static final String USE = "use";

    private final BundleContext context;
    private final Workbench bench;

    /** Built by Declarative Services. */
    @Activate
    public Completions(BundleContext context, @Reference(name = "bench") Workbench bench) {
        this.context = context;
        this.bench = bench;
    }

    /** {@return the open containers} */
    public List<String> __containers(String... before) {
        return bench.vfio().containers().stream().map(Container::name).toList();
    }

    /** {@return the slots that a device can be plugged into} */
    public List<String> __slots(String... before) {
        return bench.machine().slots().stream().filter(slot -> !slot.node().builtIn() && !bench.free(slot).isEmpty())
            .map(Slot::name).toList();
    }

    /** {@return the places that are free in a slot, but for functions beyond the first} */
    public List<String> __places(String slot) {
        return bench.machine().slots().stream().filter(one -> one.name().equals(slot) && !one.node().builtIn())
            .flatMap(one -> bench.free(one).stream()).filter(place -> place.function() == 0)
            .map(place -> String.format("%02x.0", place.device())).sorted().toList();
    }

    /** {@return the devices that are there} */
    public List<String> __devices(String... before) {
        return bench.vfio().groups().stream().flatMap(group -> group.devices().stream()).toList();
    }

    /** {@return the devices that can be unplugged} */
    public List<String> __plugged(String... before) {
        return bench.plugged();
    }

    /** {@return the types of IOMMU that there are} */
    public List<String> __iommus(String... before) {
        return bench.vfio().iommuTypes();
    }

    /** {@return the MSI strategies that there are} */
    public List<String> __strategies(String... before) {
        return Arrays.stream(context.getBundles()).flatMap(bundle -> Offer.of(bundle).stream())
            .filter(offer -> offer.backend() == Swap.Backend.STRATEGY && !offer.kind().isEmpty()).map(Offer::kind)
            .distinct().toList();
    }

    /** {@return what {@code msi} can do with a container} */
    public List<String> __operations(String container) {
        Optional<Msis> msis = bench.container(container).extension(Msis.class);
        if (msis.isEmpty()) {
            return List.of();
        }
        String active = msis.get().strategy().orElse("");
        List<String> operations = new ArrayList<>(List.of("explain", USE));
        try {
            for (ServiceReference<MsiStrategy> one : context.getServiceReferences(MsiStrategy.class, null)) {
                MsiStrategy strategy = context.getService(one);
                if (strategy != null && active.equals(strategy.name())) {
                    strategy.operations().forEach(operation -> operations.add(operation.split(" ", 2)[0]));
                }
                context.ungetService(one);
            }
        } catch (InvalidSyntaxException e) {
            throw new IllegalStateException(e);
        }
        return operations;
    }

    /** {@return what can be behind an operation of {@code msi}} */
    public List<String> __operands(String... before) {
        return before.length == 2 && before[1].equals(USE) ? __strategies() : List.of();
    }

    /** {@return the policies of vectors} */
    public List<String> __policies(String... before) {
        return Arrays.stream(VectorPolicy.values()).map(policy -> policy.name().toLowerCase(Locale.ROOT)).toList();
    }

    /** {@return the bundles that can be replaced under containers} */
    public List<String> __backends(String... before) {
        return Offer.backends(context);
    }

    /** {@return what something can be swapped for: a container for a type of IOMMU, a bundle for what is in a jar} */
    public List<String> __replacements(String what) {
        return __containers().contains(what) ? __iommus() : List.of("*.jar");
    }

    /** {@return why an access can be refused} */
    public List<String> __refusals(String... before) {
        return Arrays.stream(Refusal.class.getFields()).filter(field -> Modifier.isStatic(field.getModifiers()))
            .map(Field::getName).toList();
    }

    /** {@return what an operation can be refused with} */
    public List<String> __errnos(String... before) {
        return Arrays.stream(Errno.values()).map(Errno::name).toList();
    }
}
