// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Hashtable;
import java.util.Map;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.PciFunction;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Vfio;

/** What a test leaves does not reach the next one. */
@ExtendWith(Cleaned.class)
class CleanedTest {
    @DisplayName("A machine, a container, a device, a configuration and a stopped bundle that a test leaves are gone, and it is started again")
    @Test
    void leaves() throws Exception {
        Cleaned cleaned = new Cleaned();
        cleaned.beforeEach(null);
        Framework.service(Machines.class).load(Framework.board("p4080.dtb"), Map.of());
        ConfigurationAdmin admin = Framework.service(ConfigurationAdmin.class);
        admin.createFactoryConfiguration("device.edu", "?").update(new Hashtable<>(Map.of("slot", "pcie0")));
        admin.getConfiguration("iommu.pamu", "?").update(new Hashtable<>(Map.of("violation.policy", "disable")));
        Vfio vfio = Framework.service(Vfio.class);
        Framework.service(PciFunction.class);
        vfio.openContainer("guest").addGroup(vfio.group(0));
        Framework.bundle("irq.mpic").stop();
        cleaned.clear("a test that leaves everything");
        assertFalse(Framework.present(Machine.class, null));
        assertFalse(Framework.present(PciFunction.class, null));
        assertEquals(null, admin.listConfigurations(null));
        assertTrue(vfio.containers().isEmpty());
        assertEquals(Bundle.ACTIVE, Framework.bundle("irq.mpic").getState());
        cleaned.clear("one that leaves nothing");
        Framework.service(Machines.class).load(Framework.board("p4080.dtb"), Map.of());
    }
}
