// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Iommu;
import irq.api.InterruptController;
import java.util.List;
import java.util.Map;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.Node;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import vfio.api.Vfio;

/**
 * On a PC: a second bundle of a driver leaves the hardware alone while there is a first. {@link RoadOsgiTest} has the
 * PowerPC board's.
 */
@ExtendWith(Cleaned.class)
class StandbyTest {
    private static final int RTADDR = 0x20;

    private Machine machine;

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        machine = Framework.service(Machines.class).load(Framework.board("q35.dmar"), Map.of());
        Framework.service(Vfio.class);
        Framework.await("both drivers", () -> here(Iommu.class) && here(InterruptController.class));
    }

    @AfterEach
    void unload() throws Exception {
        Framework.service(Machines.class).unload();
    }

    @DisplayName("Copies of iommu.vtd and irq.apic with another version stand by, and take over when the first ones "
        + "leave")
    @Test
    void standby() throws Exception {
        for (String name : List.of("iommu.vtd", "irq.apic")) {
            Class<?> service = name.equals("irq.apic") ? InterruptController.class : Iommu.class;
            String compatible = name.equals("irq.apic") ? "intel,lapic" : "intel,vt-d";
            List<Node> nodes = machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).toList();
            Node drhd = machine.nodes().stream().filter(node -> node.compatibleWith("intel,vt-d")).findFirst()
                .orElseThrow();
            long rtaddr = drhd.registers().get(0).physical() + RTADDR;
            long before = machine.bus().read(rtaddr, 8);
            Bundle first = Framework.bundle(name);
            Bundle copy = Framework.CONTEXT.installBundle("copy of " + name, Framework.copy(first, "9.0.0"));
            try {
                copy.start();
                assertTrue(held(nodes, name + " " + first.getVersion()));
                assertEquals(before, machine.bus().read(rtaddr, 8), "the hardware was left alone");
                assertEquals(List.of(first), Framework.providers(service));
                first.stop();
                Framework.await("the copy of " + name, () -> held(nodes, name + " 9.0.0")
                    && Framework.providers(service).equals(List.of(copy)));
                first.start();
                assertTrue(held(nodes, name + " 9.0.0"));
                assertEquals(List.of(copy), Framework.providers(service));
            } finally {
                copy.uninstall();
                first.start();
            }
            Framework.await(name, () -> held(nodes, name + " " + first.getVersion())
                && Framework.providers(service).equals(List.of(first)));
        }
    }

    private boolean held(List<Node> nodes, String holder) {
        return List.of(Holds.Role.values()).stream().allMatch(role -> nodes.stream().allMatch(node ->
            machine.holds().holder(role, node).filter(found -> found.startsWith(holder)).isPresent()));
    }

    private static boolean here(Class<?> service) throws Exception {
        return Framework.present(service, null);
    }
}
