// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;
import static vfio.container.HotSwapTest.await;
import static vfio.container.HotSwapTest.begin;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.parallel.Execution;
import org.junit.jupiter.api.parallel.ExecutionMode;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.container.host.ContainerLimits;
import vfio.container.irq.LocalEventFd;

/**
 * Providers that hang, or do not end well, while they are swapped; they are given a second and a half. A test mostly
 * waits for that, so that the tests run beside each other.
 */
@Timeout(60)
@Execution(ExecutionMode.CONCURRENT)
class HangTest {
    private static final long BANK = 0x1000_0000;

    private final Board board = Board.pamu(new ContainerLimits(65_535, ContainerLimits.UNLIMITED, true, Duration.ZERO,
        Duration.ofMillis(1_500)));
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final DmaBuffer memory = board.memory(8 * MB);
    private final LocalEventFd eventFd = new LocalEventFd(0);
    private Device device;

    private void working() {
        container.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        container.map(8 * MB, board.memory(0x1000), 0, 0x1000, Access.READ);
        container.as(Msis.class).call("MAP", 1, BANK);
        device = vfio.group(1).device("0000:01:00.0");
        device.setIrqs(msi(eventFd));
    }

    @Test
    @DisplayName("a newcomer that hangs is given up: ETIMEDOUT, back to the old one; what it does later is undone")
    void hangs() throws Exception {
        working();
        String before = board.iommu.state();
        FakeIommu second = board.newIommu();
        vfio.addIommu(second, "pamu", "the second", 0);
        CountDownLatch go = new CountDownLatch(1);
        board.trip.each = () -> {
            if (second.opened.size() == 1) {
                board.trip.each = () -> {
                };
                await(go, 5_000);
            }
        };
        refused(Errno.ETIMEDOUT, "provider.timeout", () -> container.as(Backends.class).swap("pamu"));
        assertEquals(before, board.iommu.state());
        assertEquals(ContainerState.ACTIVE, container.state());
        refused(Errno.EBUSY, container::close);
        refused(Errno.ETIMEDOUT, "has not returned", () -> container.as(Backends.class).swap("pamu"));
        go.countDown();
        while (!second.state().equals("0 open")) {
            Thread.sleep(1);
        }
        while (vfio.host().calls().hangs(second)) {
            Thread.sleep(1);
        }
        container.as(Backends.class).swap("pamu");
        assertEquals(before, second.state());
        container.close();
    }

    @Test
    @DisplayName("a provider that hangs in a user's call and leaves: devices are held back at once; when the call "
        + "returns, it is restored")
    void hangsInUsersCall() throws Exception {
        working();
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangsUntil(go);
        vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("a call into it has not returned"), container.reason());
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        assertEquals("0 open", next.state());
        go.countDown();
        user.get();
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(3, container.mappings().size(), "what the user was told is mapped, is");
        assertEquals("0 open", board.iommu.state());
        assertEquals(container.mappings().get(2).buffer().physical(0), container.lookup(16 * MB, Access.READ));
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("P4: an IOMMU that comes while other news keeps the container's lock for too long is not forgotten")
    void comesWhileBusy() throws Exception {
        working();
        vfio.removeIommu(board.iommu);
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            inside.countDown();
            await(go, 20_000);
        };
        // Who hears this news looks for more of it before it lets the lock go.
        FutureTask<Void> busy = begin(() -> container.strategies().gone(board.manual));
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        assertEquals(ContainerState.BLOCKED, container.state());
        go.countDown();
        busy.get();
        assertEquals(ContainerState.ACTIVE, container.state(), container.reason());
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("a domain that hangs when it is closed: the container is blocked by the gate, the next provider "
        + "restores it")
    void hangsLeaving() {
        working();
        CountDownLatch go = new CountDownLatch(1);
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            await(go, 20_000);
        };
        vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("did not close: ETIMEDOUT"), container.reason());
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        FakeIommu next = board.newIommu();
        board.acts(next);
        vfio.addIommu(next, "pamu");
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(0, board.portA.write(0, 4, 1));
        go.countDown();
    }

    @Test
    @DisplayName("P1: a domain that could not be closed may still translate: the memory stays held, the devices held "
        + "back, until it is")
    void unclosed() {
        working();
        container.addGroup(vfio.group(2));
        device.close();
        board.trip.each = () -> {
            throw new ErrnoException(Errno.EIO, "it does not close");
        };
        vfio.removeIommu(board.iommu);
        assertTrue(container.reason().contains("it does not close"), container.reason());
        long available = board.machine.memory().available();
        memory.close();
        refused(Errno.EBUSY, "cannot be closed", container::close);
        refused(Errno.EBUSY, "cannot be closed", () -> container.removeGroup(vfio.group(1)));
        assertEquals(List.of(vfio.group(1), vfio.group(2)), container.groups());
        assertEquals(available, board.machine.memory().available());
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        board.trip.each = () -> {
        };
        container.close();
        assertEquals("0 open", board.iommu.state());
        assertTrue(board.machine.memory().available() > available);
    }

    @Test
    @DisplayName("a domain that hangs when a swap closes it: BLOCKED, for it may be closed yet; when it has "
        + "returned, retry restores")
    void hangsInSwap() throws Exception {
        working();
        String before = board.iommu.state();
        CountDownLatch go = new CountDownLatch(1);
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            await(go, 20_000);
        };
        refused(Errno.ETIMEDOUT, "closing the domain", () -> container.as(Backends.class).swap("pamu"));
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("hangs while it closes its domain"), container.reason());
        assertEquals(Refusal.BLOCKED, board.portA.write(0, 4, 1));
        assertEquals(2, container.mappings().size());
        refused(Errno.EBUSY, container::close);
        go.countDown();
        while (vfio.host().calls().hangs(board.iommu)) {
            Thread.sleep(1);
        }
        container.as(Backends.class).retry();
        assertEquals(before, board.iommu.state());
        assertEquals(0, board.portA.write(0, 4, 1));
    }

    @Test
    @DisplayName("P5: a controller that comes while a provider hangs in a user's call is heard of when the call "
        + "returns")
    void comesMeanwhile() throws Exception {
        working();
        vfio.removeController(board.controller);
        assertEquals(0, board.a.raise());
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangsUntil(go);
        vfio.addController(board.controller);
        assertEquals(0, eventFd.count());
        go.countDown();
        user.get();
        assertEquals(1, eventFd.poll());
        assertEquals(0, board.a.raise());
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("P6: an Error out of news that is heard late does not keep the lock: others go on, and the reason "
        + "names it")
    void errorInLateNews() throws Exception {
        working();
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangsUntil(go);
        vfio.removeController(board.controller);
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            throw new NoClassDefFoundError("a class that is gone");
        };
        go.countDown();
        user.get();
        FutureTask<Void> other = begin(() -> container.mappings());
        other.get(20, TimeUnit.SECONDS);
        assertEquals(ContainerState.ACTIVE, container.state());
        vfio.addController(board.controller);
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @ParameterizedTest
    @ValueSource(strings = {"close", "swap", "retry", "plug", "unplug", "removeGroup"})
    @DisplayName("a provider hangs in a user's call, and another call waits for that container: nobody else waits")
    void hangsAlone(String what) throws Exception {
        working();
        VfioContainer other = board.container("other", 2);
        other.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangsUntil(go);
        FakeFunction late = board.function("0000:01:00.2", 0x13, 1);
        FutureTask<Void> waiting = new FutureTask<>(() -> {
            switch (what) {
                case "close" -> container.close();
                case "swap" -> container.as(Backends.class).swap("pamu");
                case "retry" -> container.as(Backends.class).retry();
                case "plug" -> vfio.addFunction(late);
                case "unplug" -> vfio.removeFunction(board.b);
                default -> refused(Errno.EBUSY, "is open", () -> container.removeGroup(vfio.group(1)));
            }
        }, null);
        Thread thread = new Thread(waiting);
        thread.setDaemon(true);
        thread.start();
        long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(10);
        while (thread.getState() != Thread.State.WAITING && System.nanoTime() < end) {
            Thread.sleep(1);
        }
        try {
            begin(() -> {
                assertEquals(2, vfio.groups().size());
                assertEquals(8 * MB, other.unmap(0, 8 * MB));
                other.close();
            }).get(8, TimeUnit.SECONDS);
            begin(() -> vfio.removeIommu(board.iommu)).get(12, TimeUnit.SECONDS);
            assertEquals(ContainerState.BLOCKED, container.state());
        } finally {
            go.countDown();
        }
        user.get(20, TimeUnit.SECONDS);
        try {
            waiting.get(20, TimeUnit.SECONDS);
        } catch (ExecutionException e) {
            // With its provider gone there is nothing to swap, nor to retry on.
            assertTrue(List.of("swap", "retry").contains(what) && e.getCause() instanceof ErrnoException, e.toString());
        }
        assertEquals(what.equals("close"), container.state() == ContainerState.CLOSED);
    }

    /** {@return a user's call, in which the provider hangs by now} */
    private FutureTask<Void> hangsUntil(CountDownLatch go) throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        board.trip.each = () -> {
            board.trip.each = () -> {
            };
            inside.countDown();
            await(go, 20_000);
        };
        FutureTask<Void> user = begin(() -> container.map(16 * MB, board.memory(0x1000), 0, 0x1000, Access.READ));
        inside.await();
        return user;
    }
}
