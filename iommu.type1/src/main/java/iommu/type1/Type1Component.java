// SPDX-License-Identifier: Apache-2.0
package iommu.type1;

import iommu.api.Iommu;
import irq.api.InterruptRemapping;
import java.util.ArrayList;
import java.util.Hashtable;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicyOption;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;

/**
 * The VT-d driver as a service. It is made anew with every DRHD that becomes ready or ceases to be, and offers itself
 * once all DRHDs of the machine are ready: a driver of some of them would leave the devices behind the others
 * without protection. That, and whether there is interrupt remapping, is known only at run time, so it registers its services
 * itself.
 */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"iommu.api.Iommu\"", "iommu.kind=type1"})
@Capability(namespace = "osgi.service", effective = "active",
    attribute = "objectClass:List<String>=\"irq.api.InterruptRemapping\"")
@Component(name = "iommu.type1", service = {}, immediate = true)
@Designate(ocd = Type1Component.Config.class)
public final class Type1Component {
    private static final String COMPATIBLE = "intel,vt-d";

    /** How the driver uses the hardware. */
    @ObjectClassDefinition(name = "iommu.type1", description = "The VT-d driver")
    public @interface Config {
        /** {@return milliseconds a unit may take to answer} */
        @AttributeDefinition(description = "milliseconds a unit may take to answer")
        int timeout_millis() default 1000;

        /** {@return depth of page tables, 3 to 5; 0 for the deepest all units walk} */
        @AttributeDefinition(description = "depth of page tables, 3 to 5; 0 for the deepest all units walk")
        int levels() default 0;

        /** {@return whether mappings use 2 MiB and 1 GiB pages where they fit} */
        @AttributeDefinition(description = "use 2 MiB and 1 GiB pages where they fit")
        boolean superpages() default true;

        /** {@return whether an unmap that cuts a superpage splits it; else it is refused} */
        @AttributeDefinition(description = "an unmap that cuts a superpage splits it; else it is refused")
        boolean superpages_split() default true;

        /** {@return whether interrupt remapping is used} */
        @AttributeDefinition(description = "use interrupt remapping")
        boolean interrupt_remapping() default true;

        /** {@return entries of the interrupt remapping table, a power of two from 256 to 65536} */
        @AttributeDefinition(description = "entries of the interrupt remapping table, a power of two from 256 to 65536")
        int remapping_entries() default 4096;

        /** {@return whether invalidations drain by descriptor too} */
        @AttributeDefinition(description = "let invalidations drain too (DR, DW); needed where the bus cannot")
        boolean descriptor_drains() default false;
    }

    private final Machine machine;
    private final List<Node> nodes;
    private final List<ServiceRegistration<?>> services = new ArrayList<>();
    private Type1Driver driver;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public Type1Component(@Reference(name = "machine") Machine machine,
            @Reference(name = "nodes", cardinality = ReferenceCardinality.AT_LEAST_ONE, policyOption = ReferencePolicyOption.GREEDY,
                target = "(&(compatible=" + COMPATIBLE + ")(machine.ready=true))") List<Node> nodes) {
        this.machine = machine;
        this.nodes = nodes;
    }

    /** Takes the units over if all of them are there, and offers the services. */
    @Activate
    void activate(Config config, BundleContext bundle) {
        Set<String> ready = nodes.stream().map(Node::path).collect(Collectors.toSet());
        List<Node> all = machine.nodes().stream().filter(node -> node.compatibleWith(COMPATIBLE)).toList();
        if (!all.stream().allMatch(node -> ready.contains(node.path()))) {
            return;
        }
        driver = new Type1Driver(machine, all, new Type1Settings(config.timeout_millis(), config.levels(),
            new Superpages(config.superpages(), config.superpages_split()), config.interrupt_remapping(), config.remapping_entries(),
            config.descriptor_drains()));
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(Iommu.KIND, "type1");
        properties.put("vfio.type", 1);
        try {
            driver.remapping().ifPresent(remapping ->
                services.add(bundle.registerService(InterruptRemapping.class, remapping, new Hashtable<>(properties))));
            services.add(bundle.registerService(Iommu.class, driver, properties));
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Withdraws the services, then closes the driver: everything stays blocked. */
    @Deactivate
    public void close() {
        try {
            for (int i = services.size() - 1; i >= 0; i--) {
                services.get(i).unregister();
            }
        } finally {
            if (driver != null) {
                driver.close();
            }
        }
    }
}
