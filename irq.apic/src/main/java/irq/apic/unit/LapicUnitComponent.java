// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import java.util.List;
import machine.api.Attachment;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/** Plugs the model of the local APICs into a machine that describes them, for as long as this bundle is started. */
@Component(name = "irq.apic.unit")
public final class LapicUnitComponent {
    private final Machine machine;
    private final Node node;
    private Attachment hold;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped
     * without another call.
     */
    @Activate
    public LapicUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=intel,lapic)(!(machine.builtin=true)))") Node node) {
        this.machine = machine;
        this.node = node;
    }

    /** Attaches, and the node is ready; or stands by, if another bundle has brought its hardware, until that leaves. */
    @Activate
    void activate(BundleContext context) {
        hold = machine.holds().take(Holds.Role.UNIT, List.of(node), holder(context), this::plug);
    }

    private Attachment plug() {
        LapicUnit unit = new LapicUnit(node, machine.cpus());
        Attachment attachment = machine.attach(node, unit.unit());
        return () -> {
            attachment.close();
            unit.reset();
        };
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
