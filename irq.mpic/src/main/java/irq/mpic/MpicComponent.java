// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.MsiDoorbells;
import machine.api.Attachment;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;

/** The driver as a service, for as long as MPIC hardware answers. All behaviour is in {@link MpicDriver}. */
@Component(name = "irq.mpic", service = InterruptController.class, immediate = true, property = InterruptController.KIND + "=mpic")
public final class MpicComponent implements InterruptController {
    /** The configuration, PID {@code irq.mpic}. */
    public @interface Config {
        /** {@code core}: number of the core that all interrupts go to. */
        int core() default 0;
    }

    private final MpicDriver driver;

    /**
     * Probes.
     *
     * @throws machine.api.ErrnoException see {@link MpicDriver}
     * @throws IllegalArgumentException if the core's number is negative
     */
    @Activate
    public MpicComponent(Config config, @Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,mpic)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        driver = new MpicDriver(machine, node, new MpicSettings(config.core()), log::error);
    }

    /** Masks everything; when this returns no handler runs any more. */
    @Deactivate
    public void close() {
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
