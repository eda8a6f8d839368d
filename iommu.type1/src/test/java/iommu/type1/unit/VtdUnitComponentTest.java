// SPDX-License-Identifier: Apache-2.0
package iommu.type1.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.type1.Bench;
import java.lang.reflect.Proxy;
import java.util.Arrays;
import java.util.Map;
import machine.api.Attachment;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class VtdUnitComponentTest {
    private static VtdUnitComponent.Config config(Map<String, Object> changes) {
        return (VtdUnitComponent.Config) Proxy.newProxyInstance(VtdUnitComponent.class.getClassLoader(),
            new Class<?>[] {VtdUnitComponent.Config.class},
            (proxy, method, arguments) -> changes.getOrDefault(method.getName(), method.getDefaultValue()));
    }

    /** Units are plugged by the component, so the bench brings none. */
    private static Bench bare(int units) {
        VtdSettings[] settings = new VtdSettings[units];
        Arrays.fill(settings, VtdSettings.DEFAULT);
        Bench bench = new Bench(settings);
        bench.attachments.forEach(Attachment::close);
        return bench;
    }

    @Test
    @DisplayName("the configuration's defaults are the default unit; its properties are the bits of CAP and ECAP")
    void settings() {
        assertEquals(VtdSettings.DEFAULT, VtdSettings.of(config(Map.of())));
        VtdSettings other = VtdSettings.of(config(Map.of("levels", new int[] {4, 5}, "address_width", 57, "caching_mode", true,
            "fault_records", 1, "interrupt_remapping", false, "pages_1g", false)));
        assertTrue(other.capabilities().walks(4) && other.capabilities().walks(5) && other.capabilities().cachingMode());
        assertEquals(57, other.capabilities().addressWidth());
        assertEquals(1, other.capabilities().superpages());
        assertFalse(other.capabilities().interruptRemapping() || other.capabilities().extendedInterrupts());
        assertThrows(IllegalArgumentException.class, () -> VtdSettings.of(config(Map.of("levels", new int[] {6}))));
        assertThrows(IllegalArgumentException.class, () -> VtdSettings.of(config(Map.of("address_width", 57))));
        assertThrows(IllegalArgumentException.class, () -> VtdSettings.of(config(Map.of("fault_records", 223))));
        assertThrows(IllegalArgumentException.class, () -> VtdSettings.of(config(Map.of("domain_bits", 7))));
        assertThrows(IllegalArgumentException.class, () -> VtdSettings.of(config(Map.of("queued_invalidation", false))));
    }

    @Test
    @DisplayName("one component plugs a unit into every DRHD node, or into none, and takes them out again")
    void everyNode() {
        Bench bench = bare(3);
        VtdUnitComponent component = component(bench);
        bench.nodes.forEach(node -> assertTrue(bench.machine.ready(node)));
        assertEquals(0x10, bench.bus.read(Bench.BASE + 0x2000, 4));
        component.close();
        bench.nodes.forEach(node -> assertFalse(bench.machine.ready(node)));
        assertEquals(0xffffffffL, bench.bus.read(Bench.BASE + 0x2000, 4));
        bench.plug(2, VtdSettings.DEFAULT);
        assertThrows(ErrnoException.class, () -> component(bench));
        assertFalse(bench.machine.ready(bench.nodes.get(0)));
    }

    private static VtdUnitComponent component(Bench bench) {
        VtdUnitComponent component = new VtdUnitComponent(bench.machine);
        component.activate(config(Map.of()));
        return component;
    }
}
