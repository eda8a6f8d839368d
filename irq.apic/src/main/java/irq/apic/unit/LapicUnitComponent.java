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
    private final Machine machine;
    private final Node node;
    private LapicUnit unit;
    private Attachment attachment;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public LapicUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(!(machine.builtin=true)))") Node node) {
        this.machine = machine;
        this.node = node;
    }

    @Activate
    void activate() {
        unit = new LapicUnit(node, machine.cpus());
        attachment = machine.attach(node, unit.unit());
    }

    @Deactivate
    void deactivate() {
        attachment.close();
        unit.reset();
    }
}
