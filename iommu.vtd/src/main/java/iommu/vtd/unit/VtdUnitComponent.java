// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import java.util.ArrayList;
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
import org.osgi.service.metatype.annotations.Option;

/**
 * The VT-d hardware of a machine: plugs one {@link VtdUnit} into each DRHD node, all built alike, and takes them out
 * again. Machines without such a node get nothing, nor does a node whose hardware is there by itself.
 */
@Component(name = "iommu.vtd.unit", service = {}, immediate = true)
@Designate(ocd = VtdUnitComponent.Config.class)
public final class VtdUnitComponent {
    /** {@code compatible} of a DRHD node. */
    static final String COMPATIBLE = "intel,vt-d";

    /** The construction of units plugged in from now on; the defaults are those of a modern client. */
    @ObjectClassDefinition(name = "VT-d hardware",
        description = "How the VT-d units of the machine are built, when they are plugged in next")
    public @interface Config {
        /** {@return table depths the units walk: 3 (39 bits), 4 (48 bits), 5 (57 bits)} */
        @AttributeDefinition(name = "Levels", min = "3", max = "5",
            description = "table depths the units walk: 3 (39 bits), 4 (48 bits), 5 (57 bits)")
        int[] levels() default {4};

        /** {@return MGAW: bits of a device address that are translated} */
        @AttributeDefinition(name = "Address width", min = "30", max = "57",
            description = "MGAW: bits of a device address that are translated")
        int address_width() default 48;

        /** {@return bits of a physical address, 32 to 52} */
        @AttributeDefinition(name = "Host width", min = "32", max = "52", description = "bits of a physical address, "
            + "32 to 52")
        int host_width() default 46;

        /** {@return whether 2 MiB pages are known} */
        @AttributeDefinition(name = "2 MiB pages", description = "2 MiB pages")
        boolean pages_2m() default true;

        /** {@return whether 1 GiB pages are known} */
        @AttributeDefinition(name = "1 GiB pages", description = "1 GiB pages")
        boolean pages_1g() default true;

        /** {@return log2 of the number of domain ids: 4, 6, .. 16} */
        @AttributeDefinition(name = "Domain bits", options = {
            @Option(label = "4", value = "4"), @Option(label = "6", value = "6"), @Option(label = "8", value = "8"),
            @Option(label = "10", value = "10"), @Option(label = "12", value = "12"),
            @Option(label = "14", value = "14"),
            @Option(label = "16", value = "16")},
            description = "log2 of the number of domain ids: 4, 6, .. 16")
        int domain_bits() default 16;

        /** {@return NFR: number of fault records, 1 to 222} */
        @AttributeDefinition(name = "Fault records", min = "1", max = "222", description = "number of fault records, "
            + "1 to 222")
        int fault_records() default 8;

        /** {@return whether a second fault of a source is dropped while the first is recorded} */
        @AttributeDefinition(name = "Fault compression", description = "a second fault of a source is dropped while "
            + "the first is recorded")
        boolean fault_compression() default true;

        /** {@return CM: not-present entries are cached} */
        @AttributeDefinition(name = "Caching mode", description = "caching mode: not-present entries are cached")
        boolean caching_mode() default false;

        /** {@return RWBF: table changes need a write-buffer flush} */
        @AttributeDefinition(name = "Write buffer flush", description = "the driver is told to flush the write buffer")
        boolean write_buffer_flush() default false;

        /** {@return PSI: single pages can be invalidated} */
        @AttributeDefinition(name = "Page-selective invalidation", description = "single pages can be invalidated")
        boolean page_selective() default true;

        /** {@return MAMV: log2 of the most pages one invalidation takes} */
        @AttributeDefinition(name = "Maximum mask", min = "0", max = "45", description = "log2 of the most pages one "
            + "invalidation takes")
        int maximum_mask() default 18;

        /** {@return QI: there is an invalidation queue} */
        @AttributeDefinition(name = "Queued invalidation", description = "there is an invalidation queue")
        boolean queued_invalidation() default true;

        /** {@return IR: interrupts can be remapped} */
        @AttributeDefinition(name = "Interrupt remapping", description = "interrupts can be remapped; needs the queue")
        boolean interrupt_remapping() default true;

        /** {@return EIM: 32-bit interrupt destinations} */
        @AttributeDefinition(name = "Extended interrupts", description = "32-bit interrupt destinations (x2APIC)")
        boolean extended_interrupts() default true;

        /** {@return PT: context entries can pass through} */
        @AttributeDefinition(name = "Pass through", description = "context entries can pass addresses through")
        boolean pass_through() default true;

        /** {@return SC: leaf entries can enforce snooping} */
        @AttributeDefinition(name = "Snoop control", description = "leaf entries can enforce snooping")
        boolean snoop_control() default true;

        /** {@return whether DMA is refused while translation is off; a chip passes it} */
        @AttributeDefinition(name = "Block until enabled",
            description = "refuse DMA while translation is off; a chip passes it untranslated")
        boolean block_until_enabled() default true;

        /** {@return to how many entries the IOTLB may grow, a power of two from 64 to 1048576} */
        @AttributeDefinition(name = "IOTLB entries", min = "64", max = "1048576",
            description = "entries the IOTLB may grow to, a power of two from 64 to 1048576")
        int iotlb_entries() default 131072;
    }

    private final Machine machine;
    private final Logger log;
    private final ConfigurationReader configuration;
    private VtdSettings settings;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public VtdUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.log = log;
        configuration = new ConfigurationReader("iommu.vtd.unit", Config.class, log::error);
    }

    /**
     * Plugs the units in, all of them or none; or stands by, if another bundle has brought some, until that leaves.
     * What is not legal in the configuration is refused in one line, and its default used.
     */
    @Activate
    void activate(BundleContext context, Map<String, Object> properties) {
        plugIn(properties, holder(context));
    }

    void plugIn(Map<String, Object> properties, String holder) {
        settings = configuration.read(properties, VtdSettings::of);
        List<Node> nodes = machine.nodes().stream().filter(node -> node.compatibleWith(COMPATIBLE) && !node.builtIn())
            .toList();
        hold = machine.holds().take(Holds.Role.UNIT, nodes, holder, () -> plug(nodes));
    }

    private Attachment plug(List<Node> nodes) {
        List<Attachment> units = new ArrayList<>();
        try {
            for (Node node : nodes) {
                VtdUnit unit = new VtdUnit(machine.bus(), settings, node.registers().get(0).physical());
                units.add(machine.attach(node, unit.plug(node.path())));
            }
        } catch (RuntimeException | Error e) {
            takeOut(units);
            throw e;
        }
        return () -> takeOut(units);
    }

    /**
     * Another configuration is for hardware that is plugged in later: nobody behind this one is blocked. What is not
     * legal is refused.
     */
    @Modified
    void modified(Map<String, Object> properties) {
        if (!configuration.read(properties, VtdSettings::of).equals(settings)) {
            log.warn(
                "the new configuration is for units that are plugged in from now on; restart this bundle to plug "
                    + "them in anew");
        }
    }

    /** Takes the units out, last first: the devices behind them are blocked. */
    @Deactivate
    public void close() {
        hold.close();
    }

    private static void takeOut(List<Attachment> units) {
        for (int i = units.size() - 1; i >= 0; i--) {
            units.get(i).close();
        }
    }

    private static String holder(BundleContext context) {
        Bundle bundle = context.getBundle();
        return String.format("%s %s (bundle %d)", bundle.getSymbolicName(), bundle.getVersion(), bundle.getBundleId());
    }
}
