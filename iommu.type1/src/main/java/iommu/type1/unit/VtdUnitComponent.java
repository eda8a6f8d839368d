// SPDX-License-Identifier: Apache-2.0
package iommu.type1.unit;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.metatype.annotations.AttributeDefinition;
import org.osgi.service.metatype.annotations.Designate;
import org.osgi.service.metatype.annotations.ObjectClassDefinition;

/**
 * The VT-d hardware of a machine: plugs one {@link VtdUnit} into each DRHD node, all built alike, and takes them out again. Machines
 * without such a node get nothing, nor does a node whose hardware is there by itself.
 */
@Component(name = "iommu.type1.unit", service = {}, immediate = true)
@Designate(ocd = VtdUnitComponent.Config.class)
public final class VtdUnitComponent {
    /** {@code compatible} of a DRHD node. */
    static final String COMPATIBLE = "intel,vt-d";

    /** How the units are built; the defaults are those of a modern client. */
    @ObjectClassDefinition(name = "iommu.type1.unit", description = "The VT-d units of the machine")
    public @interface Config {
        /** {@return table depths the units walk: 3 (39 bits), 4 (48 bits), 5 (57 bits)} */
        @AttributeDefinition(description = "table depths the units walk: 3 (39 bits), 4 (48 bits), 5 (57 bits)")
        int[] levels() default {4};

        /** {@return MGAW: bits of a device address that are translated} */
        @AttributeDefinition(description = "MGAW: bits of a device address that are translated")
        int address_width() default 48;

        /** {@return bits of a physical address, 32 to 52} */
        @AttributeDefinition(description = "bits of a physical address, 32 to 52")
        int host_width() default 46;

        /** {@return whether 2 MiB pages are known} */
        @AttributeDefinition(description = "2 MiB pages")
        boolean pages_2m() default true;

        /** {@return whether 1 GiB pages are known} */
        @AttributeDefinition(description = "1 GiB pages")
        boolean pages_1g() default true;

        /** {@return log2 of the number of domain ids: 4, 6, .. 16} */
        @AttributeDefinition(description = "log2 of the number of domain ids: 4, 6, .. 16")
        int domain_bits() default 16;

        /** {@return NFR: number of fault records, 1 to 222} */
        @AttributeDefinition(description = "number of fault records, 1 to 222")
        int fault_records() default 8;

        /** {@return whether a second fault of a source is dropped while the first is recorded} */
        @AttributeDefinition(description = "a second fault of a source is dropped while the first is recorded")
        boolean fault_compression() default true;

        /** {@return CM: not-present entries are cached} */
        @AttributeDefinition(description = "caching mode: not-present entries are cached")
        boolean caching_mode() default false;

        /** {@return RWBF: table changes need a write-buffer flush} */
        @AttributeDefinition(description = "the driver is told to flush the write buffer")
        boolean write_buffer_flush() default false;

        /** {@return PSI: single pages can be invalidated} */
        @AttributeDefinition(description = "single pages can be invalidated")
        boolean page_selective() default true;

        /** {@return MAMV: log2 of the most pages one invalidation takes} */
        @AttributeDefinition(description = "log2 of the most pages one invalidation takes")
        int maximum_mask() default 18;

        /** {@return QI: there is an invalidation queue} */
        @AttributeDefinition(description = "there is an invalidation queue")
        boolean queued_invalidation() default true;

        /** {@return IR: interrupts can be remapped} */
        @AttributeDefinition(description = "interrupts can be remapped; needs the queue")
        boolean interrupt_remapping() default true;

        /** {@return EIM: 32-bit interrupt destinations} */
        @AttributeDefinition(description = "32-bit interrupt destinations (x2APIC)")
        boolean extended_interrupts() default true;

        /** {@return PT: context entries can pass through} */
        @AttributeDefinition(description = "context entries can pass addresses through")
        boolean pass_through() default true;

        /** {@return SC: leaf entries can enforce snooping} */
        @AttributeDefinition(description = "leaf entries can enforce snooping")
        boolean snoop_control() default true;

        /** {@return whether DMA is refused while translation is off; a chip passes it} */
        @AttributeDefinition(description = "refuse DMA while translation is off; a chip passes it untranslated")
        boolean block_until_enabled() default true;

        /** {@return to how many entries the IOTLB may grow, a power of two from 64 to 1048576} */
        @AttributeDefinition(description = "entries the IOTLB may grow to, a power of two from 64 to 1048576")
        int iotlb_entries() default 131072;
    }

    private final Machine machine;
    private final List<Attachment> units = new ArrayList<>();

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public VtdUnitComponent(@Reference(name = "machine") Machine machine) {
        this.machine = machine;
    }

    /** Plugs the units in: all of them or none. */
    @Activate
    void activate(Config config) {
        VtdSettings settings = VtdSettings.of(config);
        try {
            for (Node node : machine.nodes()) {
                if (node.compatibleWith(COMPATIBLE) && !node.builtIn()) {
                    VtdUnit unit = new VtdUnit(machine.bus(), settings, node.registers().get(0).physical());
                    units.add(machine.attach(node, unit.plug(node.path())));
                }
            }
        } catch (RuntimeException | Error e) {
            close();
            throw e;
        }
    }

    /** Takes the units out, last first: the devices behind them are blocked. */
    @Deactivate
    public void close() {
        Collections.reverse(units);
        units.forEach(Attachment::close);
        units.clear();
    }
}
