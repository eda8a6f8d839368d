// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptController;
import java.util.Dictionary;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import machine.api.Attachment;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import machine.api.config.ConfigurationReader;
import org.osgi.annotation.bundle.Capability;
import org.osgi.annotation.bundle.Requirement;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.FrameworkUtil;
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

/**
 * The local APICs as a service: a shell around {@link ApicDriver}. It is there while the hardware answers and, unless
 * {@link Config#allow_unsafe_interrupts} allows otherwise, while somebody remaps interrupts.
 */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"irq.api.InterruptController\"", "irq.kind=apic"})
@Requirement(namespace = "osgi.service", effective = "active", resolution = Requirement.Resolution.OPTIONAL,
    filter = "(objectClass=irq.api.InterruptRemapping)")
@Component(name = "irq.apic", immediate = true, service = {}, property = InterruptController.KIND + "=apic")
@Designate(ocd = ApicComponent.Config.class)
public final class ApicComponent {
    /** The configuration {@code irq.apic}. */
    @ObjectClassDefinition(name = "Local APIC driver", description = "The driver of the local APICs")
    public @interface Config {
        /**
         * {@return whether this service is there without interrupt remapping, too, and says then that it does not
         *     verify who sends a message} At once: one without remapping comes or goes.
         */
        @AttributeDefinition(name = "Allow unsafe interrupts",
            description = "a controller without interrupt remapping, too: nobody verifies who sends a message; at once")
        boolean allow_unsafe_interrupts() default false;
    }

    private static final String UNSAFE = "allow.unsafe.interrupts";

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private final ConfigurationReader configuration;
    private ApicRegistrar offer;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public ApicComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
        configuration = new ConfigurationReader("irq.apic", Config.class, log::error);
    }

    /**
     * Offers the controller as soon as there can be one; or stands by, if another bundle drives the node, until that
     * leaves.
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> properties) {
        boolean unremapped = configuration.read(properties, values -> values.flag(UNSAFE));
        offer = new ApicRegistrar(context, remapping -> new ApicDriver(machine, node, remapping, log::error),
            unremapped, published(properties, unremapped), log::error);
        hold = machine.holds().take(Holds.Role.DRIVER, List.of(node), holder(context), this::begin);
    }

    private Attachment begin() {
        if (!machine.ready(node)) {
            // The hardware is leaving, and this component is about to be told.
            return () -> {
            };
        }
        try {
            if (!offer.begin()) {
                log.info("no controller yet: nobody remaps interrupts; allow.unsafe.interrupts does without");
            }
        } catch (RuntimeException | Error e) {
            offer.end();
            throw e;
        }
        return offer::end;
    }

    /**
     * Another configuration: a controller without remapping comes, or goes; one with it stays. What is not legal is
     * refused in one line, and what was there before stays.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        boolean unremapped = configuration.read(properties, values -> values.flag(UNSAFE));
        offer.change(unremapped, published(properties, unremapped));
    }

    /** Publishes the settings in force, not the requested ones. */
    private static Dictionary<String, Object> published(Map<String, Object> properties, boolean unremapped) {
        Map<String, Object> all = new HashMap<>(properties);
        all.put(UNSAFE, unremapped);
        return FrameworkUtil.asDictionary(all);
    }

    @Deactivate
    void deactivate() {
        hold.close();
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
