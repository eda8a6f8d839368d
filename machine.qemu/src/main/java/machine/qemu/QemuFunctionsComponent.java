// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import machine.api.Machine;
import machine.api.PciFunction;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;

/**
 * Offers the PCI functions of a QEMU machine as services for as long as it is loaded; other machines have none of their
 * own.
 */
@Component(name = "machine.qemu.functions", service = {}, immediate = true)
public final class QemuFunctionsComponent {
    private final Machine machine;
    private final List<ServiceRegistration<PciFunction>> functions = new ArrayList<>();

    /**
     * Built by Declarative Services. Offers nothing yet: what has been built when the machine goes is dropped without
     * another call.
     */
    @Activate
    public QemuFunctionsComponent(@Reference(name = "machine") Machine machine) {
        this.machine = machine;
    }

    @Activate
    void activate(BundleContext context) {
        if (machine instanceof QemuMachine qemu) {
            qemu.functions()
                .forEach(function -> functions.add(context.registerService(PciFunction.class, function, null)));
        }
    }

    /** Unregisters them, last first: the users of each are notified and close it. */
    @Deactivate
    public void close() {
        Collections.reverse(functions);
        functions.forEach(ServiceRegistration::unregister);
        functions.clear();
    }
}
