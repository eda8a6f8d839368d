// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptController;
import java.util.Map;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.annotation.bundle.Capability;
import org.osgi.annotation.bundle.Requirement;
import org.osgi.framework.BundleContext;
import org.osgi.framework.FrameworkUtil;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
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
    @ObjectClassDefinition(name = "irq.apic", description = "The driver of the local APICs")
    public @interface Config {
        /**
         * {@return whether this service is there without interrupt remapping, too, and says then that it does not verify who sends a
         *     message}
         */
        @AttributeDefinition(description = "a controller without interrupt remapping, too: nobody verifies who sends a message")
        boolean allow_unsafe_interrupts() default false;
    }

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private ApicOffer offer;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public ApicComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
    }

    @Activate
    void activate(Config config, BundleContext context, Map<String, Object> properties) {
        offer = new ApicOffer(context, remapping -> new ApicDriver(machine, node, remapping, log::error), config.allow_unsafe_interrupts(),
            FrameworkUtil.asDictionary(properties), log::error);
        if (!offer.begin()) {
            log.info("no controller yet: nobody remaps interrupts; allow.unsafe.interrupts does without");
        }
    }

    @Deactivate
    void deactivate() {
        offer.end();
    }
}
