// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/** Plugs the model of the local APICs into a machine that describes them, for as long as this bundle is started. */
@Component(name = "irq.apic.unit")
public final class LapicUnitComponent {
    private final LapicUnit unit;
    private final Attachment attachment;

    /** Built by Declarative Services. */
    @Activate
    public LapicUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(!(machine.builtin=true)))") Node node) {
        unit = new LapicUnit(node, machine.cpus());
        attachment = machine.attach(node, unit.unit());
    }

    @Deactivate
    void deactivate() {
        attachment.close();
        unit.reset();
    }
}
