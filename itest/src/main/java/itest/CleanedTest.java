// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.util.Collections;
import java.util.Hashtable;
import java.util.Map;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.PciFunction;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Vfio;

/** {@link Cleaned} removes everything that a test leaves. */
@ExtendWith(Cleaned.class)
class CleanedTest {
    @DisplayName("A machine, a container, a device, a configuration and a stopped bundle that a test leaves are "
        + "gone, and it is started again")
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
        Framework.await("group 0", () -> !vfio.groups().isEmpty());
        vfio.openContainer("guest").addGroup(vfio.group(0));
        Framework.bundle("irq.mpic").stop();
        cleaned.clear("a test that leaves everything");
        assertFalse(Framework.present(Machine.class, null));
        assertFalse(Framework.present(PciFunction.class, null));
        assertEquals(null, admin.listConfigurations(null));
        assertTrue(vfio.containers().isEmpty());
        assertEquals(Bundle.ACTIVE, Framework.bundle("irq.mpic").getState());
        cleaned.clear("one that leaves nothing");

        Bundle replaced = Framework.bundle("vfio.events");
        InputStream copy = copy(replaced);
        replaced.uninstall();
        Framework.CONTEXT.installBundle(replaced.getLocation(), copy);
        cleaned.clear("one that replaces a bundle");
        assertEquals(Bundle.ACTIVE, Framework.bundle("vfio.events").getState(), "it stays, and is started");
        Framework.service(Machines.class).load(Framework.board("p4080.dtb"), Map.of());
    }

    private static InputStream copy(Bundle bundle) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (InputStream manifest = bundle.getEntry("META-INF/MANIFEST.MF").openStream();
             JarOutputStream jar = new JarOutputStream(bytes, new Manifest(manifest))) {
            for (URL entry : Collections.list(bundle.findEntries("/", "*", true))) {
                String path = entry.getPath().substring(1);
                if (!path.endsWith("/") && !path.equals("META-INF/MANIFEST.MF")) {
                    jar.putNextEntry(new JarEntry(path));
                    try (InputStream content = entry.openStream()) {
                        content.transferTo(jar);
                    }
                }
            }
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }
}
