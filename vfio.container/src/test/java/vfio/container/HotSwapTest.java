// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.DmaFlags;
import vfio.api.EventFd;
import vfio.api.Mapping;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;
import vfio.container.irq.LocalEventFd;

/**
 * The swap that a user asks for, stalling, reports. What happens by itself is in {@link SwapTest}, what hangs in
 * {@link HangTest}.
 */
@Timeout(30)
class HotSwapTest {
    private static final long BANK = 0x1000_0000;
    private static final Duration LONG = Duration.ofSeconds(25);

    private final Board board = Board.pamu();
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final DmaBuffer memory = board.memory(8 * MB);
    private final LocalEventFd eventFd = new LocalEventFd(0);

    private void working() {
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        container.map(8 * MB, board.memory(0x1000), 0, 0x1000, Access.READ);
        container.as(Msis.class).call("MAP", 1, BANK);
        Device device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(msi(eventFd));
    }

    private FakeIommu second() {
        FakeIommu second = board.newIommu();
        vfio.addIommu(second, "pamu", "the second", 0);
        return second;
    }

    // swap

    @Test
    @DisplayName("P4: swap moves a working container to the other provider: the same tables there, nothing left "
        + "here, a report")
    void swaps() {
        working();
        String before = board.iommu.state();
        FakeIommu second = second();
        List<Swap> told = new ArrayList<>();
        vfio.addSwapListener(told::add);
        Swap report = container.as(Backends.class).swap("pamu");
        assertEquals(before, second.state());
        assertEquals("0 open", board.iommu.state());
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals("", container.reason());
        assertTrue(report.done());
        assertEquals(List.of("one", Swap.Backend.IOMMU, "pamu", "the second", 2, 2, 1, 1),
            List.of(report.container(), report.backend(), report.from(), report.to(), report.attributes(),
                report.mappings(), report.placements(), report.routes()));
        assertTrue(report.blockedNanos() > 0);
        assertEquals(List.of(report), vfio.as(Swaps.class).latest());
        assertEquals(List.of(report), told);
        board.acts(second);
        board.a.raise();
        assertEquals(1, eventFd.poll());
        assertEquals("pamu", container.as(Backends.class).swap("pamu").to(), "and back");
    }

    @Test
    @DisplayName("swap with one provider alone builds everything anew on it")
    void rebuilds() {
        working();
        String before = board.iommu.state();
        Swap report = container.as(Backends.class).swap("pamu");
        assertEquals(before, board.iommu.state());
        assertEquals(report.from(), report.to());
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("a newcomer that throws at its n-th call: the container stays with its provider, all as before, the "
        + "report says why")
    void rollsBack() {
        working();
        String before = board.iommu.state();
        FakeIommu second = second();
        int call = 1;
        for (; call < 50; call++) {
            // The old domain's close is the first call of all.
            board.trip.at(call + 1);
            try {
                container.as(Backends.class).swap("pamu");
                break;
            } catch (ErrnoException e) {
                assertTrue(e.getMessage().contains("container one stays with pamu; the second could not take over"),
                    e.getMessage());
            }
            assertTrue(board.trip.happened());
            assertEquals(ContainerState.ACTIVE, container.state());
            assertEquals("", container.reason());
            assertEquals(before, board.iommu.state(), "call " + call);
            assertEquals("0 open", second.state());
            Swap report = vfio.as(Swaps.class).latest().get(vfio.as(Swaps.class).latest().size() - 1);
            assertFalse(report.done());
            assertEquals(0, board.a.raise());
            assertEquals(1, eventFd.poll());
            assertEquals(0, board.portA.write(0, 4, 1));
        }
        board.trip.at(0);
        assertEquals(1 + 8, call, "open, 2 attributes, 2 mappings, doorbell, 2 devices, and no more");
        assertEquals(before, second.state());
    }

    @Test
    @DisplayName("the old provider cannot close its domain: nothing has changed")
    void cannotLeave() {
        working();
        String before = board.iommu.state();
        second();
        board.trip.at(1);
        refused(Errno.EIO, () -> container.as(Backends.class).swap("pamu"));
        assertEquals(before, board.iommu.state());
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("P4: a domain that throws when it has been closed does not leave an ACTIVE container behind that "
        + "has none")
    void closesAndThrows() {
        working();
        String before = board.iommu.state();
        FakeIommu second = second();
        for (Runnable thrower : throwers()) {
            board.iommu.closed = thrower;
            container.as(Backends.class).swap("pamu");
            board.iommu.closed = () -> {
            };
            assertEquals(ContainerState.ACTIVE, container.state());
            assertEquals(before, second.state());
            assertEquals("0 open", board.iommu.state());
            assertEquals(0, container.lookup(0, Access.READ) - container.mappings().get(0).buffer().physical(0));
            container.as(Backends.class).swap("pamu");
            assertEquals(before, board.iommu.state());
        }
    }

    @Test
    @DisplayName("P1: a container whose domain throws when it has been closed is BLOCKED; closed once more it gives "
        + "its memory back")
    void closesAndThrowsAtTheEnd() {
        long available = board.machine.memory().available();
        working();
        for (Runnable thrower : throwers()) {
            board.iommu.closed = thrower;
            refused(Errno.EIO, container::close);
            assertEquals(ContainerState.BLOCKED, container.state());
            assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
            board.iommu.closed = () -> {
            };
            container.as(Backends.class).retry();
            assertEquals(ContainerState.ACTIVE, container.state());
        }
        container.close();
        assertEquals("0 open", board.iommu.state());
        assertTrue(board.machine.memory().available() <= available);
    }

    private static List<Runnable> throwers() {
        return List.of(() -> {
            throw new ErrnoException(Errno.EIO, "closed, and throws");
        }, () -> {
            throw new NoClassDefFoundError("closed, and throws");
        });
    }

    @Test
    @DisplayName("neither provider can: BLOCKED with both reasons, the ledger whole; retry restores")
    void neither() {
        working();
        String before = board.iommu.state();
        FakeIommu second = second();
        second.lie = -1;
        board.iommu.lie = -1;
        ErrnoException e = refused(Errno.EIO, "is BLOCKED", () -> container.as(Backends.class).swap("pamu"));
        assertTrue(
            e.getMessage().contains("neither could the second take over") && e.getMessage().contains("nor pamu go on"),
            e.getMessage());
        assertEquals(ContainerState.BLOCKED, container.state());
        assertEquals(2, container.mappings().size());
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        assertEquals(0, board.a.raise());
        refused(Errno.EIO, container.as(Backends.class)::retry);
        assertEquals(ContainerState.BLOCKED, container.state());
        board.iommu.lie = 0;
        container.as(Backends.class).retry();
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(before, board.iommu.state());
        assertEquals(1, eventFd.poll());
        Swap last = vfio.as(Swaps.class).latest().get(vfio.as(Swaps.class).latest().size() - 1);
        assertTrue(last.done());
        assertEquals(1, last.refused());
        assertEquals(1, last.carried());
    }

    @Test
    @DisplayName("what does not fit is refused before anything is touched: windows, page size, reserved regions, "
        + "another kind")
    void unfit() {
        working();
        String before = board.iommu.state();
        FakeIommu paged = new FakeIommu(false, board.bus, board.trip);
        vfio.addIommu(paged, "type1");
        FakeIommu second = second();
        second.maxWindows = 32;
        long faults = vfio.faultCount();
        refused(Errno.EINVAL, "at most 32 windows; set fewer", () -> container.as(Backends.class).swap("pamu"));
        second.maxWindows = 256;
        second.own.put(0x12, List.of(new ReservedRegion(0x40_0000, 0x40_0fff, ReservedRegion.Kind.RESERVED)));
        refused(Errno.EINVAL, "the mapping 0x0..0x7fffff does not fit",
            () -> container.as(Backends.class).swap("pamu"));
        refused(Errno.ENODEV, "no IOMMU of type smmu", () -> container.as(Backends.class).swap("smmu"));
        assertEquals(before, board.iommu.state());
        assertEquals("0 open", second.state());
        assertEquals(List.of(), vfio.as(Swaps.class).latest());
        assertEquals(faults, vfio.faultCount());
        VfioContainer other = (VfioContainer) vfio.openContainer("paged");
        other.addGroup(vfio.group(2));
        other.setIommu("type1");
        other.map(0x5000, board.memory(0x1000), 0, 0x1000, Access.READ);
        refused(Errno.EINVAL, "a windowed type needs an aperture first", () -> other.as(Backends.class).swap("pamu"));
        assertEquals(ContainerState.ACTIVE, other.state());
    }

    @Test
    @DisplayName("a newcomer with larger pages: EINVAL for what they cannot map, before anything is touched; what "
        + "they can goes over")
    void largerPages() {
        Board paged = Board.type1();
        VfioContainer small = paged.container();
        small.map(0x1_1000, paged.memory(0x1000), 0, 0x1000, Access.READ);
        FakeIommu large = paged.newIommu();
        large.page = 0x1_0000;
        paged.vfio.addIommu(large, "type1", "large pages", 0);
        refused(Errno.EINVAL, "multiples of 0x10000", () -> small.as(Backends.class).swap("type1"));
        assertEquals(ContainerState.ACTIVE, small.state());
        assertEquals("0 open", large.state());
        small.unmap(0x1_1000, 0x1000);
        small.map(0x1_0000, paged.memory(0x1_0000), 0, 0x1_0000, Access.READ);
        // Its last byte is the last that can be translated.
        small.map(0xffff_ffff_0000L, paged.memory(0x1_0000), 0, 0x1_0000, Access.READ);
        String before = paged.iommu.state();
        small.as(Backends.class).swap("type1");
        assertEquals(before, large.state());
    }

    @Test
    @DisplayName("an IOMMU with just as many windows takes over")
    void asManyWindows() {
        working();
        FakeIommu second = second();
        second.maxWindows = container.get(Windows.class).count();
        board.acts(second);
        container.as(Backends.class).swap("pamu");
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @Test
    @DisplayName("an IOMMU with larger pages takes no mapping whose offset or length is no multiple of one, and says "
        + "where it may map")
    void offsetsOfLargerPages() {
        Board paged = Board.type1();
        VfioContainer one = paged.container();
        FakeIommu large = new FakeIommu(false, paged.bus, paged.trip);
        large.page = 0x10000;
        paged.vfio.addIommu(large, "vtd");
        DmaBuffer buffer = paged.memory(0x40000);
        one.map(0x10000, buffer, 0x1000, 0x10000, Access.READ);
        refused(Errno.EINVAL, "the mapping 0x10000..0x1ffff does not fit: it maps multiples of 0x10000",
            () -> one.as(Backends.class).swap("type1v2"));
        one.unmap(0x10000, 0x10000);
        one.map(0x10000, buffer, 0, 0x11000, Access.READ);
        refused(Errno.EINVAL, "the mapping 0x10000..0x20fff does not fit: it maps multiples of 0x10000",
            () -> one.as(Backends.class).swap("type1v2"));
        one.unmap(0x10000, 0x11000);
        one.map(0x10000, buffer, 0x10000, 0x20000, Access.READ);
        large.own.put(0x11, List.of(new ReservedRegion(0x2_0000, 0x2_ffff, ReservedRegion.Kind.RESERVED)));
        refused(Errno.EINVAL, "it may map [0x0..0x1ffff, 0x30000..", () -> one.as(Backends.class).swap("type1v2"));
    }

    @Test
    @DisplayName("a move to a windowed type while a vaddr is invalid: EINVAL naming the mapping; with another vaddr, "
        + "or unmapped, it goes")
    void invalidVaddr() {
        working();
        FakeIommu paged = new FakeIommu(false, board.bus, board.trip);
        vfio.addIommu(paged, "type1");
        board.acts(paged);
        container.as(Backends.class).swap("type1v2");
        Mapping first = container.mappings().get(0);
        container.unmap(0, 0, DmaFlags.UNMAP_ALL | DmaFlags.UNMAP_VADDR, null);
        String before = paged.state() + container.mappings();
        refused(Errno.EINVAL, "the mapping 0x0..0x7fffff does not fit: its vaddr is invalid",
            () -> container.as(Backends.class).swap("pamu"));
        assertEquals(before, paged.state() + container.mappings());
        assertEquals(Optional.of("type1v2"), container.iommu());
        container.as(Backends.class).swap("type1");
        container.map(0, first.buffer(), first.offset(), first.length(), DmaFlags.MAP_VADDR);
        refused(Errno.EINVAL, "the mapping 0x800000", () -> container.as(Backends.class).swap("pamu"));
        container.unmap(8 * MB, 0x1000);
        board.acts(board.iommu);
        container.as(Backends.class).swap("pamu");
        assertEquals(first.buffer().physical(first.offset()), container.lookup(0, Access.WRITE));
    }

    @Test
    @DisplayName("to another kind and back: layout attributes rest in the ledger, the translations are the same; "
        + "others make it unfit")
    void otherKind() {
        working();
        String before = board.iommu.state();
        FakeIommu paged = new FakeIommu(false, board.bus, board.trip);
        vfio.addIommu(paged, "type1");
        board.acts(paged);
        Swap report = container.as(Backends.class).swap("type1v2");
        assertEquals(Optional.of("type1v2"), container.iommu());
        assertEquals(0, report.attributes());
        assertEquals(memory.physical(0x123456), container.lookup(0x123456, Access.WRITE));
        assertEquals(Refusal.DENIED, container.lookup(8 * MB, Access.WRITE));
        assertEquals(0, board.a.raise());
        assertEquals(1, eventFd.poll());
        board.acts(board.iommu);
        container.as(Backends.class).swap("pamu");
        assertEquals(before, board.iommu.state());
        assertEquals(new Windows(64), container.get(Windows.class));
        container.set(new Enable(true));
        assertEquals(new Geometry(0, 512 * MB), container.get(Geometry.class));
    }

    @Test
    @DisplayName("to a kind where the strategy does not work: its banks are gone, another takes over; none: MSIs "
        + "wait until one works")
    void otherStrategy() {
        working();
        vfio.addIommu(new FakeIommu(false, board.bus, board.trip), "type1");
        board.manual.feasible = false;
        container.as(Backends.class).swap("type1");
        assertEquals(Optional.empty(), container.as(Msis.class).strategy());
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(0, board.controller.used());
        assertTrue(container.reason().contains("the MSI of device 0000:01:00.0 waits"), container.reason());
        vfio.addStrategy(board.auto, 0);
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(1, board.controller.used());
        board.auto.feasible = false;
        board.manual.feasible = true;
        container.as(Backends.class).swap("pamu");
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        container.as(Msis.class).call("MAP", 1, BANK);
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("swap and retry need an IOMMU: EINVAL before one is set, EAGAIN while it is away, ENODEV for retry")
    void order() {
        VfioContainer fresh = (VfioContainer) vfio.openContainer("fresh");
        refused(Errno.EINVAL, () -> fresh.as(Backends.class).swap("pamu"));
        refused(Errno.EINVAL, fresh.as(Backends.class)::retry);
        container.as(Backends.class).retry();
        vfio.removeIommu(board.iommu);
        refused(Errno.EAGAIN, () -> container.as(Backends.class).swap("pamu"));
        refused(Errno.ENODEV, "type pamu", container.as(Backends.class)::retry);
        assertThrows(IllegalArgumentException.class,
            () -> container.as(Backends.class).stallBound(Duration.ofMillis(-1)));
        assertThrows(IllegalArgumentException.class,
            () -> container.as(Backends.class).stallBound(Duration.ofMinutes(61)));
        container.as(Backends.class).stallBound(Duration.ofHours(1));
        assertEquals(Duration.ofHours(1), container.as(Backends.class).stallBound());
    }

    // stall

    @Test
    @DisplayName("stall: what a device does while the provider is away happens when the next is there; nothing is "
        + "refused")
    void stalls() throws Exception {
        working();
        container.as(Backends.class).stallBound(LONG);
        assertEquals(LONG, container.as(Backends.class).stallBound());
        vfio.removeIommu(board.iommu);
        FutureTask<Void> write = begin(() -> assertEquals(0, board.portA.write(0x40, 4, 7)));
        assertThrows(TimeoutException.class, () -> write.get(50, TimeUnit.MILLISECONDS));
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        write.get();
        assertEquals(7, board.bus.read(memory.physical(0x40), 4));
        Swap report = vfio.as(Swaps.class).latest().get(0);
        assertEquals(1, report.stalled());
        assertEquals(0, report.refused());
        assertTrue(report.blockedNanos() >= TimeUnit.MILLISECONDS.toNanos(50));
        assertEquals(0, vfio.faultCount());
    }

    @Test
    @DisplayName("another container is not touched by a swap: its devices go on, its user maps")
    void others() throws Exception {
        working();
        VfioContainer two = board.container("two", 2);
        two.map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        FakeIommu second = second();
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        board.trip.each = () -> {
            if (Thread.currentThread().getName().startsWith("vfio.container")) {
                inside.countDown();
                await(go, 100);
            }
        };
        FutureTask<Void> swap = begin(() -> container.as(Backends.class).swap("pamu"));
        inside.await();
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        assertEquals(0, board.port(0x21, 2).write(0, 4, 1));
        two.map(16 * MB, board.memory(8 * MB), 0, 8 * MB, Access.READ);
        two.unmap(16 * MB, 8 * MB);
        go.countDown();
        swap.get();
        board.trip.each = () -> {
        };
        assertEquals(1, second.opened.size());
    }

    // who is held back

    /** {@return what a write of that port meets while the container moves to the second provider} */
    private long duringSwap(DmaPort port) {
        FakeIommu second = second();
        AtomicLong met = new AtomicLong();
        board.trip.each = () -> {
            if (second.opened.size() == 1) {
                board.trip.each = () -> {
                };
                met.set(port.write(0, 4, 1));
            }
        };
        container.as(Backends.class).swap("pamu");
        return met.get();
    }

    @Test
    @DisplayName("P2: a group that joined after SET_IOMMU is held back over a swap, too")
    void groupJoined() {
        working();
        container.addGroup(vfio.group(2));
        DmaPort port = board.port(0x21, 2);
        assertEquals(0, port.write(0, 4, 1));
        assertEquals(Refusal.BLOCKED, duringSwap(port));
    }

    @Test
    @DisplayName("P2: a device plugged into a group of the container is held back over a swap, too")
    void devicePlugged() {
        working();
        vfio.addFunction(board.function("0000:01:00.2", 0x13, 1));
        DmaPort port = board.port(0x13, 1);
        assertEquals(0, port.write(0, 4, 1));
        assertEquals(Refusal.BLOCKED, duringSwap(port));
    }

    @Test
    @DisplayName("a group that has left is not held back: another container has it, whose devices go on")
    void groupLeft() {
        working();
        container.addGroup(vfio.group(2));
        container.removeGroup(vfio.group(2));
        board.container("two", 2).map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        assertEquals(0, duringSwap(board.port(0x21, 2)));
    }

    /** Waits, not to be interrupted, as what hangs does. */
    static void await(CountDownLatch latch, long millis) {
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        while (latch.getCount() > 0 && System.nanoTime() < end) {
            Thread.onSpinWait();
        }
    }

    static FutureTask<Void> begin(Runnable work) {
        FutureTask<Void> task = new FutureTask<>(work, null);
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        thread.start();
        return task;
    }

    // listeners

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    @DisplayName("a swap that has succeeded has, whatever its listeners throw: Errors and checked exceptions, too; "
        + "all are told")
    void listenersThrow() {
        working();
        second();
        List<Swap> told = new ArrayList<>();
        vfio.addSwapListener(swap -> {
            throw new NoClassDefFoundError("a listener of yesterday's");
        });
        vfio.addSwapListener(swap -> HotSwapTest.<RuntimeException>sneak(new java.io.IOException("unannounced")));
        vfio.addSwapListener(told::add);
        assertTrue(container.as(Backends.class).swap("pamu").done());
        assertEquals(1, told.size());
        vfio.removeController(board.controller);
        vfio.addController(board.controller);
        assertEquals(2, told.size());
        assertEquals(ContainerState.ACTIVE, container.state());
    }

    @Test
    @DisplayName("listeners of swaps run with no lock held: another thread gets its answers while one of them waits "
        + "for it")
    void listenersAsk() throws Exception {
        working();
        VfioContainer other = board.container("other", 2);
        second();
        List<String> answers = new ArrayList<>();
        vfio.addSwapListener(swap -> {
            FutureTask<String> asked = new FutureTask<>(
                () -> vfio.groups().size() + " groups, " + container.mappings().size() + " mappings");
            new Thread(asked).start();
            try {
                answers.add(asked.get(10, TimeUnit.SECONDS));
            } catch (Exception e) {
                answers.add(e.toString());
            }
        });
        String right = "2 groups, 2 mappings";
        container.as(Backends.class).swap("pamu");
        vfio.removeController(board.controller);
        vfio.addController(board.controller);
        assertEquals(List.of(right, right), answers);
        assertEquals(ContainerState.ACTIVE, other.state());
    }

    // interrupts

    @Test
    @DisplayName("P5: the controller is swapped: what was sent meanwhile is carried and counted, DMA is held back "
        + "only for moments")
    void controller() {
        working();
        vfio.removeController(board.controller);
        assertEquals(0, board.a.raise());
        assertEquals(0, board.a.raise());
        assertEquals(0, board.portA.write(0, 4, 1));
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x80);
        vfio.addController(next, "the next");
        assertEquals(1, eventFd.poll());
        Swap report = vfio.as(Swaps.class).latest().get(0);
        assertEquals(List.of(Swap.Backend.CONTROLLER, "interrupt controller", "the next", 1, 1, 2L),
            List.of(report.backend(), report.from(), report.to(), report.placements(), report.routes(),
                report.carried()));
        assertTrue(report.done(), report.failure());
    }

    @Test
    @DisplayName("P5: devices of two containers ring while the controller is swapped again and again: each ring "
        + "arrives, none twice")
    void ringing() throws Exception {
        working();
        VfioContainer two = board.container("two", 2);
        two.as(Msis.class).call("MAP", 0, BANK);
        LocalEventFd other = new LocalEventFd(0);
        vfio.group(2).device("0000:02:00.0").setIrqs(msi(other));
        int rounds = 300;
        FutureTask<Void> a = begin(() -> lockstep(board.a, eventFd, rounds));
        FutureTask<Void> c = begin(() -> lockstep(board.c, other, rounds));
        FutureTask<Void> user = begin(() -> {
            while (!a.isDone() || !c.isDone()) {
                // Each ends by letting devices through, but not those that are held back for a departure.
                poke(container);
                poke(two);
            }
        });
        FakeController next = new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x41);
        FakeController now = board.controller;
        while (!a.isDone() || !c.isDone()) {
            vfio.removeController(now);
            now = now == next ? board.controller : next;
            vfio.addController(now);
        }
        a.get();
        c.get();
        user.get();
        assertEquals(0, eventFd.count());
        assertEquals(0, other.count());
        assertEquals(0, vfio.faultCount());
    }

    private static void poke(VfioContainer container) {
        try {
            container.as(Msis.class).call("MAP", 2, BANK + 8 * MB);
            container.as(Msis.class).call("UNMAP", BANK + 8 * MB);
        } catch (ErrnoException e) {
            assertEquals(Errno.ENODEV, e.errno(), e.getMessage());
        }
    }

    private static void lockstep(FakeFunction device, EventFd eventFd, int rounds) {
        try {
            for (int round = 0; round < rounds; round++) {
                assertEquals(0, device.raise());
                assertEquals(1, eventFd.read(10, TimeUnit.SECONDS), device.name() + ", round " + round);
            }
        } catch (InterruptedException e) {
            throw new IllegalStateException(e);
        }
    }

    @Test
    @DisplayName("a strategy is swapped: a report, also when none takes over")
    void strategy() {
        working();
        vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        vfio.removeStrategy(board.auto);
        assertEquals(List.of("manual>auto true", "auto> false"), vfio.as(Swaps.class).latest().stream()
            .map(one -> one.from() + '>' + one.to() + ' ' + one.done()).toList());
        assertEquals(0, board.a.raise());
        assertEquals(0, eventFd.count());
        vfio.addStrategy(board.auto, 10);
        assertEquals(1, eventFd.poll());
        Swap last = vfio.as(Swaps.class).latest().get(2);
        assertEquals(List.of(Swap.Backend.STRATEGY, "auto", "auto", 1L),
            List.of(last.backend(), last.from(), last.to(), last.carried()));
    }

    @Test
    @DisplayName("a controller and a strategy are swapped while the IOMMU is away: both are reported when devices "
        + "are let through again")
    void whileAway() {
        working();
        vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        vfio.removeIommu(board.iommu);
        vfio.removeController(board.controller);
        vfio.addController(new FakeController(board.bus, board.trip, 0xe0000000L, 3, 4, 0x80), "the next");
        vfio.removeController(vfio.host().controller());
        vfio.addController(new FakeController(board.bus, board.trip, 0xd0000000L, 3, 4, 0x60), "the third");
        vfio.removeStrategy(board.auto);
        int before = vfio.as(Swaps.class).latest().size();
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu", "a new one", 0);
        assertEquals(List.of("IOMMU pamu>a new one", "CONTROLLER interrupt controller>the third", "STRATEGY auto>"),
            vfio.as(Swaps.class).latest().stream().skip(before)
                .map(one -> one.backend() + " " + one.from() + '>' + one.to()).toList());
        vfio.removeIommu(next);
        vfio.addIommu(next, "pamu", "a new one", 0);
        List<Swap> swaps = vfio.as(Swaps.class).latest();
        assertEquals(Swap.Backend.IOMMU, swaps.get(swaps.size() - 1).backend(), "reported once");
        assertEquals(before + 4, vfio.as(Swaps.class).latest().size());
    }

    @Test
    @DisplayName("a controller or strategy that could not be replaced: reported as what is there, or what was last; "
        + "not of who uses none")
    void notReplacedElse() {
        VfioContainer two = (VfioContainer) vfio.openContainer("two");
        container.as(Msis.class).call("MAP", 1, BANK);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.STRATEGY, Set.of(), "no zip");
        assertEquals("no zip", container.reason());
        vfio.as(Swaps.class).notReplaced(Swap.Backend.CONTROLLER, Set.of(), "no jar");
        assertEquals("no jar", container.reason(), "a bank is placed");
        container.as(Msis.class).call("UNMAP", BANK);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.CONTROLLER, Set.of(), "not for this one");
        assertEquals("no jar", container.reason());
        container.as(Msis.class).call("MAP", 1, BANK);
        vfio.removeController(board.controller);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.CONTROLLER, Set.of(), "broken");
        vfio.removeStrategy(board.manual);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.STRATEGY, Set.of(), "not for this one");
        assertEquals("", two.reason());
        assertEquals(
            List.of("STRATEGY manual>manual no zip", "CONTROLLER interrupt controller>interrupt controller no jar",
            "CONTROLLER interrupt controller> broken"),
            vfio.as(Swaps.class).latest().stream().map(one -> one.backend() + " " + one.from() + ">" + one.to()
                + " " + one.failure()).toList());
    }

    @Test
    @DisplayName("a strategy that could not be replaced and is gone: a container with interrupts reports it by its "
        + "name")
    void strategyNotReplaced() {
        working();
        vfio.removeStrategy(board.manual);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.STRATEGY, Set.of(), "broken");
        Swap last = vfio.as(Swaps.class).latest().get(vfio.as(Swaps.class).latest().size() - 1);
        assertEquals(List.of("manual", "", "broken"), List.of(last.from(), last.to(), last.failure()));
    }

    @Test
    @DisplayName("a backend that could not be replaced: whom it concerns gives the cause and reports it, works on, "
        + "and forgets it in time")
    void notReplaced() {
        working();
        VfioContainer two = board.container("two", 2);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.IOMMU, Set.of("type1"), "not of this kind");
        vfio.as(Swaps.class).notReplaced(Swap.Backend.CONTROLLER, Set.of(), "no zip");
        assertEquals("no zip", container.reason());
        assertEquals("", two.reason(), "it has no interrupts");
        vfio.as(Swaps.class).notReplaced(Swap.Backend.IOMMU, Set.of("pamu"), "no manifest");
        assertEquals("no manifest", container.reason());
        assertEquals("no manifest", two.reason());
        assertEquals(
            List.of("one CONTROLLER interrupt controller>interrupt controller no zip",
                "one IOMMU pamu>pamu no manifest",
            "two IOMMU pamu>pamu no manifest"),
            vfio.as(Swaps.class).latest().stream().map(one -> one.container() + " " + one.backend() + " " + one.from()
                + ">" + one.to() + " " + one.failure()).toList());
        assertEquals(0, board.portA.write(0, 4, 1));
        container.as(Backends.class).retry();
        assertEquals("", container.reason());
        vfio.removeIommu(board.iommu);
        vfio.as(Swaps.class).notReplaced(Swap.Backend.IOMMU, Set.of("pamu"), "both are broken");
        assertTrue(two.reason().startsWith("the provider of pamu is gone") && two.reason().endsWith("both are broken"),
            two.reason());
        assertEquals("", vfio.as(Swaps.class).latest().get(vfio.as(Swaps.class).latest().size() - 1).to());
        vfio.addIommu(board.iommu, "pamu");
        assertEquals("", two.reason());
        assertEquals("", container.reason());
    }
}
