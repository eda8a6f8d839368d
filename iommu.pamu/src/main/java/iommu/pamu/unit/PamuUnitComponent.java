// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

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

/** Plugs the PAMUs of a board into the machine for as long as the board's node is there. See {@link Pamu#unit}. */
@Component(name = "iommu.pamu.unit", service = {}, immediate = true)
@Designate(ocd = PamuUnitComponent.Config.class)
public final class PamuUnitComponent {
    /**
     * The configuration {@code iommu.pamu.unit}. See {@link PamuModel}. All of it is for units that are plugged in from
     * now on.
     */
    @ObjectClassDefinition(name = "PAMU hardware", description = "How the PAMUs of the machine are built, when they "
        + "are plugged in next")
    public @interface Config {
        /** {@code version}: PR1 bits 15:0. */
        @AttributeDefinition(name = "Version", min = "0", max = "65535", description = "PR1 bits 15:0; when the "
            + "units are plugged in next")
        int version() default 0x0100;

        /** {@code max.liodn}: the largest LIODN announced by PC2. */
        @AttributeDefinition(name = "Largest LIODN", min = "0", max = "65535",
            description = "PC2 bits 31:16; when the units are plugged in next")
        int max_liodn() default 0xfff;

        /** {@code max.windows}: the largest number of windows, announced by PC3; 16 for a P4080 rev 1. */
        @AttributeDefinition(name = "Most windows", min = "2", max = "65536", description = "a power of two, announced "
            + "by PC3 and enforced on WCE; 16 for a P4080 rev 1; when the units are plugged in next")
        int max_windows() default 256;

        /** {@code bypass.reset}: PAMUBYPENR after reset; -1 for a chip whose boot loader leaves everybody bypassed. */
        @AttributeDefinition(name = "Bypass at reset", description = "PAMUBYPENR after reset; -1 if the boot loader "
            + "leaves everybody bypassed; when the units are plugged in next")
        int bypass_reset() default 0;
    }

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private final ConfigurationReader configuration;
    private PamuModel model;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public PamuUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,pamu)(!(machine.builtin=true)))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
        configuration = new ConfigurationReader("iommu.pamu.unit", Config.class, log::error);
    }

    /**
     * Attaches, and the node is ready; or stands by, if another bundle has brought its hardware, until that leaves.
     * What is not legal in the configuration is refused in one line, its default used.
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> properties) {
        model = configuration.read(properties, PamuUnitComponent::model);
        hold = machine.holds().take(Holds.Role.UNIT, List.of(node), holder(context),
            () -> Pamu.attach(machine, node, model));
    }

    /**
     * Another configuration is for hardware that is plugged in later: nobody behind this one is blocked. What is not
     * legal is refused.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        if (!configuration.read(properties, PamuUnitComponent::model).equals(model)) {
            log.warn(
                "the new configuration is for units that are plugged in from now on; restart this bundle to plug "
                    + "them in anew");
        }
    }

    private static PamuModel model(ConfigurationReader.Values values) {
        return new PamuModel(values.integer("version", 0, 0xffff), values.integer("max.liodn", 0, 0xffff),
            values.powerOfTwo("max.windows", 2, 65536),
            values.integer("bypass.reset", Integer.MIN_VALUE, Integer.MAX_VALUE), ViolationCodes.MODEL);
    }

    /** Takes the unit out: everything behind it is blocked. */
    @Deactivate
    public void close() {
        hold.close();
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
