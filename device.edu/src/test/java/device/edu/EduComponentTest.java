// SPDX-License-Identifier: Apache-2.0
package device.edu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Dictionary;
import java.util.List;
import java.util.Map;
import machine.api.PciFunction;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.log.Logger;

class EduComponentTest {
    private final Board board = new Board();
    private final List<String> registry = new ArrayList<>();

    private final List<String> lines = new ArrayList<>();

    private static Map<String, Object> at(String slot, Object device, long mask) {
        return Map.of("slot", slot, "device", device, "dma.mask", mask);
    }

    private EduComponent component(Map<String, Object> properties) {
        BundleContext context = proxy(BundleContext.class, (name, arguments) -> {
            assertEquals(PciFunction.class, arguments[0]);
            Dictionary<?, ?> offered = (Dictionary<?, ?>) arguments[2];
            String device = ((PciFunction) arguments[1]).name();
            registry.add(device + " " + offered.get("device.name") + " " + offered.get("device.slot"));
            return proxy(ServiceRegistration.class, (method, none) -> {
                registry.add(method + " " + device);
                return null;
            });
        });
        Logger log = proxy(Logger.class, (name, arguments) -> {
            assertEquals("error", name);
            lines.add((String) arguments[0]);
            return null;
        });
        EduComponent component = new EduComponent(context, board.machine, log);
        component.activate(properties);
        return component;
    }

    @Test
    @DisplayName("device.edu: a configuration is a device and a service with address and slot; without it both are "
        + "gone")
    void service() {
        EduComponent component = component(at("pcie0", 3, 0xfffffff));
        assertEquals(List.of("0000:01:03.0 0000:01:03.0 pcie0"), registry);
        component(at("pcie0", 3, 0xfffffff)).close();
        assertEquals(1, registry.size());
        assertTrue(lines.remove(0).matches("device.edu: EBUSY: .*; no device is plugged in"));
        component.close();
        assertEquals("unregister 0000:01:03.0", registry.get(1));
        component(at("pcie0", 3, -1)).close();
        assertEquals(4, registry.size());
        assertEquals(List.of(), lines);
    }

    @Test
    @DisplayName("device.edu: a place the machine does not have is one line that names them all, and no device; a "
        + "bad mask the default")
    void refusals() {
        component(at("pcie7", 0, 0xfffffff)).close();
        assertTrue(lines.get(0).startsWith("device.edu: ENODEV: no slot 'pcie7'") && lines.get(0).contains("[pcie0]"),
            lines.get(0));
        component(Map.of()).close();
        assertTrue(lines.get(1).contains("no slot ''"), lines.get(1));
        component(at("pcie0", 32, 0xfffffff)).close();
        assertEquals("device.edu: EINVAL: device=32 is refused, legal is 0..31; no device is plugged in", lines.get(2));
        component(at("pcie0", "x", 0xfffffff)).close();
        assertEquals(4, lines.size());
        assertEquals(List.of(), registry);
        component(at("pcie0", 0, 5)).close();
        assertEquals(
            "device.edu: dma.mask=5 is refused, legal is 2^n - 1, n from 12 to 64; the default 268435455 is used",
            lines.get(4));
        assertEquals(2, registry.size());
        assertEquals(5, lines.size());
    }

    @Test
    @DisplayName("device.edu: another configuration leaves the device in its place, unless it names another, which "
        + "is there before it goes")
    void modified() {
        EduComponent component = component(at("pcie0", 3, 0xfffffff));
        component.modified(at("pcie0", 3, -1));
        component.modified(Map.of("slot", "pcie0", "device", "3", "dma.delay.millis", 60_001));
        assertEquals(List.of("device.edu: dma.delay.millis=60001 is refused, legal is 0..60000; 0 stays"), lines);
        assertEquals(1, registry.size());
        component.modified(at("pcie9", 3, -1));
        assertTrue(lines.get(1).endsWith("; the one at 0000:01:03.0 stays"), lines.get(1));
        assertEquals(1, registry.size());
        component.modified(at("pcie0", 4, -1));
        assertEquals(List.of("0000:01:04.0 0000:01:04.0 pcie0", "unregister 0000:01:03.0"), registry.subList(1, 3));
        component.close();
        assertEquals("unregister 0000:01:04.0", registry.get(3));
        assertEquals(2, lines.size());
    }

    @Test
    @DisplayName("device.edu: a place that is refused at first is taken when the configuration is mended")
    void mended() {
        EduComponent component = component(at("pcie7", 1, -1));
        component.modified(at("pcie0", 1, -1));
        assertEquals(List.of("0000:01:01.0 0000:01:01.0 pcie0"), registry);
        component.close();
    }

    private interface Answer {
        Object to(String method, Object[] arguments);
    }

    private static <T> T proxy(Class<T> type, Answer answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> answer.to(method.getName(), arguments)));
    }
}
