// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.refused;

import java.lang.reflect.Proxy;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.Errno;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.osgi.service.log.Logger;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.container.host.ContainerLimits;
import vfio.container.host.IommuProvider;
import vfio.container.host.RankedStrategy;
import vfio.container.irq.LocalEventFd;

/** Another configuration under containers at work. */
@Timeout(30)
class ChangeTest {
    private static final long LIMITLESS = ContainerLimits.UNLIMITED;

    private final Board board = Board.type1();
    private final List<String> lines = new ArrayList<>();
    private VfioComponent component;

    @AfterEach
    void deactivate() {
        if (component != null) {
            component.deactivate();
        }
    }

    @Test
    @DisplayName("a new limit holds for the next map: what is mapped stays, and so do the container and its device")
    void limits() {
        board.vfio.addStrategy(board.auto, 1);
        VfioContainer container = board.container();
        container.map(0x0, board.memory(0x2000), 0, 0x2000, Access.READ_WRITE);
        container.map(0x10000, board.memory(0x2000), 0, 0x2000, Access.READ_WRITE);
        Device device = container.groups().get(0).device(board.a.name());
        LocalEventFd eventFd = new LocalEventFd(0);
        device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));

        board.vfio.change(Board.settings(1, LIMITLESS));
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(2, container.mappings().size());
        refused(Errno.ENOSPC, () -> container.map(0x20000, board.memory(0x1000), 0, 0x1000, Access.READ));
        board.vfio.change(Board.settings(3, 0x4000));
        refused(Errno.ENOMEM, () -> container.map(0x20000, board.memory(0x1000), 0, 0x1000, Access.READ));
        board.vfio.change(Board.settings(3, 0x5000));
        container.map(0x20000, board.memory(0x1000), 0, 0x1000, Access.READ);
        assertEquals(1, container.as(Msis.class).routes().size());
        assertEquals(container, board.vfio.containers().get(0));
    }

    @Test
    @DisplayName("a new stall bound is for containers opened from then on; a provider's timeout for calls from then on")
    void swaps() {
        VfioContainer before = board.container();
        board.vfio.change(new ContainerLimits(10, LIMITLESS, true, Duration.ofMillis(250), Duration.ofMillis(125)));
        assertEquals(Duration.ZERO, before.as(Backends.class).stallBound());
        assertEquals(Duration.ofMillis(250), board.container("two", 2).as(Backends.class).stallBound());
        assertEquals(Duration.ofMillis(125), board.vfio.host().calls().limit());
    }

    @Test
    @DisplayName("a provider or a strategy that is ranked anew is chosen by its new ranking; who uses one keeps it")
    void rankings() {
        FakeIommu other = board.newIommu();
        board.vfio.addIommu(other, "type1", "other", -1);
        Container container = board.container();
        board.vfio.rankIommu(other, 1);
        assertEquals(List.of("other", "type1"), board.vfio.iommus().stream().map(IommuProvider::label).toList());
        assertEquals(ContainerState.ACTIVE, container.state());
        board.vfio.rankIommu(board.iommu, 2);
        board.acts(other);
        assertEquals("other", container.as(Backends.class).swap("type1").to(),
            "the one that it is on is not another, though ranked anew");
        board.vfio.rankIommu(board.iommu, 0);
        board.vfio.rankIommu(other, -1);
        assertEquals(List.of("type1", "other"), board.vfio.iommus().stream().map(IommuProvider::label).toList());

        board.vfio.addStrategy(board.auto, -1);
        assertEquals(List.of(board.manual, board.auto),
            board.vfio.host().strategies().stream().map(RankedStrategy::strategy).toList());
        board.vfio.addStrategy(board.auto, 1);
        assertEquals(List.of(board.auto, board.manual),
            board.vfio.host().strategies().stream().map(RankedStrategy::strategy).toList());
    }

    @Test
    @DisplayName("the component: what is not legal is refused in one line, and the value before stays; at first, the "
        + "default")
    void component() {
        component = new VfioComponent(Map.of("dma.entry.limit", 0, "stall.bound", 250L), board.machine, log());
        assertEquals(
            List.of("vfio.container: dma.entry.limit=0 is refused, legal is 1..2147483647; the default 65535 is used"),
            lines);
        assertEquals(Duration.ofMillis(250), component.openContainer("one").as(Backends.class).stallBound());

        Map<String, Object> next = new HashMap<>(
            Map.of("dma.entry.limit", 7, "stall.bound", 3_600_001L, "provider.timeout", "soon",
            "allow.unsafe.interrupts", "perhaps", "locked.memory.limit", -1));
        lines.clear();
        component.modified(next);
        assertEquals(1, lines.size());
        for (String part : List.of("stall.bound=3600001 is refused, legal is 0..3600000; 250 stays",
                "provider.timeout=soon is refused, legal is 1..3600000; 10000 stays",
                "allow.unsafe.interrupts=perhaps is refused, legal is true or false; false stays",
                "locked.memory.limit=-1 is refused, legal is 0..9223372036854775807; 9223372036854775807 stays")) {
            assertTrue(lines.get(0).contains(part), lines.get(0));
        }
        assertEquals(Duration.ofMillis(250), component.openContainer("two").as(Backends.class).stallBound());
        component.modified(Map.of());
        assertEquals(Duration.ofSeconds(1), component.openContainer("three").as(Backends.class).stallBound());
        assertEquals(List.of("one", "two", "three"), component.containers().stream().map(Container::name).toList());
        assertEquals(1, lines.size());
    }

    private Logger log() {
        return (Logger) Proxy.newProxyInstance(Logger.class.getClassLoader(), new Class<?>[] {Logger.class},
            (self, method, arguments) -> {
            assertEquals("error", method.getName());
            assertEquals(1, arguments.length);
            lines.add((String) arguments[0]);
            return null;
        });
    }
}
