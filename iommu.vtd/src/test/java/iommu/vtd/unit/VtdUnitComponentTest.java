// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.Bench;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import machine.api.Attachment;
import machine.api.ErrnoException;
import machine.api.config.ConfigurationReader;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.service.log.Logger;

class VtdUnitComponentTest {
    private final List<String> lines = new ArrayList<>();

    private VtdSettings read(Map<String, Object> properties) {
        return new ConfigurationReader("iommu.vtd.unit", VtdUnitComponent.Config.class, lines::add).read(properties,
            VtdSettings::of);
    }

    private void refused(Map<String, Object> properties, String line) {
        assertEquals(VtdSettings.DEFAULT, read(properties));
        assertEquals(List.of("iommu.vtd.unit: " + line), lines);
        lines.clear();
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
        assertEquals(VtdSettings.DEFAULT, read(Map.of()));
        VtdSettings other = read(Map.of("levels", new int[] {4, 5}, "address.width", 57, "caching.mode", true,
            "fault.records", 1, "interrupt.remapping", false, "pages.1g", false));
        assertTrue(
            other.capabilities().walks(4) && other.capabilities().walks(5) && other.capabilities().cachingMode());
        assertEquals(57, other.capabilities().addressWidth());
        assertEquals(1, other.capabilities().superpages());
        assertFalse(other.capabilities().interruptRemapping() || other.capabilities().extendedInterrupts());
        assertEquals(List.of(), lines);
        refused(Map.of("levels", new int[] {6}),
            "levels=6 is refused, legal is numbers in 3..5; the default 4 is used");
        refused(Map.of("fault.records", 223), "fault.records=223 is refused, legal is 1..222; the default 8 is used");
        refused(Map.of("domain.bits", 7),
            "domain.bits=7 is refused, legal is an even number, 4..16; the default 16 is used");
        refused(Map.of("address.width", 57),
            "MGAW of 57 bits, but the deepest tables translate 48; all defaults are used");
        refused(Map.of("queued.invalidation", false),
            "interrupt remapping needs queued invalidation; all defaults are used");
    }

    @Test
    @DisplayName("another configuration leaves the units in their nodes; a bad one is one line, and the units stay, "
        + "too")
    void modified() {
        Bench bench = bare(2);
        VtdUnitComponent component = component(bench);
        component.modified(Map.of("fault.records", 4));
        component.modified(Map.of("fault.records", "many"));
        bench.nodes.forEach(node -> assertTrue(bench.machine.ready(node)));
        assertEquals(List.of("warn", "fault.records=many is refused, legal is 1..222; 4 stays"),
            lines.stream().map(line -> line.replaceFirst("^iommu.vtd.unit: ", "")).limit(2).toList());
        component.close();
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

    private VtdUnitComponent component(Bench bench) {
        Logger log = (Logger) Proxy.newProxyInstance(Logger.class.getClassLoader(), new Class<?>[] {Logger.class},
            (proxy, method, arguments) -> {
                lines.add(method.getName().equals("error") ? (String) arguments[0] : method.getName());
                return null;
            });
        VtdUnitComponent component = new VtdUnitComponent(bench.machine, log);
        component.plugIn(Map.of(), "a test");
        return component;
    }
}
