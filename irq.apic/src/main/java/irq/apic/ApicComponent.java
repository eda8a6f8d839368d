// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.InterruptRemapping;
import irq.api.MsiDoorbells;
import java.util.Optional;
import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.annotations.ReferenceCardinality;
import org.osgi.service.component.annotations.ReferencePolicyOption;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;

/**
 * The local APICs as a service: a shell around {@link ApicDriver}. It is there while the hardware answers and, unless
 * {@link Config#remapping_cardinality_minimum} allows otherwise, while somebody remaps interrupts.
 */
@Component(name = "irq.apic", immediate = true, service = InterruptController.class, property = InterruptController.KIND + "=apic")
@Designate(ocd = ApicComponent.Config.class)
public final class ApicComponent implements InterruptController {
    /** The configuration {@code irq.apic}. */
    @ObjectClassDefinition(name = "irq.apic", description = "The driver of the local APICs")
    public @interface Config {
        /**
         * {@return 1: no interrupts without interrupt remapping. 0: unsafe interrupts are allowed, that is, without
         *     remapping this service is there too and says that it does not verify who sends a message. Declarative Services
         *     itself reads this property: it is the least number of InterruptRemapping services}
         */
        @AttributeDefinition(description = "1: not without interrupt remapping; 0: unsafe interrupts are allowed")
        int remapping_cardinality_minimum() default 1;
    }

    private final ApicDriver driver;

    /** Built by Declarative Services; {@code remapping} may be null. */
    @Activate
    public ApicComponent(Config config, @Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(machine.ready=true))") Node node,
            @Reference(name = "remapping", cardinality = ReferenceCardinality.OPTIONAL,
                policyOption = ReferencePolicyOption.GREEDY) InterruptRemapping remapping,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        driver = new ApicDriver(machine, node, Optional.ofNullable(remapping), log::error);
    }

    @Deactivate
    void deactivate() {
        driver.close();
    }

    @Override
    public Attachment request(Wire wire, InterruptHandler handler) {
        return driver.request(wire, handler);
    }

    @Override
    public void mask(Wire wire, boolean masked) {
        driver.mask(wire, masked);
    }

    @Override
    public MsiDoorbells doorbells() {
        return driver.doorbells();
    }
}
