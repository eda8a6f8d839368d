// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptController;
import java.util.HashMap;
import java.util.List;
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

/** The driver as a service, for as long as MPIC hardware answers. All behaviour is in {@link MpicDriver}. */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"irq.api.InterruptController\"", "irq.kind=mpic"})
@Component(name = "irq.mpic", service = {}, immediate = true, property = InterruptController.KIND + "=mpic")
@Designate(ocd = MpicComponent.Config.class)
public final class MpicComponent {
    private static final String CORE = "core";

    /** The configuration {@code irq.mpic}. */
    @ObjectClassDefinition(name = "MPIC driver", description = "The driver of the MPIC, when it starts next")
    public @interface Config {
        /**
         * {@code core}: number of the core that all interrupts go to, one that the machine has. When the driver starts
         * next.
         */
        @AttributeDefinition(name = "Core", min = "0", max = "31",
            description = "number of the core that all interrupts go to; when the driver starts next")
        int core() default 0;
    }

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private final ConfigurationReader configuration;
    private MpicSettings settings;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public MpicComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,mpic)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
        configuration = new ConfigurationReader("irq.mpic", Config.class, log::error);
    }

    /**
     * Probes, and offers the service; or stands by, if another bundle drives the node, until that leaves. A core that
     * the machine does not have is refused in one line, and the default used.
     *
     * @throws machine.api.ErrnoException see {@link MpicDriver}
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> properties) {
        settings = configuration.read(properties, this::settings);
        Map<String, Object> published = new HashMap<>(properties);
        published.put(CORE, settings.core());
        hold = machine.holds().take(Holds.Role.DRIVER, List.of(node), holder(context), () -> offer(context, published));
    }

    private Attachment offer(BundleContext context, Map<String, Object> published) {
        if (!machine.ready(node)) {
            // The hardware is leaving, and this component is about to be told.
            return () -> {
            };
        }
        MpicDriver driver = new MpicDriver(machine, node, settings, log::error);
        ServiceRegistration<InterruptController> service;
        try {
            service = context.registerService(InterruptController.class, driver, FrameworkUtil.asDictionary(published));
        } catch (RuntimeException | Error e) {
            driver.close();
            throw e;
        }
        return () -> {
            try {
                service.unregister();
            } finally {
                driver.close();
            }
        };
    }

    /**
     * Another configuration is for a driver that starts later: no route changes. What is not legal is refused in one
     * line.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        if (!configuration.read(properties, this::settings).equals(settings)) {
            log.warn(
                "the new configuration is for a driver that starts from now on; restart this bundle to start it anew");
        }
    }

    private MpicSettings settings(ConfigurationReader.Values values) {
        return new MpicSettings(values.integer(CORE, 0, machine.cpus().size() - 1));
    }

    /** Withdraws the service and masks everything; when this returns no handler runs any more. */
    @Deactivate
    void deactivate() {
        hold.close();
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
