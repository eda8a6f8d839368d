// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import java.util.List;
import java.util.Map;
import machine.api.Attachment;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import machine.api.config.ConfigurationReader;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
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

/** Plugs the model of an MPIC into a machine that describes one, for as long as this bundle is started. */
@Component(name = "irq.mpic.unit", service = {}, immediate = true)
@Designate(ocd = MpicUnitComponent.Config.class)
public final class MpicUnitComponent {
    /** The configuration {@code irq.mpic.unit}. It is for a unit that is plugged in from now on. */
    @ObjectClassDefinition(name = "MPIC hardware", description = "How the MPIC of the machine is built, when it is "
        + "plugged in next")
    public @interface Config {
        /** {@code version}: BRR1 bits 15:0; 0 for the one that fits the MSI banks: 0x0403 or 0x0402. */
        @AttributeDefinition(name = "Version", min = "0", max = "65535", description = "BRR1 bits 15:0; 0 for the one "
            + "that fits the MSI banks, 0x0403 or 0x0402; when the unit is plugged in next")
        int version() default 0;
    }

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private final ConfigurationReader configuration;
    private int version;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public MpicUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,mpic)(!(machine.builtin=true)))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
        configuration = new ConfigurationReader("irq.mpic.unit", Config.class, log::error);
    }

    /**
     * Attaches, and the node is ready; or stands by, if another bundle has brought its hardware, until that leaves.
     * What is not legal in the configuration is refused in one line, and its default used.
     *
     * @throws machine.api.ErrnoException see {@link MpicModel#of}, {@link Mpic#unit} and {@link Machine#attach}
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> properties) {
        version = configuration.read(properties, MpicUnitComponent::version);
        hold = machine.holds().take(Holds.Role.UNIT, List.of(node), holder(context), this::plug);
    }

    private Attachment plug() {
        Mpic mpic = new Mpic(MpicModel.of(machine, node, version), machine.cpus());
        Attachment attachment = machine.attach(node, mpic.unit(node));
        return () -> {
            attachment.close();
            mpic.reset();
        };
    }

    /**
     * Another configuration is for hardware that is plugged in later: no interrupt is lost. What is not legal is
     * refused in one line.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        if (configuration.<Integer>read(properties, MpicUnitComponent::version) != version) {
            log.warn(
                "the new configuration is for a unit that is plugged in from now on; restart this bundle to plug it "
                    + "in anew");
        }
    }

    private static int version(ConfigurationReader.Values values) {
        return values.integer("version", 0, 0xffff);
    }

    /** Takes the unit out and lowers the pins. */
    @Deactivate
    public void close() {
        hold.close();
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
