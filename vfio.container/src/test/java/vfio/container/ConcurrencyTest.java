// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.msi.Msis;
import vfio.container.irq.LocalEventFd;

@Timeout(120)
class ConcurrencyTest {
    private final ExecutorService threads = Executors.newCachedThreadPool();
    private final AtomicBoolean over = new AtomicBoolean();
    private final List<Future<Void>> running = new ArrayList<>();

    @AfterEach
    void stop() {
        over.set(true);
        threads.shutdownNow();
    }

    private interface Work {
        void once() throws Exception;
    }

    private void repeat(Work work) {
        running.add(threads.submit((Callable<Void>) () -> {
            while (!over.get()) {
                work.once();
            }
            return null;
        }));
    }

    private void finish() throws Exception {
        over.set(true);
        for (Future<Void> work : running) {
            work.get(20, TimeUnit.SECONDS);
        }
    }

    @Test
    @DisplayName("map and unmap while provider, controller, strategy, a device come and go: success or EAGAIN, never "
        + "half, no deadlock")
    void comings() throws Exception {
        Board board = Board.type1();
        VfioContainer container = board.container();
        DmaBuffer memory = board.memory(0x10000);
        long available = board.machine.memory().available();
        container.as(Msis.class).call("MAP", 0, 0x1000_0000);
        LocalEventFd eventFd = new LocalEventFd(0);
        AtomicInteger done = new AtomicInteger();
        for (int i = 0; i < 3; i++) {
            long iova = (1 + i) * MB;
            AtomicBoolean mapped = new AtomicBoolean();
            repeat(() -> {
                try {
                    if (mapped.get()) {
                        assertEquals(0x2000, container.unmap(iova, 0x2000));
                        mapped.set(false);
                    } else {
                        container.map(iova, memory, 0, 0x2000, Access.READ_WRITE);
                        mapped.set(true);
                    }
                    done.incrementAndGet();
                } catch (ErrnoException e) {
                    assertEquals(Errno.EAGAIN, e.errno(), e.getMessage());
                }
                assertEquals(mapped.get(), container.mappings().stream().anyMatch(mapping -> mapping.iova() == iova));
            });
        }
        repeat(() -> {
            try (Device device = board.vfio.group(1).device("0000:01:00.0")) {
                device.setIrqs(msi(eventFd));
                board.a.raise();
                device.setIrqs(IrqSet.disable(Irq.MSI));
            } catch (ErrnoException e) {
                // Whatever is away at the moment: provider, controller, strategy.
                assertTrue(List.of(Errno.EAGAIN, Errno.ENODEV, Errno.ENOTTY).contains(e.errno()), e.getMessage());
            }
        });
        FakeFunction late = board.function("0000:01:00.7", 0x17, 1);
        for (int round = 0; round < 300; round++) {
            board.vfio.removeIommu(board.iommu);
            board.vfio.addFunction(late);
            board.vfio.addIommu(board.iommu, "type1");
            board.vfio.removeController(board.controller);
            board.vfio.removeFunction(late);
            board.vfio.addController(board.controller);
            board.vfio.removeStrategy(board.manual);
            board.vfio.addStrategy(board.manual, 0);
            try {
                container.as(Msis.class).call("MAP", 0, 0x1000_0000);
            } catch (ErrnoException e) {
                assertEquals(Errno.EEXIST, e.errno(), e.getMessage());
            }
        }
        finish();
        assertTrue(done.get() > 0);
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(0, board.controller.used());
        memory.close();
        container.close();
        assertEquals(available + 0x10000, board.machine.memory().available());
        assertEquals("0 open", board.iommu.state());
    }

    @Test
    @DisplayName("P5: of MSIs sent while the provider comes and goes, the last is never lost")
    void lastMessage() throws Exception {
        Board board = Board.type1();
        VfioContainer container = board.container();
        container.as(Msis.class).call("MAP", 0, 0x1000_0000);
        LocalEventFd eventFd = new LocalEventFd(0);
        board.vfio.group(1).device("0000:01:00.0").setIrqs(msi(eventFd));
        AtomicInteger lost = new AtomicInteger();
        repeat(() -> {
            board.a.raise();
            if (eventFd.read(5, TimeUnit.SECONDS) == 0) {
                lost.incrementAndGet();
            }
        });
        for (int round = 0; round < 500; round++) {
            board.vfio.removeIommu(board.iommu);
            board.vfio.addIommu(board.iommu, "type1");
        }
        finish();
        assertEquals(0, lost.get());
    }
}
