// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Holds;
import machine.api.Node;
import machine.fixture.TestBoard;
import machine.fixture.TestFramework;
import machine.local.LocalMachine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The hardware as a bundle brings it. */
class PamuUnitComponentTest {
    private static final long PAMU = 0xffe020000L;
    private static final long GUTS = 0xffe0e0000L;
    private static final Map<String, Object> OTHER = Map.of("version", 0x201, "max.liodn", 0xff, "max.windows", 16,
        "bypass.reset", -1);

    private final Node node = Node.at("/soc/iommu@20000").compatible("fsl,pamu")
        .children(Node.at("/soc/iommu@20000/pamu@0").registers(new Node.Range(PAMU, 0x1000)));
    private final LocalMachine machine = TestBoard.named("board").memory(0, 1 << 20).nodes(node,
        Node.at("/soc/guts").compatible("fsl,qoriq-device-config-1.0").registers(new Node.Range(GUTS, 0x1000)))
        .machine();
    private final TestFramework framework = new TestFramework();
    private final PamuUnitComponent component = new PamuUnitComponent(machine, node, framework.log);

    private int word(long physical) {
        return Integer.reverseBytes((int) machine.bus().read(physical, 4));
    }

    @Test
    @DisplayName("PAMU: the unit is built as configured and is in its node until the component leaves")
    void plugged() {
        component.activate(framework.context, OTHER);
        assertTrue(machine.ready(node));
        assertEquals(Optional.of(TestFramework.HOLDER), machine.holds().holder(Holds.Role.UNIT, node));
        assertEquals(0x201, word(PAMU + 0xbf8));
        assertEquals(0xff_0000, word(PAMU + 0xc04));
        assertEquals(3 << 21, word(PAMU + 0xc08), "2^(3+1) windows");
        assertEquals(-1, word(GUTS + 0x604));
        component.close();
        assertFalse(machine.ready(node));
        assertEquals(-1, word(PAMU + 0xbf8));
        assertEquals(Optional.empty(), machine.holds().holder(Holds.Role.UNIT, node));
        assertEquals(List.of(), framework.lines);
    }

    @Test
    @DisplayName("PAMU: without a configuration it is version 1.0, LIODNs to 0xfff, 256 windows, nobody bypassed; "
        + "what is illegal is one line")
    void defaults() {
        component.activate(framework.context, Map.of("max.windows", 3));
        assertEquals(List.of(
            "error: iommu.pamu.unit: max.windows=3 is refused, legal is a power of two, 2..65536; the default 256 is "
                + "used"),
            framework.lines);
        assertEquals(0x100, word(PAMU + 0xbf8));
        assertEquals(0xfff_0000, word(PAMU + 0xc04));
        assertEquals(7 << 21, word(PAMU + 0xc08));
        assertEquals(0, word(GUTS + 0x604));
        component.close();
    }

    @Test
    @DisplayName("PAMU: another configuration leaves the unit as it is, and says so; the same one says nothing")
    void modified() {
        component.activate(framework.context, Map.of());
        component.modified(Map.of("version", 0x100));
        assertEquals(List.of(), framework.lines);
        component.modified(OTHER);
        assertEquals(List.of(
            "warn: the new configuration is for units that are plugged in from now on; restart this bundle to plug "
                + "them in anew"), framework.lines);
        assertTrue(machine.ready(node));
        assertEquals(0x100, word(PAMU + 0xbf8));
        component.close();
    }

    @Test
    @DisplayName("PAMU: while another bundle's unit is in the node this one stands by, and then plugs in its own")
    void standsBy() {
        TestFramework later = new TestFramework();
        PamuUnitComponent second = new PamuUnitComponent(machine, node, later.log);
        component.activate(framework.context, Map.of());
        second.activate(later.context, OTHER);
        assertEquals(0x100, word(PAMU + 0xbf8));
        component.close();
        assertEquals(0x201, word(PAMU + 0xbf8));
        second.close();
        assertFalse(machine.ready(node));
    }
}
