// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.Iommu;
import iommu.api.IommuType;
import irq.api.InterruptRemapping;
import java.util.ArrayList;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import machine.api.config.ConfigurationReader;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Modified;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicyOption;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;
import org.osgi.service.metatype.annotations.Option;

/**
 * The VT-d driver as a service. It is rebuilt whenever a DRHD becomes ready or ceases to be, and offers itself once all
 * DRHDs of the machine are ready: a driver of some of them would leave the devices behind the others without
 * protection. That, and whether there is interrupt remapping, is known only at run time, so it registers its services
 * itself.
 */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {
    "objectClass:List<String>=\"iommu.api.Iommu\"", "iommu.kind=vtd", "vfio.type:List<String>=\"type1v2,type1\""})
@Capability(namespace = "osgi.service", effective = "active",
    attribute = "objectClass:List<String>=\"irq.api.InterruptRemapping\"")
@Component(name = "iommu.vtd", service = {}, immediate = true)
@Designate(ocd = VtdComponent.Config.class)
public final class VtdComponent {
    /** The driver's use of the hardware. */
    @ObjectClassDefinition(name = "VT-d driver", description = "How the driver uses the VT-d units")
    public @interface Config {
        /** {@return milliseconds a unit may take to answer} From the next wait on. */
        @AttributeDefinition(name = "Timeout", min = "1", max = "3600000",
            description = "milliseconds a unit may take to answer; from the next wait on")
        int timeout_millis() default 1000;

        /** {@return depth of page tables, 3 to 5; 0 for the deepest all units walk} When the driver starts next. */
        @AttributeDefinition(name = "Levels", options = {@Option(label = "the deepest all units walk", value = "0"),
            @Option(label = "3", value = "3"), @Option(label = "4", value = "4"), @Option(label = "5", value = "5")},
            description = "depth of page tables, one that all units walk; 0 for the deepest; when the driver starts "
                + "next")
        int levels() default 0;

        /** {@return whether mappings use 2 MiB and 1 GiB pages where they fit} For new domains. */
        @AttributeDefinition(name = "Superpages", description = "use 2 MiB and 1 GiB pages where they fit; for new "
            + "domains")
        boolean superpages() default true;

        /** {@return whether an unmap that cuts a superpage splits it; else it is refused} For new domains. */
        @AttributeDefinition(name = "Split superpages",
            description = "an unmap that cuts a superpage splits it; else it is refused; for new domains")
        boolean superpages_split() default true;

        /** {@return whether interrupt remapping is used} When the driver starts next. */
        @AttributeDefinition(name = "Interrupt remapping", description = "use interrupt remapping; when the driver "
            + "starts next")
        boolean interrupt_remapping() default true;

        /**
         * {@return entries of the interrupt remapping table, a power of two from 256 to 65536} When the driver starts
         * next.
         */
        @AttributeDefinition(name = "Remapping entries", min = "256", max = "65536",
            description = "entries of the interrupt remapping table, a power of two; when the driver starts next")
        int remapping_entries() default 4096;

        /** {@return whether invalidations drain by descriptor too} When the driver starts next. */
        @AttributeDefinition(name = "Descriptor drains",
            description = "let invalidations drain too (DR, DW); needed where the bus cannot; when the driver starts "
                + "next")
        boolean descriptor_drains() default false;
    }

    private final Machine machine;
    private final List<Node> nodes;
    private final Logger log;
    private final ConfigurationReader configuration;
    private Attachment hold;

    // Guarded by this: taking over happens on another bundle's thread.
    private final List<ServiceRegistration<?>> services = new ArrayList<>();
    private VtdDriverSettings settings;
    private VtdDriver driver;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public VtdComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "nodes", cardinality = ReferenceCardinality.AT_LEAST_ONE,
                policyOption = ReferencePolicyOption.GREEDY,
                target = "(&(compatible=" + VtdDriver.DRHD + ")(machine.ready=true))") List<Node> nodes,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.nodes = nodes;
        this.log = log;
        configuration = new ConfigurationReader("iommu.vtd", Config.class, log::error);
    }

    /**
     * Takes the units over if all of them are there, and offers the services; or stands by, if another bundle drives
     * them, until it leaves. What is not legal in the configuration is refused in one line, and its default used.
     */
    @Activate
    void activate(BundleContext bundle, Map<String, Object> configured) {
        synchronized (this) {
            settings = configuration.read(configured, VtdComponent::settings);
        }
        Set<String> ready = nodes.stream().map(Node::path).collect(Collectors.toSet());
        List<Node> all = machine.nodes().stream().filter(node -> node.compatibleWith(VtdDriver.DRHD)).toList();
        if (!all.stream().allMatch(node -> ready.contains(node.path()))) {
            return;
        }
        hold = machine.holds().take(Holds.Role.DRIVER, all, holder(bundle), () -> offer(all, bundle));
    }

    private synchronized Attachment offer(List<Node> all, BundleContext bundle) {
        if (!all.stream().allMatch(machine::ready)) {
            // The hardware is leaving, and this component is about to be told.
            return () -> {
            };
        }
        driver = driver(all);
        Hashtable<String, Object> properties = new Hashtable<>();
        properties.put(Iommu.KIND, "vtd");
        properties.put(Iommu.TYPE, driver.capabilities().types().stream().map(IommuType::name).toArray(String[]::new));
        try {
            driver.remapping().ifPresent(remapping ->
                services.add(bundle.registerService(InterruptRemapping.class, remapping, new Hashtable<>(properties))));
            services.add(bundle.registerService(Iommu.class, driver, properties));
        } catch (RuntimeException | Error e) {
            withdraw();
            throw e;
        }
        return this::withdraw;
    }

    /**
     * Another configuration: nobody is detached. What the hardware was set up with is for a driver that starts later.
     * What is not legal is refused in one line, and what was there before stays.
     */
    @Modified
    synchronized void modified(Map<String, Object> configured) {
        VtdDriverSettings next = configuration.read(configured, VtdComponent::settings);
        if (driver == null) {
            settings = next;
        } else {
            driver.change(next);
            VtdDriverSettings live = new VtdDriverSettings(next.timeoutMillis(), settings.levels(), next.superpages(),
                settings.remapping(), settings.remappingEntries(), settings.descriptorDrains());
            if (!live.equals(next)) {
                log.warn(
                    "some of the new configuration is for a driver that starts from now on; restart this bundle to "
                        + "start it anew");
            }
        }
    }

    private static VtdDriverSettings settings(ConfigurationReader.Values values) {
        return new VtdDriverSettings(values.integer("timeout.millis", 1, 3_600_000),
            (int) values.number("levels", levels -> levels == 0 || levels >= 3 && levels <= 5, "0, 3, 4 or 5"),
            new Superpages(values.flag("superpages"), values.flag("superpages.split")),
            values.flag("interrupt.remapping"), values.powerOfTwo("remapping.entries", 256, 65536),
            values.flag("descriptor.drains"));
    }

    /** A depth that is legal may be one that these units do not walk. */
    private VtdDriver driver(List<Node> all) {
        try {
            return new VtdDriver(machine, all, settings);
        } catch (ErrnoException e) {
            if (e.errno() != Errno.EOPNOTSUPP || settings.levels() == 0) {
                throw e;
            }
            log.error(
                "iommu.vtd: levels=" + settings.levels() + " is refused, " + e.reason() + "; the default 0 is used");
            settings = new VtdDriverSettings(settings.timeoutMillis(), 0, settings.superpages(), settings.remapping(),
                settings.remappingEntries(), settings.descriptorDrains());
            return new VtdDriver(machine, all, settings);
        }
    }

    /** Withdraws the services, then closes the driver: everything stays blocked. */
    @Deactivate
    public void close() {
        if (hold != null) {
            hold.close();
        }
    }

    private void withdraw() {
        VtdDriver gone;
        List<ServiceRegistration<?>> offered;
        synchronized (this) {
            gone = driver;
            driver = null;
            offered = new ArrayList<>(services);
            services.clear();
        }
        try {
            for (int i = offered.size() - 1; i >= 0; i--) {
                offered.get(i).unregister();
            }
        } finally {
            gone.close();
        }
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
