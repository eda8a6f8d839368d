// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.msi;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import machine.api.Attachment;
import machine.api.Cpu;
import machine.api.Gate;
import machine.api.Machine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.msi.Msis;
import vfio.container.host.ContainerLimits;
import vfio.container.irq.LocalEventFd;

/**
 * P5: where nobody knows whether a message was served, its user gets one interrupt too many rather than one too few.
 */
@Timeout(30)
class OneTooManyTest {
    private static final long BANK = 0x1000_0000;

    private final Board board = Board.type1();
    private final LocalEventFd eventFd = new LocalEventFd(0);

    private VfioContainer working(VfioService vfio) {
        VfioContainer container = (VfioContainer) vfio.openContainer("one");
        container.addGroup(vfio.group(1));
        container.setIommu("type1");
        container.as(Msis.class).call("MAP", 1, BANK);
        vfio.group(1).device(board.a.name()).setIrqs(msi(eventFd));
        return container;
    }

    /** Work on a core's own thread, inside an interrupt handler: that core does not come to rest. */
    private void inHandler(Runnable work) {
        Cpu cpu = board.machine.cpus().get(0);
        boolean[] done = new boolean[1];
        Attachment handler = cpu.attach(() -> {
            cpu.level(false);
            work.run();
            done[0] = true;
        });
        cpu.pin(true);
        handler.close();
        assertTrue(done[0]);
    }

    @Test
    @DisplayName("a controller leaves while a core has not served all: its routes are presumed to have missed one")
    void controller() {
        working(board.vfio);
        inHandler(() -> board.vfio.removeController(board.controller));
        assertEquals(0, eventFd.count());
        board.vfio.addController(board.controller);
        assertEquals(1, eventFd.poll());
        board.vfio.removeController(board.controller);
        board.vfio.addController(board.controller);
        assertEquals(0, eventFd.poll(), "all was served, nothing was sent");
    }

    @Test
    @DisplayName("a strategy leaves while a core has not served all: its routes are presumed to have missed one")
    void strategy() {
        VfioContainer container = working(board.vfio);
        board.vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        inHandler(() -> board.vfio.removeStrategy(board.auto));
        assertEquals(0, eventFd.count());
        board.vfio.addStrategy(board.auto, 10);
        assertEquals(1, eventFd.poll());
        board.vfio.removeStrategy(board.auto);
        board.vfio.addStrategy(board.auto, 10);
        assertEquals(0, eventFd.poll(), "all was served, nothing was sent");
    }

    /** The board's, of which no device can be held back. */
    private VfioService withoutGates() {
        Machine machine = (Machine) Proxy.newProxyInstance(getClass().getClassLoader(), new Class<?>[] {Machine.class},
            (self, method, arguments) -> {
                try {
                    return method.getName().equals("gate") ? Gate.NONE : method.invoke(board.machine, arguments);
                } catch (InvocationTargetException e) {
                    throw e.getCause();
                }
            });
        VfioService vfio = new VfioService(machine, Board.settings(65_535, ContainerLimits.UNLIMITED));
        List.of(board.a, board.b).forEach(vfio::addFunction);
        vfio.addIommu(board.iommu, "type1");
        vfio.addController(board.controller);
        vfio.addStrategy(board.manual, 0);
        return vfio;
    }

    @Test
    @DisplayName("P7: a device that cannot be held back is silenced while it waits for a vector: its old message may "
        + "be another's by then")
    void parked() {
        VfioService vfio = withoutGates();
        VfioContainer container = working(vfio);
        LocalEventFd second = new LocalEventFd(0);
        vfio.group(1).device(board.b.name()).setIrqs(msi(second));
        vfio.removeController(board.controller);
        vfio.addController(new FakeController(board.bus, board.trip, 0xe000_0000L, 2, 1, 0x80));
        assertTrue(board.a.msiEnabled());
        assertFalse(board.b.msiEnabled());
        assertTrue(container.reason().contains("0000:01:00.1 waits"), container.reason());
        vfio.removeController(vfio.host().controller());
        vfio.addController(board.controller);
        assertTrue(board.b.msiEnabled());
        assertEquals(1, second.poll());
        assertEquals(0, eventFd.poll(), "it has never waited while there was a controller");
        board.b.raise();
        assertEquals(1, second.poll());
    }

    @Test
    @DisplayName("P7: a device that cannot be held back is silenced when the strategy leaves, whose windows are the "
        + "user's to map then")
    void parkedWithoutStrategy() {
        VfioService vfio = withoutGates();
        VfioContainer container = working(vfio);
        vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        vfio.removeStrategy(board.auto);
        assertFalse(board.a.msiEnabled());
        vfio.addStrategy(board.auto, 10);
        assertTrue(board.a.msiEnabled());
        assertEquals(1, eventFd.poll());
        vfio.removeIommu(board.iommu);
        vfio.removeStrategy(board.auto);
        assertFalse(board.a.msiEnabled(), "with the IOMMU away, too");
        vfio.addStrategy(board.auto, 10);
        vfio.addIommu(board.iommu, "type1");
        assertTrue(board.a.msiEnabled());
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("a device that can be held back is not silenced while it waits for a vector, and gets none too many")
    void heldBack() {
        VfioContainer container = working(board.vfio);
        board.vfio.removeController(board.controller);
        FakeController none = new FakeController(board.bus, board.trip, 0xe000_0000L, 2, 0, 0x80);
        board.vfio.addController(none);
        assertTrue(container.reason().contains("0000:01:00.0 waits"), container.reason());
        assertTrue(board.a.msiEnabled());
        board.vfio.removeController(none);
        board.vfio.addController(board.controller);
        assertEquals(0, eventFd.poll(), "nothing was sent");
    }
}
