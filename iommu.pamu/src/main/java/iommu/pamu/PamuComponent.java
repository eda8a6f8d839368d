// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Iommu;
import java.util.Locale;
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

/** The driver as a service, for as long as PAMU hardware answers. All behaviour is in {@link PamuDriver}. */
@Capability(namespace = "osgi.service", effective = "active",
    attribute = {"objectClass:List<String>=\"iommu.api.Iommu\"", "iommu.kind=pamu"})
@Component(name = "iommu.pamu", service = {}, immediate = true, property = {Iommu.KIND + "=pamu", "vfio.type:Integer=2"})
public final class PamuComponent {
    /** The configuration, PID {@code iommu.pamu}. */
    public @interface Config {
        /** {@code violation.policy}: {@code report} or {@code disable}, see {@link ViolationPolicy}. */
        String violation_policy() default "report";
    }

    private final Machine machine;
    private final Node node;
    private PamuDriver driver;
    private ServiceRegistration<Iommu> service;

    /**
     * Built by Declarative Services. Takes hold of nothing: what has been built when a reference goes is dropped without another call.
     */
    @Activate
    public PamuComponent(@Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,pamu)(machine.ready=true))") Node node) {
        this.machine = machine;
        this.node = node;
    }

    /**
     * Probes, and offers the service.
     *
     * @throws machine.api.ErrnoException see {@link PamuDriver}
     * @throws IllegalArgumentException if the policy is not one of the two
     */
    @Activate
    void activate(Config config, BundleContext context, Map<String, Object> properties) {
        ViolationPolicy policy = ViolationPolicy.valueOf(config.violation_policy().toUpperCase(Locale.ROOT));
        driver = new PamuDriver(machine, node, new PamuSettings(policy));
        try {
            service = context.registerService(Iommu.class, driver, FrameworkUtil.asDictionary(properties));
        } catch (RuntimeException | Error e) {
            driver.close();
            throw e;
        }
    }

    /** Withdraws the service and closes the gates: blocked, never bypassed. */
    @Deactivate
    void deactivate() {
        try {
            service.unregister();
        } finally {
            driver.close();
        }
    }
}
