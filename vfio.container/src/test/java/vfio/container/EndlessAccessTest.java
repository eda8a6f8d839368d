// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.refused;

import java.time.Duration;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.Errno;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.ContainerState;
import vfio.api.Mapping;

/** An access of one container's device does not end, because somebody who is called inside it does not return. */
@Timeout(60)
class EndlessAccessTest {
    private final CountDownLatch inside = new CountDownLatch(1);
    private final CountDownLatch go = new CountDownLatch(1);
    private Board board;
    private VfioContainer container;
    private VfioContainer other;
    private Thread device;

    private void endless(boolean windowed) throws InterruptedException {
        board = Board.impatient(windowed, Duration.ofMillis(200));
        container = board.container();
        other = board.container("other", 2);
        DmaBuffer memory = board.memory(8 * MB);
        for (VfioContainer one : List.of(container, other)) {
            one.map(0, memory, 0, 8 * MB, Access.READ_WRITE);
            one.map(8 * MB, memory, 0, 8 * MB, Access.READ);
        }
        board.inFault = () -> {
            inside.countDown();
            HotSwapTest.await(go, 30_000);
        };
        device = new Thread(() -> board.portA.write(256 * MB, 4, 1));
        device.start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
    }

    @AfterEach
    void end() throws InterruptedException {
        go.countDown();
        device.join();
    }

    @ParameterizedTest(name = "windowed: {0}")
    @ValueSource(booleans = {true, false})
    @DisplayName("P3: unmap says ETIMEDOUT and which device, and all of it stays mapped; another container does not "
        + "notice")
    void unmap(boolean windowed) throws InterruptedException {
        endless(windowed);
        List<Mapping> before = container.mappings();
        long first = container.lookup(0, Access.WRITE);
        refused(Errno.ETIMEDOUT, "requester 0x11", () -> container.unmap(0, 16 * MB));
        assertEquals(before, container.mappings());
        assertEquals(first, container.lookup(0, Access.WRITE));
        assertEquals(first, container.lookup(8 * MB, Access.READ));
        refused(Errno.ETIMEDOUT, "requester 0x11", () -> container.unmap(8 * MB, 8 * MB));
        assertEquals(before, container.mappings());
        assertEquals(first, container.lookup(8 * MB, Access.READ));
        assertEquals(8 * MB, other.unmap(0, 8 * MB));
        assertEquals(2, board.vfio.groups().size());
        other.close();
        go.countDown();
        device.join();
        assertEquals(16 * MB, container.unmap(0, 16 * MB));
        assertEquals(List.of(), container.mappings());
    }

    @ParameterizedTest(name = "windowed: {0}")
    @ValueSource(booleans = {true, false})
    @DisplayName("P2: the provider leaves and another comes: the other container works again, and so does this one")
    void swapped(boolean windowed) throws InterruptedException {
        endless(windowed);
        board.vfio.removeIommu(board.iommu);
        assertEquals(ContainerState.BLOCKED, container.state());
        assertTrue(container.reason().contains("requester 0x11"), container.reason());
        assertEquals(ContainerState.BLOCKED, other.state());
        FakeIommu next = board.newIommu();
        board.acts(next);
        board.vfio.addIommu(next, board.kind);
        assertEquals(ContainerState.ACTIVE, other.state());
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(Bus.OK, board.portA.write(0, 4, 1));
    }
}
