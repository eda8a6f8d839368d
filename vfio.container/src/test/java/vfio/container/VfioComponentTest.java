// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Iommu;
import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.framework.Bundle;
import org.osgi.framework.Constants;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.Version;
import org.osgi.service.log.Logger;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.SwapListener;
import vfio.api.swap.Swaps;
import vfio.container.irq.LocalEventFd;

/** VFIO as a service: what the framework binds reaches the service, and what a user asks it is answered by it. */
class VfioComponentTest {
    private final Board board = Board.type1();
    private final List<String> lines = new ArrayList<>();
    private final VfioComponent vfio = component(Map.of("allow.unsafe.interrupts", true));

    private interface Answer {
        Object to(String method, Object[] arguments);
    }

    private static <T> T proxy(Class<T> type, Answer answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (proxy, method, arguments) -> answer.to(method.getName(), arguments)));
    }

    private VfioComponent component(Map<String, Object> configured) {
        return new VfioComponent(configured, board.machine,
            proxy(Logger.class, (method, arguments) -> lines.add(method + ": " + arguments[0])));
    }

    @SuppressWarnings("unchecked")
    private static <T> ServiceReference<T> of(String bundle) {
        return proxy(ServiceReference.class,
            (method, none) -> bundle == null ? null : proxy(Bundle.class, (name, arguments) -> switch (name) {
            case "getSymbolicName" -> bundle;
            case "getVersion" -> new Version(1, 2, 3);
            default -> throw new AssertionError(name);
        }));
    }

    private static Map<String, Object> ranked(Object ranking) {
        return Map.of(Constants.SERVICE_RANKING, ranking);
    }

    private static Map<String, Object> kind(Object kind, Object ranking) {
        return Map.of(Iommu.KIND, kind, Iommu.TYPE, new String[] {"type1v2", "type1"}, Constants.SERVICE_RANKING,
            ranking);
    }

    private Container container() {
        Container container = vfio.openContainer("one");
        container.addGroup(vfio.group(1));
        container.setIommu("type1");
        return container;
    }

    private void bound() {
        vfio.addFunction(board.a);
        vfio.addFunction(board.c);
        vfio.addIommu(board.iommu, of("iommu.bundle"), kind("vtd", 0));
        vfio.addController(board.controller, of("irq.bundle"));
        vfio.addStrategy(board.auto, ranked(0));
    }

    @Test
    @DisplayName("VFIO service: devices are in groups, IOMMUs are types, and both are gone when the framework says so")
    void bindings() {
        bound();
        assertEquals(List.of("type1v2", "type1"), vfio.iommuTypes());
        assertEquals(2, vfio.groups().size());
        assertSame(vfio.group(1), vfio.groupOf(board.a.name()));
        Container container = container();
        assertEquals(List.of(container), vfio.containers());
        vfio.removeFunction(board.c);
        assertEquals(1, vfio.groups().size());
        vfio.removeIommu(board.iommu);
        assertEquals(List.of(), vfio.iommuTypes());
        vfio.deactivate();
        assertEquals(List.of(), vfio.containers());
        assertEquals(List.of(), lines);
    }

    @Test
    @DisplayName("VFIO service: an IOMMU whose kind or type is no text, or an empty one, is not used; types may be "
        + "one, an array or a list")
    void noKind() {
        Map<String, Object> without = new HashMap<>(ranked(5));
        vfio.addIommu(board.iommu, of("iommu.bundle"), without);
        vfio.addIommu(board.iommu, of("iommu.bundle"), kind("", 0));
        vfio.addIommu(board.iommu, of(null), kind(1, 0));
        for (Object types : List.of("", 1, List.of(), new String[] {"type1", ""}, List.of("type1", 2))) {
            vfio.addIommu(board.iommu, of("iommu.bundle"), Map.of(Iommu.KIND, "vtd", Iommu.TYPE, types));
        }
        vfio.addIommu(board.iommu, of("iommu.bundle"), Map.of(Iommu.KIND, "vtd"));
        assertEquals(List.of(), vfio.iommuTypes());
        vfio.addIommu(board.iommu, of("iommu.bundle"),
            Map.of(Iommu.KIND, "vtd", Iommu.TYPE, List.of("type1v2", "type1")));
        assertEquals(List.of("type1v2", "type1"), vfio.iommuTypes());
        vfio.removeIommu(board.iommu);
        vfio.addIommu(board.iommu, of("iommu.bundle"), Map.of(Iommu.KIND, "vtd", Iommu.TYPE, "type1"));
        assertEquals(List.of("type1"), vfio.iommuTypes());
    }

    @Test
    @DisplayName("VFIO service: of several IOMMUs of a kind the ranking decides, the one of now; what is no Integer "
        + "is 0")
    void rankings() {
        bound();
        FakeIommu other = board.newIommu();
        vfio.addIommu(other, of("other.bundle"), kind("vtd", "9"));
        vfio.updatedIommu(other, kind("vtd", 7));
        Container container = container();
        assertEquals(1, other.opened.size(), "the higher one");
        container.close();
        vfio.updatedIommu(other, kind("vtd", -7));
        container();
        assertEquals(1, board.iommu.opened.size());
        vfio.deactivate();
    }

    @Test
    @DisplayName("VFIO service: a strategy is chosen by its ranking, is not when it has gone, and neither is a "
        + "controller")
    void strategies() {
        bound();
        FakeStrategy better = new FakeStrategy(board.trip, true, 0x0900_0000, 0x0080_0000) {
            @Override
            public String name() {
                return "better";
            }
        };
        vfio.addStrategy(better, ranked(1));
        Container container = container();
        assertEquals(Optional.of("better"), container.as(Msis.class).strategy());
        vfio.removeStrategy(better);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        vfio.addStrategy(better, ranked(1));
        vfio.updatedStrategy(better, ranked(-1));
        Container two = vfio.openContainer("two");
        two.addGroup(vfio.group(2));
        two.setIommu("type1");
        assertEquals(Optional.of("auto"), two.as(Msis.class).strategy());
        Device device = vfio.group(1).device(board.a.name());
        device.setIrqs(Board.msi(new LocalEventFd(0)));
        assertEquals(1, board.controller.used());
        vfio.removeController(board.controller);
        assertEquals(0, board.controller.used());
        vfio.addController(board.controller, of("irq.bundle"));
        assertEquals(1, board.controller.used());
        vfio.deactivate();
        assertEquals(0, board.controller.used());
    }

    @Test
    @DisplayName("VFIO service: a swap is reported with the bundles' names and versions, to listeners that are there")
    void swaps() {
        List<Swap> heard = new ArrayList<>();
        SwapListener listener = heard::add;
        vfio.addSwapListener(listener);
        bound();
        container();
        vfio.removeIommu(board.iommu);
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, of("next.bundle"), kind("vtd", 0));
        assertEquals(1, heard.size());
        assertEquals(vfio.as(Swaps.class).latest(), heard);
        assertEquals("iommu.bundle 1.2.3", heard.get(0).from());
        assertEquals("next.bundle 1.2.3", heard.get(0).to());
        vfio.removeSwapListener(listener);
        vfio.removeIommu(next);
        FakeIommu last = board.newIommu();
        board.acts(last);
        vfio.addIommu(last, of(null), kind("vtd", 0));
        assertEquals(1, heard.size());
        assertEquals("a provider that has gone", vfio.as(Swaps.class).latest().get(1).to());
        vfio.deactivate();
    }

    @Test
    @DisplayName("VFIO service: faults are counted and kept, violations asked for; why a backend was not replaced is "
        + "its containers' reason")
    void reports() {
        bound();
        container();
        long before = vfio.faultCount();
        assertTrue(board.portA.write(0x123000, 4, 1) < 0);
        assertEquals(before + 1, vfio.faultCount());
        assertEquals(Refusal.UNMAPPED, vfio.faults().get(vfio.faults().size() - 1).refusal());
        assertEquals(board.vfio.violations(), vfio.violations());
        vfio.removeIommu(board.iommu);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.IOMMU, Set.of("type1"), "its bundle does not start");
        assertTrue(vfio.containers().get(0).reason().contains("its bundle does not start"),
            vfio.containers().get(0).reason());
        vfio.deactivate();
    }

    @Test
    @DisplayName("VFIO service: a configuration is in force as it says, another from then on; what is not legal is "
        + "one line and stays as it was")
    void configuration() {
        VfioComponent limited = component(
            Map.of("dma.entry.limit", 1, "locked.memory.limit", 0x3000L, "allow.unsafe.interrupts", true,
            "stall.bound", 5));
        limited.addFunction(board.a);
        limited.addIommu(board.iommu, of("iommu.bundle"), kind("vtd", 0));
        Container container = limited.openContainer("one");
        container.addGroup(limited.group(1));
        container.setIommu("type1");
        assertEquals(Duration.ofMillis(5), container.as(Backends.class).stallBound());
        DmaBuffer buffer = board.machine.memory().allocate(0x4000, 0x1000, DmaMemory.Layout.CONTIGUOUS);
        Board.refused(Errno.ENOMEM, () -> container.map(0, buffer, 0, 0x4000, Access.READ));
        container.map(0, buffer, 0, 0x1000, Access.READ);
        Board.refused(Errno.ENOSPC, () -> container.map(0x1000, buffer, 0x1000, 0x1000, Access.READ));
        limited.modified(Map.of("dma.entry.limit", 2, "locked.memory.limit", 0x3000L, "stall.bound", 7));
        container.map(0x1000, buffer, 0x1000, 0x1000, Access.READ);
        limited.modified(Map.of("dma.entry.limit", 0, "provider.timeout", 0, "relaxable.rmrr.classes", "0c0"));
        assertEquals(1, lines.size());
        for (String refused : List.of("dma.entry.limit=0 is refused, legal is 1..2147483647; 2 stays",
            "provider.timeout=0 is refused, legal is 1..3600000; 10000 stays",
            "relaxable.rmrr.classes=0c0 is refused, legal is each 2, 4 or 6 hexadecimal digits; 0c03,03 stays")) {
            assertTrue(lines.get(0).startsWith("error: vfio.container: ") && lines.get(0).contains(refused),
                lines.get(0));
        }
        assertEquals(Duration.ofMillis(5), container.as(Backends.class).stallBound());
        limited.deactivate();
    }
}
