// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.container.irq.LocalEventFd;

/** Over a swap of the controller there may be fewer vectors than are in use: who waits for one, and who does not. */
@Timeout(30)
class WaitingVectorTest {
    private static final long IOVA = 0x1000_0000;

    private final Board board = Board.type1();
    private final VfioContainer one = board.container("one", 1);
    private final VfioContainer two = board.container("two", 2);
    private final Device a = board.vfio.group(1).device(board.a.name());
    private final Device b = board.vfio.group(1).device(board.b.name());
    private final Device c = board.vfio.group(2).device(board.c.name());
    private final LocalEventFd heardA = new LocalEventFd(0);
    private final LocalEventFd heardB = new LocalEventFd(0);
    private final LocalEventFd heardC = new LocalEventFd(0);
    /** Vectors of {@link #successor} that are others'. */
    private final List<MsiVector> taken = new ArrayList<>();

    WaitingVectorTest() {
        one.as(Msis.class).call("MAP", 0, IOVA);
        two.as(Msis.class).call("MAP", 0, IOVA);
    }

    /** Another controller, of one bank, takes over. */
    private FakeController successor(int vectors, int others) {
        FakeController next = new FakeController(board.bus, board.trip, 0xe000_0000L, 1, vectors, 0x80);
        for (int i = 0; i < others; i++) {
            taken.add(next.allocate(new MsiRequest(0x99, List.of(0), () -> {
            })));
        }
        next.tells = true;
        board.vfio.removeController(board.controller);
        board.vfio.addController(next);
        return next;
    }

    private static void waits(VfioContainer container, String device) {
        assertTrue(container.reason().contains("MSI of device " + device + " waits"), container.reason());
    }

    @Test
    @DisplayName("while one MSI waits for a vector, that of a device enabled meanwhile arrives, though it goes to "
        + "the same page")
    void newcomer() {
        a.setIrqs(msi(heardA));
        FakeController next = successor(2, 2);
        waits(one, board.a.name());
        board.a.raise();
        next.forget(taken.get(0));
        b.setIrqs(msi(heardB));
        waits(one, board.a.name());
        board.b.raise();
        assertEquals(1, heardB.poll());
        assertEquals(0, heardA.poll(), "it still waits");
    }

    @Test
    @DisplayName("enabling routes what waits, if there are vectors again that nobody has told of")
    void enablingLooksAgain() {
        a.setIrqs(msi(heardA));
        FakeController next = successor(2, 2);
        board.a.raise();
        taken.forEach(next::forget);
        b.setIrqs(msi(heardB));
        assertEquals("", one.reason());
        assertEquals(1, heardA.poll());
    }

    @Test
    @DisplayName("a vector that somebody else gives back goes to who waits, with what was kept")
    void givenBack() throws InterruptedException {
        a.setIrqs(msi(heardA));
        FakeController next = successor(1, 1);
        waits(one, board.a.name());
        board.a.raise();
        assertEquals(0, heardA.poll());
        next.release(taken.get(0));
        assertEquals(1, heardA.read(10, TimeUnit.SECONDS));
        assertEquals(List.of(0), one.as(Msis.class).routes().stream().map(MsiRoute::vector).toList());
        assertEquals("", one.reason());
        board.a.raise();
        assertEquals(1, heardA.poll());
    }

    @Test
    @DisplayName("a vector that one container does not need any more goes to another that waits")
    void otherContainer() throws InterruptedException {
        a.setIrqs(msi(heardA));
        c.setIrqs(msi(heardC));
        successor(1, 0);
        assertEquals("", one.reason());
        waits(two, board.c.name());
        board.c.raise();
        a.setIrqs(IrqSet.disable(Irq.MSI));
        assertEquals(1, heardC.read(10, TimeUnit.SECONDS));
        assertEquals("", two.reason());
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("what isolation kept from a vector gets one when the other container lets the bank go")
    @ValueSource(strings = {"policy", "placement", "close"})
    void isolation(String how) throws InterruptedException {
        a.setIrqs(msi(heardA));
        c.setIrqs(msi(heardC));
        one.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        successor(4, 0);
        waits(one, board.a.name());
        waits(two, board.c.name());
        board.a.raise();
        board.c.raise();
        switch (how) {
            case "policy" -> one.as(Msis.class).vectorPolicy(VectorPolicy.FIRST_FIT);
            case "placement" -> {
                c.setIrqs(IrqSet.disable(Irq.MSI));
                two.as(Msis.class).call("UNMAP", IOVA);
            }
            default -> two.close();
        }
        assertEquals(1, heardA.read(10, TimeUnit.SECONDS));
        assertEquals(how.equals("policy") ? 1 : 0, heardC.read(how.equals("policy") ? 10 : 0, TimeUnit.SECONDS));
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("a container that no strategy served is looked at again when an MSI is enabled, or a strategy's "
        + "operation called")
    @ValueSource(strings = {"enable", "operation"})
    void strategyLater(String how) {
        board.vfio.removeStrategy(board.manual);
        board.auto.feasible = false;
        board.vfio.addStrategy(board.auto, 10);
        refused(Errno.ENOTTY, "not today", () -> a.setIrqs(msi(heardA)));
        refused(Errno.ENOTTY, "not today", () -> one.as(Msis.class).call("MAP", 0, IOVA));
        // As when another container has let a bank go: nobody tells this one.
        board.auto.feasible = true;
        if (how.equals("operation")) {
            refused(Errno.ENOTTY, "no operation", () -> one.as(Msis.class).call("NO SUCH", 0));
        } else {
            a.setIrqs(msi(heardA));
            board.a.raise();
            assertEquals(1, heardA.poll());
        }
        assertEquals("auto", one.as(Msis.class).strategy().orElseThrow());
    }

    @Test
    @DisplayName("a vector that is given back while nobody waits, or inside a container's own call, disturbs nobody")
    void nobodyWaits() {
        board.controller.tells = true;
        a.setIrqs(msi(heardA));
        a.setIrqs(IrqSet.disable(Irq.MSI));
        a.setIrqs(msi(heardA));
        board.a.raise();
        assertEquals(1, heardA.poll());
        assertEquals(1, board.controller.used());
    }

    @Test
    @DisplayName("only the controller that acts is listened to, and none when all is over")
    void listeners() {
        FakeController next = successor(1, 0);
        assertEquals(0, board.controller.freeListeners());
        assertEquals(1, next.freeListeners());
        board.vfio.addController(board.controller);
        assertEquals(0, board.controller.freeListeners());
        board.vfio.removeController(next);
        assertEquals(1, board.controller.freeListeners());
        assertEquals(0, next.freeListeners());
        board.vfio.close();
        assertEquals(0, board.controller.freeListeners());
    }
}
