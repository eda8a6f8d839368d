// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import iommu.api.Windows;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swaps;
import vfio.container.irq.LocalEventFd;

@Timeout(30)
class SwapTest {
    private static final long BANK = 0x1000_0000;
    private final Board board = Board.pamu();
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final DmaBuffer memory = board.memory(8 * MB);
    private final LocalEventFd eventFd = new LocalEventFd(4);

    private Device working() {
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        container.map(8 * MB, board.memory(0x1000), 0, 0x1000, Access.READ);
        container.as(Msis.class).call("MAP", 1, BANK);
        Device device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(msi(eventFd));
        return device;
    }

    private FakeIommu swap() {
        vfio.removeIommu(board.iommu);
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        return next;
    }

    private static String tables(FakeIommu iommu) {
        return iommu.state();
    }

    // The IOMMU's provider

    @Test
    @DisplayName("P2: the provider leaves: BLOCKED with the reason, EAGAIN for what needs it, nothing passes, the "
        + "ledger is whole")
    void leaves() {
        working();
        assertEquals(0, board.portA.write(0x100, 4, 1));
        vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("pamu is gone"), container.reason());
        assertEquals(Refusal.BLOCKED, board.portA.write(0x100, 4, 1), "at the gate: no IOMMU is asked");
        assertEquals(Refusal.BLOCKED, container.lookup(0, Access.READ));
        refused(Errno.EAGAIN, "BLOCKED", () -> container.map(16 * MB, memory, 0, 0x1000, Access.READ));
        refused(Errno.EAGAIN, () -> container.unmap(0, 8 * MB));
        refused(Errno.EAGAIN, () -> container.set(new Enable(false)));
        refused(Errno.EAGAIN, () -> container.get(Geometry.class));
        refused(Errno.EAGAIN, container::info);
        refused(Errno.EAGAIN, () -> container.as(Msis.class).call("MAP", 0, 0));
        refused(Errno.EAGAIN, () -> container.as(Msis.class).strategy(""));
        refused(Errno.EAGAIN, () -> container.addGroup(vfio.group(2)));
        assertEquals(2, container.mappings().size());
        assertEquals(1, container.as(Msis.class).placements().size());
        assertEquals(0, board.iommu.opened.size());
    }

    @Test
    @DisplayName("P4: another provider comes: the same translations, attributes, doorbells and routes, address by "
        + "address")
    void comes() {
        Device device = working();
        container.set(new Enable(false));
        container.set(new Enable(true));
        device.write(Region.CONFIG, 4, 2, 6);
        String before = tables(board.iommu);
        FakeIommu next = swap();
        assertEquals(before, tables(next));
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals("", container.reason());
        board.a.raise();
        assertEquals(5, eventFd.poll());
        assertEquals(8 * MB, container.unmap(0, 8 * MB));
    }

    @Test
    @DisplayName("P4, P1: a container that is switched off is verified and restored all the same, and stays off")
    void switchedOff() {
        working();
        container.set(new Enable(false));
        FakeIommu next = swap();
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        assertEquals(Refusal.BLOCKED, container.lookup(0, Access.WRITE));
        assertTrue(board.memoryOf(0x11, 0) < 0);
        container.set(new Enable(true));
        assertTrue(container.lookup(0, Access.WRITE) >= 0);
        assertEquals(Set.of(0x11, 0x12), next.attached());
    }

    @Test
    @DisplayName("P4: attributes are replayed in an order that works, whichever they were set in; undone ones are "
        + "forgotten")
    void attributes() {
        container.set(new Geometry(0, 512 * MB));
        container.set(new Geometry(0, 256 * MB));
        FakeIommu next = swap();
        assertEquals("", container.reason());
        assertEquals(new Windows(0), container.get(Windows.class));
        container.set(new Windows(8));
        container.set(new Geometry(0, 256 * MB));
        vfio.removeIommu(next);
        FakeIommu third = board.newIommu();
        vfio.addIommu(third, "pamu");
        assertEquals("", container.reason());
        assertEquals(new Windows(8), container.get(Windows.class));
    }

    @Test
    @DisplayName("P4: a newcomer that cannot hold the ledger: BLOCKED, the first thing that does not fit, nothing "
        + "lost; the next may")
    void refuses() {
        working();
        String before = tables(board.iommu);
        vfio.removeIommu(board.iommu);
        FakeIommu small = board.newIommu();
        small.maxWindows = 32;
        vfio.addIommu(small, "pamu");
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("EINVAL: 64 windows: "), container.reason());
        assertEquals("0 open", tables(small));
        vfio.removeIommu(small);
        for (int call = 1; call <= 8; call++) {
            FakeIommu failing = board.newIommu();
            board.trip.at(call);
            vfio.addIommu(failing, "pamu");
            assertTrue(board.trip.happened(), "call " + call);
            assertEquals(ContainerState.BLOCKED, container.state());
            assertTrue(container.reason().contains("call " + call), container.reason());
            assertEquals("0 open", tables(failing));
            vfio.removeIommu(failing);
        }
        board.trip.at(0);
        FakeIommu good = board.newIommu();
        vfio.addIommu(good, "pamu");
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(before, tables(good));
    }

    @Test
    @DisplayName("P4: a newcomer that restores something else is found out by reading back")
    void verifies() {
        working();
        vfio.removeIommu(board.iommu);
        FakeIommu wrong = board.newIommu();
        wrong.lie = 0x1000;
        vfio.addIommu(wrong, "pamu");
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("EIO: the mapping 0x0..0x7fffff: "), container.reason());
    }

    @Test
    @DisplayName("P4: a newcomer that reserves what is mapped, or where a bank is placed: BLOCKED, nobody is attached")
    void reserves() {
        working();
        vfio.removeIommu(board.iommu);
        for (long taken : new long[] {4 * MB, BANK}) {
            FakeIommu next = board.newIommu();
            next.own.put(0x12, List.of(new ReservedRegion(taken, taken + 0xfff, ReservedRegion.Kind.RESERVED)));
            vfio.addIommu(next, "pamu");
            assertEquals(ContainerState.BLOCKED, container.state());
            assertTrue(container.reason().contains("for requester 0x12"), container.reason());
            assertEquals("0 open", tables(next));
            vfio.removeIommu(next);
        }
    }

    @Test
    @DisplayName("P4, P7: a bank that is made reachable elsewhere is found out by reading back, when an IOMMU or a "
        + "controller comes")
    void wrongBank() {
        working();
        vfio.removeController(board.controller);
        board.iommu.doorbellLie = 0x1000;
        refused(Errno.EIO, "was restored to 0xf0002000, not to 0xf0001000", () -> vfio.addController(board.controller));
        assertTrue(container.reason().contains("a bank cannot be reached"), container.reason());
        vfio.removeController(board.controller);
        board.iommu.doorbellLie = 0;
        vfio.addController(board.controller);
        assertEquals("", container.reason());
        vfio.removeIommu(board.iommu);
        board.iommu.doorbellLie = 0x1000;
        vfio.addIommu(board.iommu, "pamu");
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("EIO: MSI bank 1 at iova 0x10000000: "), container.reason());
        board.iommu.doorbellLie = 0;
        container.as(Backends.class).retry();
        board.a.raise();
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("a provider that fails while it leaves: the reason says so, other containers are blocked all the same")
    void failsLeaving() {
        working();
        VfioContainer two = board.container("two", 2);
        board.trip.at(1);
        vfio.removeIommu(board.iommu);
        assertTrue(container.reason().contains("did not close: EIO"), container.reason());
        assertEquals(ContainerState.BLOCKED, two.state());
        assertEquals(ContainerState.BLOCKED, container.state());
    }

    @Test
    @DisplayName("another provider of the same kind is there already: the container turns to it; of another kind: it "
        + "does not")
    void standby() {
        working();
        String before = tables(board.iommu);
        FakeIommu next = board.newIommu();
        vfio.addIommu(new FakeIommu(false, board.bus, board.trip), "type1");
        vfio.addIommu(next, "pamu");
        assertEquals("0 open", tables(next), "a newcomer alone does not move a working container");
        vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(before, tables(next));
    }

    @Test
    @DisplayName("a blocked container can be closed, and its last group can leave; both let the memory go")
    void closeBlocked() {
        working().close();
        vfio.removeIommu(board.iommu);
        long available = board.machine.memory().available();
        memory.close();
        container.removeGroup(vfio.group(1));
        assertEquals(available + 8 * MB, board.machine.memory().available());
        assertEquals(ContainerState.UNSET, container.state());
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        container.close();
    }

    @Test
    @DisplayName("groups leave while the container is blocked, the last takes all of it along: set anew it is as "
        + "new, nobody is held back")
    void anew() {
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        container.addGroup(vfio.group(2));
        vfio.removeIommu(board.iommu);
        container.removeGroup(vfio.group(2));
        assertEquals(ContainerState.BLOCKED, container.state());
        container.removeGroup(vfio.group(1));
        vfio.addIommu(board.iommu, "pamu");
        assertEquals("0 open", tables(board.iommu));
        container.addGroup(vfio.group(1));
        container.setIommu("pamu");
        assertEquals(new Geometry(0, 0), container.get(Geometry.class));
        assertEquals(List.of(), container.mappings());
        container.set(new Geometry(0, 512 * MB));
        container.set(new Windows(64));
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("devices come and go while the container is blocked: the newcomer has those that are there")
    void plugWhileBlocked() {
        working();
        vfio.removeIommu(board.iommu);
        vfio.removeFunction(board.b);
        vfio.addFunction(board.function("0000:01:00.2", 0x13, 1));
        FakeIommu next = board.newIommu();
        vfio.addIommu(next, "pamu");
        assertEquals(Set.of(0x11, 0x13), next.attached());
    }

    // P5

    @Test
    @DisplayName("P5: MSIs sent while the IOMMU's provider is away arrive, as one, when the road is open again")
    void notLost() {
        working();
        vfio.removeIommu(board.iommu);
        board.a.raise();
        board.a.raise();
        assertEquals(4, eventFd.count());
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        assertEquals(5, eventFd.poll());
        board.a.raise();
        assertEquals(1, eventFd.poll());
        vfio.removeIommu(next);
        vfio.addIommu(next, "pamu");
        assertEquals(0, eventFd.count(), "nothing was sent, nothing arrives");
        assertEquals(0, vfio.faultCount(), "a message is posted: the device is refused nothing");
    }

    @Test
    @DisplayName("P5: MSIs sent while the interrupt controller is away arrive, as one, when there is another")
    void controllerSwap() {
        working();
        vfio.removeController(board.controller);
        assertEquals(0, board.controller.used());
        assertEquals(List.of(), container.as(Msis.class).routes());
        assertTrue(container.reason().contains("interrupt controller is gone"), container.reason());
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
        assertEquals(0, board.a.raise());
        assertEquals(0, board.portA.write(0x100, 4, 1), "memory is not held back");
        board.controller.unplug();
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x80);
        vfio.addController(next);
        assertEquals("", container.reason());
        assertEquals(0xe0001000L, container.lookup(BANK, Access.WRITE));
        assertEquals(5, eventFd.poll());
        assertEquals(0x80, board.a.register(FakeFunction.MSI + 12, 2));
        assertEquals(0, board.a.raise());
        assertEquals(1, eventFd.poll());
        assertEquals(1, next.used());
    }

    @Test
    @DisplayName("IOMMU and controller both leave and come back in either order")
    void bothSwapped() {
        working();
        vfio.removeController(board.controller);
        FakeIommu next = swap();
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
        vfio.addController(board.controller);
        assertEquals(Board.BANKS + 0x1000, container.lookup(BANK, Access.WRITE));
        board.a.raise();
        assertEquals(5, eventFd.poll());
        vfio.removeIommu(next);
        vfio.removeController(board.controller);
        vfio.addController(board.controller);
        assertEquals(0, board.controller.used());
        vfio.addIommu(next, "pamu");
        assertEquals("", container.reason());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("a second controller waits for its turn; INTx and MSI move to it when the first leaves")
    void secondController() {
        working();
        FakeFunction b = board.b;
        b.wireTo(board.controller);
        LocalEventFd pin = new LocalEventFd(0);
        vfio.group(1).device(b.name()).setIrqs(IrqSet.eventFds(Irq.INTX, 0, pin));
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x80);
        vfio.addController(next);
        assertEquals(0, next.used());
        vfio.removeController(board.controller);
        assertEquals(0, board.controller.handlers());
        assertEquals(1, next.handlers());
        assertEquals(1, next.used());
        b.wireTo(next);
        b.raise();
        assertEquals(1, pin.poll());
    }

    @Test
    @DisplayName("a second controller that leaves without its turn is nobody's loss: vectors, windows and reports "
        + "are as before")
    void standbyController() {
        working();
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x80);
        vfio.addController(next);
        String before = tables(board.iommu) + container.as(Msis.class).routes() + vfio.as(Swaps.class).latest();
        vfio.removeController(next);
        assertEquals(before, tables(board.iommu) + container.as(Msis.class).routes() + vfio.as(Swaps.class).latest());
        assertEquals("", container.reason());
        vfio.removeController(board.controller);
        assertTrue(container.reason().contains("MSIs wait for another"), container.reason());
    }

    @Test
    @DisplayName("a controller that cannot serve a route: the reason says which; other devices and containers are "
        + "handled")
    void controllerTooSmall() {
        working();
        vfio.removeController(board.controller);
        FakeController small = new FakeController(board.bus, board.trip, 0xe0000000L, 1, 4, 0x80);
        assertThrows(ErrnoException.class, () -> vfio.addController(small));
        assertTrue(container.reason().contains("the MSI of device 0000:01:00.0 waits"), container.reason());
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(0, board.a.raise(), "kept: its old message might be somebody else's vector here");
        vfio.removeController(small);
        vfio.addController(board.controller);
        assertEquals("", container.reason());
        board.a.raise();
        assertEquals(4 + 1 + 1, eventFd.poll(), "the one that was kept, and this one");
    }

    @Test
    @DisplayName("an IOMMU not restored for lack of a bank is restored when a controller with that bank comes")
    void bankMissing() {
        working();
        container.as(Msis.class).call("MAP", 0, 32 * MB);
        LocalEventFd second = new LocalEventFd(0);
        vfio.group(1).device(board.b.name()).setIrqs(msi(second));
        vfio.removeController(board.controller);
        vfio.removeIommu(board.iommu);
        FakeController small = new FakeController(board.bus, board.trip, 0xe0000000L, 1, 1, 0x80);
        vfio.addController(small);
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("no MSI bank 1"), container.reason());
        board.b.raise();
        vfio.removeController(small);
        vfio.addController(board.controller);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals("", container.reason());
        assertEquals(1, second.poll());
        assertEquals(4, eventFd.poll());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("P7: over a controller swap no old message meets the new controller: a window opens when every "
        + "device has its new one")
    void staleMessage() {
        working();
        LocalEventFd second = new LocalEventFd(0);
        vfio.group(1).device(board.b.name()).setIrqs(msi(second));
        vfio.removeController(board.controller);
        // The new one numbers the other way round: what was b's message is a's vector.
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x41);
        board.trip.each = () -> board.b.raise();
        vfio.addController(next);
        board.trip.each = () -> {
        };
        assertEquals(4, eventFd.poll(), "a has sent nothing");
        assertTrue(second.poll() > 0);
        board.vfio.removeStrategy(board.manual);
        assertEquals(0, board.manual.enabled, "each bank was disabled as often as enabled");
    }

    @Test
    @DisplayName("one route waits for a vector, the others are open: what one of those missed arrives")
    void oneWaits() {
        working();
        LocalEventFd second = new LocalEventFd(0);
        vfio.group(1).device(board.b.name()).setIrqs(msi(second));
        vfio.removeController(board.controller);
        board.a.raise();
        FakeController single = new FakeController(board.bus, board.trip, 0xe0000000L, 2, 1, 0x80);
        vfio.addController(single);
        assertTrue(container.reason().contains("MSI of device 0000:01:00.1 waits: ENOSPC"), container.reason());
        assertEquals(5, eventFd.poll());
        board.a.raise();
        assertEquals(1, eventFd.poll(), "its page is one that messages are kept of, its message is not");
        board.b.raise();
        vfio.removeController(single);
        vfio.addController(board.controller);
        assertEquals("", container.reason());
        assertEquals(1, second.poll());
    }

    @Test
    @DisplayName("P5: a message that passed a gate which was shut for another's is kept again when all is held back")
    void passedOnce() {
        working();
        LocalEventFd second = new LocalEventFd(0);
        Device b = vfio.group(1).device(board.b.name());
        b.setIrqs(msi(second));
        vfio.removeController(board.controller);
        vfio.addController(new FakeController(board.bus, board.trip, 0xe0000000L, 2, 1, 0x80));
        board.a.raise();
        assertEquals(5, eventFd.poll(), "b waits, a passes");
        b.setIrqs(IrqSet.disable(Irq.MSI));
        assertEquals("", container.reason());
        vfio.removeIommu(board.iommu);
        assertEquals(0, board.a.raise());
        assertEquals(0, eventFd.count());
        vfio.addIommu(board.iommu, "pamu");
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("P5: as that, and its provider alone is another: a swap that the user asks for keeps it, too")
    void passedOnceInSwap() {
        working();
        LocalEventFd second = new LocalEventFd(0);
        Device b = vfio.group(1).device(board.b.name());
        b.setIrqs(msi(second));
        vfio.removeController(board.controller);
        vfio.addController(new FakeController(board.bus, board.trip, 0xe0000000L, 2, 1, 0x80));
        b.setIrqs(IrqSet.disable(Irq.MSI));
        FakeIommu next = board.newIommu();
        vfio.addIommu(next, "pamu");
        board.trip.each = () -> {
            if (next.opened.size() == 1) {
                board.trip.each = () -> {
                };
                assertEquals(0, board.a.raise());
            }
        };
        container.as(Backends.class).swap("pamu");
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("INTx: the controller leaves and comes back: a line still asserted fires")
    void intxSwap() {
        Device device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        vfio.removeController(board.controller);
        assertEquals(0, board.controller.handlers());
        board.a.raise();
        assertEquals(4, eventFd.count());
        vfio.addController(board.controller);
        assertEquals(5, eventFd.poll());
        vfio.removeController(board.controller);
        device.close();
        assertEquals(0, board.controller.handlers());
    }

    // The strategy

    @Test
    @DisplayName("the preferred strategy leaves: nobody else takes over, its banks are gone, its vectors given back; "
        + "it comes back")
    void strategySwap() {
        vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        Device device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(msi(eventFd));
        refused(Errno.EBUSY, "vectors", () -> container.as(Msis.class).strategy("manual"));
        vfio.removeStrategy(board.auto);
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(0, board.controller.used());
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        vfio.addStrategy(board.auto, 10);
        board.a.raise();
        assertEquals(4 + 1, eventFd.poll(), "nothing was sent meanwhile: none too many");
    }

    @Test
    @DisplayName("a live container moves, its banks are placed anew; the n-th call fails: EBUSY with the cause, all "
        + "as before")
    void strategyMove() {
        Device device = working();
        vfio.addStrategy(board.auto, 10);
        String before = tables(board.iommu);
        List<MsiRoute> routes = container.as(Msis.class).routes();
        int call = 1;
        for (; call < 50; call++) {
            board.trip.at(call);
            try {
                container.as(Msis.class).strategy("auto");
                break;
            } catch (ErrnoException e) {
                assertTrue(e.getMessage().contains("call " + call), e.getMessage());
            }
            board.trip.at(0);
            assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
            assertEquals(before, tables(board.iommu), "call " + call);
            assertEquals(routes, container.as(Msis.class).routes());
            board.a.raise();
            assertEquals(call == 1 ? 5 : 1, eventFd.poll());
        }
        assertTrue(call > 4, "it never failed");
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(0x0800_0000 + 1 * 0x0080_0000, container.as(Msis.class).placements().get(0).iova());
        assertEquals(Refusal.UNMAPPED, container.lookup(BANK, Access.WRITE));
        board.a.raise();
        assertEquals(1, eventFd.poll());
        assertEquals(List.of("auto", "manual"),
            container.as(Msis.class).explain().stream().map(MsiChoice::name).toList());
        assertEquals(List.of(true, false),
            container.as(Msis.class).explain().stream().map(MsiChoice::preferred).toList());
        device.setIrqs(IrqSet.disable(Irq.MSI));
        assertEquals(0, board.auto.enabled + board.manual.enabled, "each bank was disabled as often as enabled");
        assertEquals(List.of(), container.as(Msis.class).placements());
    }

    @Test
    @DisplayName("no strategy works; what stood in the way is unmapped: the resolver looks again")
    void resolvesAgain() {
        vfio.removeStrategy(board.manual);
        board.auto.feasible = false;
        vfio.addStrategy(board.auto, 10);
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        board.auto.feasible = true;
        container.unmap(0, 8 * MB);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
    }

    @Test
    @DisplayName("without a preference the next strategy takes over and the user is told what to do; a message "
        + "meanwhile is not lost")
    void strategyFallback() {
        vfio.removeStrategy(board.manual);
        vfio.addStrategy(board.auto, 10);
        vfio.addStrategy(board.manual, 0);
        Device device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(msi(eventFd));
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        vfio.removeStrategy(board.auto);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertTrue(container.reason().contains("call MAP first"), container.reason());
        assertEquals(0, board.auto.enabled);
        container.map(0x0800_0000, memory, 0, 8 * MB, Access.READ_WRITE);
        assertEquals(0, board.a.raise(), "kept: what the user maps there now is not for messages");
        assertEquals(0, board.bus.read(memory.physical(board.a.msiAddress() & 0xfff), 4));
        container.as(Msis.class).call("MAP", 2, BANK);
        assertEquals("", container.reason());
        assertEquals(5, eventFd.poll());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("a strategy that throws is not feasible, says why, and stands in nobody's way")
    void madStrategy() {
        vfio.removeStrategy(board.manual);
        FakeStrategy mad = new FakeStrategy(board.trip, true, 0, 0);
        mad.mad = true;
        vfio.addStrategy(mad, 100);
        refused(Errno.ENOTTY, "mad strategy", () -> container.as(Msis.class).call("MAP", 0, 0));
        vfio.addStrategy(board.manual, 0);
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        refused(Errno.EINVAL, "mad strategy", () -> container.as(Msis.class).strategy("auto"));
        refused(Errno.ENOENT, "[auto, manual]", () -> container.as(Msis.class).strategy("flag"));
    }

    @Test
    @DisplayName("a session that fails to close has left all the same; one that stood in leaves nothing placed; a bind "
        + "that fails leaves SET_IOMMU undone")
    void sessionFails() {
        container.as(Msis.class).call("MAP", 0, BANK);
        board.trip.at(1);
        assertThrows(ErrnoException.class, () -> vfio.removeStrategy(board.manual));
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        assertEquals(1, container.as(Msis.class).placements().size(), "kept for its return");
        vfio.addStrategy(board.auto, 10);
        assertEquals(List.of(), container.as(Msis.class).placements());
        vfio.group(1).device("0000:01:00.0").setIrqs(msi(eventFd));
        assertEquals(1, container.as(Msis.class).placements().size());
        board.auto.leaves = true;
        board.trip.at(1);
        assertThrows(ErrnoException.class, () -> vfio.removeStrategy(board.auto));
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(Refusal.UNMAPPED, container.lookup(0x0800_0000, Access.WRITE));
        vfio.addStrategy(board.manual, 0);
        assertEquals(List.of(BANK), container.as(Msis.class).placements().stream().map(one -> one.iova()).toList());
        VfioContainer two = (VfioContainer) vfio.openContainer("two");
        two.addGroup(vfio.group(2));
        String before = tables(board.iommu);
        board.trip.at(3);
        refused(Errno.EIO, "bind", () -> two.setIommu("pamu"));
        assertEquals(before, tables(board.iommu));
        assertEquals(ContainerState.UNSET, two.state());
        two.setIommu("pamu");
    }

    // Unmap and attributes, all or nothing

    @Test
    @DisplayName("all or nothing: map, attribute, doorbell and each unmap of several fail in turn: tables, ledger "
        + "and memory as before")
    void allOrNothing() {
        container.map(0, memory, 0, 0x1000, Access.READ_WRITE);
        container.map(8 * MB, memory, 0x1000, 0x1000, Access.READ);
        container.map(16 * MB, memory, 0x2000, 0x1000, Access.WRITE);
        container.as(Msis.class).call("MAP", 1, BANK);
        String before = tables(board.iommu);
        String ledger = container.mappings().toString() + container.as(Msis.class).placements();
        DmaBuffer fresh = board.memory(0x1000);
        long available = board.machine.memory().available();
        for (int call = 1; call <= 3; call++) {
            board.trip.at(call);
            refused(Errno.EIO, "unmap", () -> container.unmap(0, 24 * MB));
            assertEquals(before, tables(board.iommu));
        }
        board.trip.at(1);
        refused(Errno.EIO, "map", () -> container.map(24 * MB, fresh, 0, 0x1000, Access.READ));
        board.trip.at(1);
        refused(Errno.EIO, "set", () -> container.set(new Enable(false)));
        board.trip.at(1);
        refused(Errno.EIO, "mapDoorbell", () -> container.as(Msis.class).call("MAP", 0, 32 * MB));
        board.trip.at(1);
        refused(Errno.EIO, "unmap", () -> container.as(Msis.class).call("UNMAP", BANK));
        assertEquals(before, tables(board.iommu));
        assertEquals(ledger, container.mappings().toString() + container.as(Msis.class).placements());
        fresh.close();
        assertEquals(available + 0x1000, board.machine.memory().available());
    }

    @Test
    @DisplayName("an unmap that fails and cannot be put back: the error says both, the tables are made anew with all "
        + "of it as soon as that is possible")
    void cannotPutBack() {
        container.map(0, memory, 0, 0x1000, Access.READ_WRITE);
        container.map(8 * MB, memory, 0x1000, 0x1000, Access.READ);
        String before = tables(board.iommu);
        board.iommu.lie = -1;
        board.trip.at(2);
        ErrnoException e = refused(Errno.EIO, "unmap", () -> container.unmap(0, 16 * MB));
        assertEquals(1, e.getSuppressed().length);
        assertEquals(2, container.mappings().size());
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("it does not map any more"), container.reason());
        board.iommu.lie = 0;
        container.as(Backends.class).retry();
        assertEquals(before, tables(board.iommu));
    }

    // Violations

    @Test
    @DisplayName("violations arrive by the provider's wire, whatever order provider and controller come in, and are "
        + "read without one too")
    void violations() {
        Violation one = new Violation("/iommu", 0x11, 0x1000, Refusal.UNMAPPED, "WAV", "");
        board.iommu.violations.add(one);
        assertEquals(List.of(one), vfio.violations());
        FakeIommu wired = board.newIommu();
        wired.wires.add(new Wire(FakeController.PATH, 24, true, "24"));
        wired.wires.add(new Wire("/elsewhere", 24, true, "24"));
        assertThrows(ErrnoException.class, () -> vfio.addIommu(wired, "pamu"));
        assertEquals(1, board.controller.handlers());
        wired.violations.add(one);
        board.controller.line(24, true);
        assertEquals(List.of(), wired.violations);
        assertEquals(List.of(one, one), vfio.violations());
        vfio.removeIommu(wired);
        assertEquals(0, board.controller.handlers());
    }
}
