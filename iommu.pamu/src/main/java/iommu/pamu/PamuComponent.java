// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import java.util.List;
import java.util.Locale;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/** The driver as a service, for as long as PAMU hardware answers. All behaviour is in {@link PamuDriver}. */
@Component(name = "iommu.pamu", service = Iommu.class, immediate = true, property = {Iommu.KIND + "=pamu", "vfio.type:Integer=2"})
public final class PamuComponent implements Iommu {
    /** The configuration, PID {@code iommu.pamu}. */
    public @interface Config {
        /** {@code violation.policy}: {@code report} or {@code disable}, see {@link ViolationPolicy}. */
        String violation_policy() default "report";
    }

    private final PamuDriver driver;

    /**
     * Probes.
     *
     * @throws machine.api.ErrnoException see {@link PamuDriver}
     * @throws IllegalArgumentException if the policy is not one of the two
     */
    @Activate
    public PamuComponent(Config config, @Reference(name = "machine") Machine machine,
            @Reference(name = "node", target = "(&(compatible=fsl,pamu)(machine.ready=true))") Node node) {
        ViolationPolicy policy = ViolationPolicy.valueOf(config.violation_policy().toUpperCase(Locale.ROOT));
        driver = new PamuDriver(machine, node, new PamuSettings(policy));
    }

    /** Closes the gates: blocked, never bypassed. */
    @Deactivate
    public void close() {
        driver.close();
    }

    @Override
    public IommuCapabilities capabilities() {
        return driver.capabilities();
    }

    @Override
    public List<ReservedRegion> reservedRegions(int requester) {
        return driver.reservedRegions(requester);
    }

    @Override
    public IommuDomain open() {
        return driver.open();
    }

    @Override
    public List<Wire> violationWires() {
        return driver.violationWires();
    }

    @Override
    public List<Violation> violations() {
        return driver.violations();
    }
}
