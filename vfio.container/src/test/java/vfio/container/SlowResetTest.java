// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.Errno;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.msi.Msis;
import vfio.container.irq.LocalEventFd;

/** A device model takes its time to reset: that is its user's, and nobody else's. */
@Timeout(60)
class SlowResetTest {
    private final Board board = Board.pamu();
    private final VfioService vfio = board.vfio;
    private final VfioContainer container = board.container();
    private final VfioContainer other = board.container("other", 2);
    private final Device device = vfio.group(1).device("0000:01:00.0");
    private final CountDownLatch inside = new CountDownLatch(1);
    private final CountDownLatch go = new CountDownLatch(1);

    @BeforeEach
    void slow() {
        container.map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        container.as(Msis.class).call("MAP", 1, 256 * MB);
        device.setIrqs(msi(new LocalEventFd(0)));
        board.a.inReset = () -> {
            inside.countDown();
            HotSwapTest.await(go, 30_000);
        };
    }

    @AfterEach
    void end() {
        go.countDown();
    }

    private FutureTask<Void> resetting(Runnable work) throws InterruptedException {
        FutureTask<Void> task = HotSwapTest.begin(work);
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        return task;
    }

    /** A backend is updated under it, and everybody else goes on. */
    private void nobodyElseNotices() throws Exception {
        FutureTask<Void> swap = HotSwapTest.begin(() -> {
            vfio.removeIommu(board.iommu);
            FakeIommu next = board.newIommu();
            board.acts(next);
            vfio.addIommu(next, board.kind);
            assertEquals(2, vfio.groups().size());
            other.map(0, board.memory(8 * MB), 0, 8 * MB, Access.READ_WRITE);
        });
        swap.get(10, TimeUnit.SECONDS);
        assertEquals(ContainerState.ACTIVE, other.state());
    }

    @Test
    @DisplayName("reset: a swap under it waits for nobody, and the device has its interrupt afterwards")
    void reset() throws Exception {
        FutureTask<Void> user = resetting(device::reset);
        nobodyElseNotices();
        assertEquals(ContainerState.ACTIVE, container.state());
        assertEquals(1, container.mappings().size());
        go.countDown();
        user.get(10, TimeUnit.SECONDS);
        assertTrue(board.a.msiEnabled());
        assertEquals(container.as(Msis.class).routes().get(0).address(), board.a.msiAddress());
    }

    @Test
    @DisplayName("close of a device: it is its user's no more at once, and can be opened again when it is reset")
    void closeDevice() throws Exception {
        FutureTask<Void> user = resetting(device::close);
        nobodyElseNotices();
        refused(Errno.ENODEV, device::reset);
        refused(Errno.EBUSY, () -> vfio.group(1).device("0000:01:00.0"));
        assertEquals(0, container.as(Msis.class).routes().size());
        go.countDown();
        user.get(10, TimeUnit.SECONDS);
        assertFalse(board.a.msiEnabled());
        board.a.inReset = () -> {
        };
        vfio.group(1).device("0000:01:00.0").close();
    }

    @Test
    @DisplayName("unplugging a device, closing its container: nobody else notices how long the device takes")
    void unplug() throws Exception {
        FutureTask<Void> user = resetting(() -> vfio.removeFunction(board.a));
        nobodyElseNotices();
        assertFalse(vfio.group(1).devices().contains("0000:01:00.0"));
        container.close();
        go.countDown();
        user.get(10, TimeUnit.SECONDS);
        assertEquals(2, board.a.resets);
    }

    @Test
    @DisplayName("close of a container: it is closed for everybody at once, its devices are reset when it returns")
    void closeContainer() throws Exception {
        FutureTask<Void> user = resetting(container::close);
        nobodyElseNotices();
        assertEquals(ContainerState.CLOSED, container.state());
        go.countDown();
        user.get(10, TimeUnit.SECONDS);
        assertEquals(2, board.a.resets);
    }

    @Test
    @DisplayName("opening a device: nobody else notices; if it was unplugged meanwhile it is not open: ENODEV")
    void open() throws Exception {
        go.countDown();
        device.close();
        CountDownLatch opening = new CountDownLatch(1);
        CountDownLatch later = new CountDownLatch(1);
        board.a.inReset = () -> {
            opening.countDown();
            HotSwapTest.await(later, 30_000);
        };
        FutureTask<Void> user = HotSwapTest.begin(() -> refused(Errno.ENODEV, "while it was opened",
            () -> vfio.group(1).device("0000:01:00.0")));
        assertTrue(opening.await(10, TimeUnit.SECONDS));
        nobodyElseNotices();
        refused(Errno.EBUSY, () -> vfio.group(1).device("0000:01:00.0"));
        vfio.removeFunction(board.a);
        later.countDown();
        user.get(10, TimeUnit.SECONDS);
    }
}
