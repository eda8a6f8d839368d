// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.api.InterruptController;
import java.util.Map;
import machine.api.Machine;
import machine.api.Node;
import org.osgi.annotation.bundle.Capability;
import org.osgi.framework.BundleContext;
import org.osgi.framework.FrameworkUtil;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.Logger;
import org.osgi.service.log.LoggerFactory;

/** The driver as a service, for as long as MPIC hardware answers. All behaviour is in {@link MpicDriver}. */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"irq.api.InterruptController\"", "irq.kind=mpic"})
@Component(name = "irq.mpic", service = {}, immediate = true, property = InterruptController.KIND + "=mpic")
public final class MpicComponent {
    /** The configuration, PID {@code irq.mpic}. */
    public @interface Config {
        /** {@code core}: number of the core that all interrupts go to. */
        int core() default 0;
    }

    private final Machine machine;
    private final Node node;
    private final Logger log;
    private MpicDriver driver;
    private ServiceRegistration<InterruptController> service;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public MpicComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,mpic)(machine.ready=true))") Node node,
            @Reference(name = "log", service = LoggerFactory.class) Logger log) {
        this.machine = machine;
        this.node = node;
        this.log = log;
    }

    /**
     * Probes, and offers the service.
     *
     * @throws machine.api.ErrnoException see {@link MpicDriver}
     * @throws IllegalArgumentException if the core's number is negative
     */
    @Activate
    void activate(Config config, BundleContext context, Map<String, Object> properties) {
        driver = new MpicDriver(machine, node, new MpicSettings(config.core()), log::error);
        try {
            service = context.registerService(InterruptController.class, driver, FrameworkUtil.asDictionary(properties));
        } catch (RuntimeException | Error e) {
            driver.close();
            throw e;
        }
    }

    /** Withdraws the service and masks everything; when this returns no handler runs any more. */
    @Deactivate
    void deactivate() {
        try {
            service.unregister();
        } finally {
            driver.close();
        }
    }
}
