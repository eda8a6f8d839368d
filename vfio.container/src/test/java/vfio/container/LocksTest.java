// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertDoesNotThrow;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;

import iommu.api.Enable;
import java.time.Duration;
import java.util.Set;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.function.Executable;
import vfio.api.Device;
import vfio.api.DmaFlags;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;
import vfio.container.irq.LocalEventFd;

/** Who returns from a call, well or with an error, holds no lock: another thread gets each of them. */
@Timeout(60)
class LocksTest {
    private static final long BANK = 0x1000_0000;

    private final Board board = Board.type1();
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final ExecutorService other = Executors.newSingleThreadExecutor(work -> {
        Thread thread = new Thread(work);
        thread.setDaemon(true);
        return thread;
    });

    @AfterEach
    void end() {
        other.shutdownNow();
    }

    private void free(String after) {
        assertDoesNotThrow(() -> other.submit(container::mappings).get(5, TimeUnit.SECONDS),
            "the container's lock after " + after);
        assertDoesNotThrow(() -> other.submit(vfio::groups).get(5, TimeUnit.SECONDS),
            "the topology's lock after " + after);
    }

    private void frees(String what, Executable call) throws Throwable {
        call.execute();
        free(what);
    }

    private void freesThrowing(String what, Executable call) {
        assertThrows(RuntimeException.class, call, what);
        free(what + " that throws");
    }

    @Test
    @DisplayName("a container's calls: none keeps a lock, whatever becomes of it")
    void container() throws Throwable {
        DmaBuffer memory = board.memory(0x2000);
        frees("checkExtension", () -> container.checkExtension(VfioContainer.UNMAP_ALL));
        frees("addGroup", () -> container.addGroup(vfio.group(2)));
        freesThrowing("addGroup", () -> container.addGroup(vfio.group(2)));
        frees("removeGroup", () -> container.removeGroup(vfio.group(2)));
        freesThrowing("removeGroup", () -> container.removeGroup(vfio.group(2)));
        freesThrowing("setIommu", () -> container.setIommu("type1"));
        frees("info", container::info);
        frees("set", () -> container.set(new Enable(true)));
        frees("get", () -> container.get(Enable.class));
        frees("map", () -> container.map(0, memory, 0, 0x2000, Access.READ_WRITE));
        freesThrowing("map", () -> container.map(0, memory, 0, 0x2000, Access.READ_WRITE));
        frees("unmap", () -> container.unmap(0x4000, 0x1000));
        freesThrowing("unmap", () -> container.unmap(1, 0x1000));
        freesThrowing("dirtyPages", () -> container.dirtyPages(DmaFlags.DIRTY_START, 0, 0, null));
        frees("mappings", container::mappings);
        frees("reserved", container::reserved);
        frees("msi", () -> container.as(Msis.class).call("MAP", 1, BANK));
        freesThrowing("msi", () -> container.as(Msis.class).call("RING"));
        frees("msiStrategy", container.as(Msis.class)::strategy);
        frees("msiPlacements", container.as(Msis.class)::placements);
        frees("msiRoutes", container.as(Msis.class)::routes);
        frees("vectorPolicy", () -> container.as(Msis.class).vectorPolicy(VectorPolicy.PACKED));
        frees("lookup", () -> container.lookup(0, Access.READ));
        frees("msiStrategy", () -> container.as(Msis.class).strategy("manual"));
        freesThrowing("msiStrategy", () -> container.as(Msis.class).strategy("no such"));
        frees("explainMsi", container.as(Msis.class)::explain);
        frees("stallBound", () -> container.as(Backends.class).stallBound(Duration.ZERO));
        frees("swap", () -> container.as(Backends.class).swap("type1"));
        freesThrowing("swap", () -> container.as(Backends.class).swap("no such"));
        frees("retry", container.as(Backends.class)::retry);
        vfio.removeIommu(board.iommu);
        freesThrowing("retry", container.as(Backends.class)::retry);
        frees("close", container::close);
        frees("close once more", container::close);
        freesThrowing("retry", container.as(Backends.class)::retry);
    }

    @Test
    @DisplayName("a group's and a device's calls: none keeps a lock, whatever becomes of it")
    void device() throws Throwable {
        container.as(Msis.class).call("MAP", 1, BANK);
        freesThrowing("device", () -> vfio.group(1).device("no such"));
        Device device = vfio.group(1).device("0000:01:00.0");
        free("device");
        frees("setIrqs", () -> device.setIrqs(msi(new LocalEventFd(0))));
        freesThrowing("setIrqs", () -> device.setIrqs(msi(new LocalEventFd(0), new LocalEventFd(0))));
        frees("reset", device::reset);
        LocalEventFd request = new LocalEventFd(0);
        device.setIrqs(IrqSet.eventFds(Irq.REQ, 0, request));
        frees("removeFunction", () -> vfio.removeFunction(board.a));
        frees("close", device::close);
        freesThrowing("reset", device::reset);
        Device second = vfio.group(1).device("0000:01:00.1");
        frees("close", second::close);
    }

    @Test
    @DisplayName("the service's calls: none keeps a lock, whatever becomes of it")
    void service() throws Throwable {
        container.map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        container.as(Msis.class).call("MAP", 1, BANK);
        vfio.group(1).device("0000:01:00.0").setIrqs(msi(new LocalEventFd(0)));
        FakeIommu second = board.newIommu();
        frees("addIommu", () -> vfio.addIommu(second, "type1", "the second", 0));
        frees("rankIommu", () -> vfio.rankIommu(second, 7));
        frees("removeIommu", () -> vfio.removeIommu(board.iommu));
        frees("removeIommu", () -> vfio.removeIommu(second));
        frees("addIommu", () -> vfio.addIommu(board.iommu, "type1"));
        frees("removeController", () -> vfio.removeController(board.controller));
        frees("addController", () -> vfio.addController(board.controller));
        frees("removeStrategy", () -> vfio.removeStrategy(board.manual));
        frees("addStrategy", () -> vfio.addStrategy(board.manual, 0));
        frees("addStrategy", () -> vfio.addStrategy(board.manual, 0));
        FakeFunction late = board.function("0000:01:00.2", 0x13, 1);
        frees("addFunction", () -> vfio.addFunction(late));
        freesThrowing("addFunction", () -> vfio.addFunction(late));
        frees("removeFunction", () -> vfio.removeFunction(late));
        frees("removeFunction", () -> vfio.removeFunction(board.function("0000:09:00.0", 0x99, 9)));
        freesThrowing("group", () -> vfio.group(9));
        frees("groupOf", () -> vfio.groupOf("0000:01:00.0"));
        frees("openContainer", () -> vfio.openContainer("two"));
        freesThrowing("openContainer", () -> vfio.openContainer("two"));
        frees("notReplaced",
            () -> vfio.as(Swaps.class).notReplaced(Swap.Backend.IOMMU, Set.of("type1"), "no manifest"));
        frees("catchUp", () -> vfio.host().catchUp(container));
        frees("vectorFree", () -> assertTrue(container.controllers().vectorFree()));
        frees("close", vfio::close);
    }
}
