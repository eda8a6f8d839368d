// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Iommu;
import java.util.Arrays;
import java.util.Dictionary;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import machine.api.Attachment;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import machine.api.config.ConfigurationReader;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.FrameworkUtil;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Modified;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;
import org.osgi.service.metatype.annotations.Option;

/** The driver as a service, for as long as PAMU hardware answers. All behaviour is in {@link PamuDriver}. */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"iommu.api.Iommu\"", "iommu.kind=pamu", "vfio.type=pamu"})
@Component(name = "iommu.pamu", service = {}, immediate = true, property = {Iommu.KIND + "=pamu",
    Iommu.TYPE + "=" + PamuDriver.TYPE})
@Designate(ocd = PamuComponent.Config.class)
public final class PamuComponent {
    private static final String POLICY = "violation.policy";

    /** The configuration {@code iommu.pamu}. */
    @ObjectClassDefinition(name = "PAMU driver", description = "How the driver of the PAMUs behaves")
    public @interface Config {
        /**
         * {@code violation.policy}: {@code report} or {@code disable}, see {@link ViolationPolicy}. For violations from
         * now on.
         */
        @AttributeDefinition(name = "Violation policy",
            options = {@Option(label = "report", value = "report"), @Option(label = "disable", value = "disable")},
            description = "report, or disable: also clear V of the offender until Enable(true), as Linux does; for "
                + "violations from now on")
        String violation_policy() default "report";
    }

    private final Machine machine;
    private final Node node;
    private final ConfigurationReader configuration;
    private Attachment hold;

    // Guarded by this: taking over happens on another bundle's thread.
    private PamuSettings settings;
    private Map<String, Object> properties;
    private PamuDriver driver;
    private ServiceRegistration<Iommu> service;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public PamuComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,pamu)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        configuration = new ConfigurationReader("iommu.pamu", Config.class, log::error);
    }

    /**
     * Probes, and offers the service; or stands by, if another bundle drives the node, until that leaves. What is not
     * legal in the configuration is refused in one line, and its default used.
     *
     * @throws machine.api.ErrnoException see {@link PamuDriver}
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> configured) {
        configure(configured);
        hold = machine.holds().take(Holds.Role.DRIVER, List.of(node), holder(context), () -> offer(context));
    }

    private synchronized void configure(Map<String, Object> configured) {
        settings = configuration.read(configured, PamuComponent::settings);
        properties = configured;
        if (driver != null) {
            driver.change(settings);
            service.setProperties(published(properties, settings));
        }
    }

    private synchronized Attachment offer(BundleContext context) {
        if (!machine.ready(node)) {
            // The hardware is leaving, and this component is about to be told.
            return () -> {
            };
        }
        driver = new PamuDriver(machine, node, settings);
        try {
            service = context.registerService(Iommu.class, driver, published(properties, settings));
        } catch (RuntimeException | Error e) {
            driver.close();
            driver = null;
            throw e;
        }
        return this::withdraw;
    }

    private void withdraw() {
        PamuDriver gone;
        ServiceRegistration<Iommu> offered;
        synchronized (this) {
            gone = driver;
            offered = service;
            driver = null;
        }
        try {
            offered.unregister();
        } finally {
            gone.close();
        }
    }

    /**
     * Another configuration: nobody is detached. What is not legal is refused in one line, and what was there before
     * stays.
     */
    @Modified
    void modified(Map<String, Object> configured) {
        configure(configured);
    }

    private static PamuSettings settings(ConfigurationReader.Values values) {
        return new PamuSettings(ViolationPolicy.valueOf(values.word(POLICY,
            Arrays.stream(ViolationPolicy.values()).map(policy -> policy.name().toLowerCase(Locale.ROOT)).toList())
            .toUpperCase(Locale.ROOT)));
    }

    /** Publishes the settings in force, not the requested ones. */
    private static Dictionary<String, Object> published(Map<String, Object> properties, PamuSettings settings) {
        Map<String, Object> all = new HashMap<>(properties);
        all.put(POLICY, settings.violations().name().toLowerCase(Locale.ROOT));
        return FrameworkUtil.asDictionary(all);
    }

    /** Withdraws the service and closes the gates: blocked, never bypassed. */
    @Deactivate
    void deactivate() {
        hold.close();
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
