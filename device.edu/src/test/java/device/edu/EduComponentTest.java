// SPDX-License-Identifier: Apache-2.0
package device.edu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Dictionary;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;

class EduComponentTest {
    private final Board board = new Board();
    private final List<String> registry = new ArrayList<>();

    private EduComponent component(String slot, int device, long mask) {
        EduComponent.Config config = proxy(EduComponent.Config.class, (name, arguments) -> switch (name) {
            case "slot" -> slot;
            case "device" -> device;
            case "dma_mask" -> mask;
            default -> 0;
        });
        ServiceRegistration<?> registration = proxy(ServiceRegistration.class, (name, arguments) -> {
            registry.add(name);
            return null;
        });
        BundleContext context = proxy(BundleContext.class, (name, arguments) -> {
            assertEquals(PciFunction.class, arguments[0]);
            Dictionary<?, ?> properties = (Dictionary<?, ?>) arguments[2];
            registry.add(((PciFunction) arguments[1]).name() + " " + properties.get("device.name") + " " + properties.get("device.slot"));
            return registration;
        });
        EduComponent component = new EduComponent(board.machine);
        component.activate(config, context);
        return component;
    }

    @Test
    @DisplayName("device.edu: a configuration is a device and a service with address and slot; without it both are gone")
    void service() {
        EduComponent component = component("pcie0", 3, 0xfffffff);
        assertEquals(List.of("0000:01:03.0 0000:01:03.0 pcie0"), registry);
        ErrnoException busy = assertThrows(ErrnoException.class, () -> component("pcie0", 3, 0xfffffff));
        assertEquals(Errno.EBUSY, busy.errno());
        component.close();
        assertEquals("unregister", registry.get(1));
        component("pcie0", 3, -1).close();
        assertEquals(4, registry.size());
    }

    @Test
    @DisplayName("device.edu: an unknown slot is ENODEV and says which there are; a bad mask is EINVAL; neither leaves a device")
    void refusals() {
        ErrnoException unknown = assertThrows(ErrnoException.class, () -> component("pcie7", 0, 0xfffffff));
        assertEquals(Errno.ENODEV, unknown.errno());
        assertTrue(unknown.getMessage().contains("'pcie7'") && unknown.getMessage().contains("[pcie0]"), unknown.getMessage());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> component("pcie0", 0, 5)).errno());
        assertEquals(List.of(), registry);
        component("pcie0", 0, 0xfffffff).close();
    }

    private interface Answer {
        Object to(String method, Object[] arguments);
    }

    private static <T> T proxy(Class<T> type, Answer answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (self, method, arguments) -> answer.to(method.getName(), arguments)));
    }
}
