// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/** Plugs the PAMUs of a board into the machine for as long as the board's node is there. See {@link Pamu#unit}. */
@Component(name = "iommu.pamu.unit", service = {}, immediate = true)
public final class PamuUnitComponent {
    /** The configuration, PID {@code iommu.pamu.unit}. See {@link PamuModel}. */
    public @interface Config {
        /** {@code version}: PR1 bits 15:0. */
        int version() default 0x0100;

        /** {@code max.liodn}: the largest LIODN announced by PC2. */
        int max_liodn() default 0xfff;

        /** {@code max.windows}: the largest number of windows, announced by PC3; 16 for a P4080 rev 1. */
        int max_windows() default 256;

        /** {@code bypass.reset}: PAMUBYPENR after reset; -1 for a chip whose boot loader leaves everybody bypassed. */
        int bypass_reset() default 0;
    }

    private final Machine machine;
    private final Node node;
    private Attachment attachment;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public PamuUnitComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,pamu)(!(machine.builtin=true)))") Node node) {
        this.machine = machine;
        this.node = node;
    }

    /** Attaches; the node is ready when this returns. */
    @Activate
    void activate(Config config) {
        PamuModel model = new PamuModel(config.version(), config.max_liodn(), config.max_windows(), config.bypass_reset(),
            ViolationCodes.MODEL);
        attachment = Pamu.attach(machine, node, model);
    }

    /** Takes the unit out: everything behind it is blocked. */
    @Deactivate
    public void close() {
        attachment.close();
    }
}
