// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/** Plugs the model of an MPIC into a machine that describes one, for as long as this bundle is started. */
@Component(name = "irq.mpic.unit", service = {}, immediate = true)
public final class MpicUnitComponent {
    /** The configuration, PID {@code irq.mpic.unit}. */
    public @interface Config {
        /** {@code version}: BRR1 bits 15:0; 0 for the one that fits the MSI banks: 0x0403 or 0x0402. */
        int version() default 0;
    }

    private final Machine machine;
    private final Node node;
    private Mpic mpic;
    private Attachment attachment;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public MpicUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,mpic)(!(machine.builtin=true)))") Node node) {
        this.machine = machine;
        this.node = node;
    }

    /**
     * Attaches; the node is ready when this returns.
     *
     * @throws machine.api.ErrnoException see {@link MpicModel#of}, {@link Mpic#unit} and {@link Machine#attach}
     */
    @Activate
    void activate(Config config) {
        mpic = new Mpic(MpicModel.of(machine, node, config.version()), machine.cpus());
        attachment = machine.attach(node, mpic.unit(node));
    }

    /** Takes the unit out and lowers the pins. */
    @Deactivate
    public void close() {
        attachment.close();
        mpic.reset();
    }
}
