// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.util.List;
import machine.api.Access;
import machine.api.Errno;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.api.msi.strategy.MsiEnvironment;
import vfio.container.irq.LocalEventFd;

/**
 * {@link MsiEnvironment#move}: a bank's window moves under vectors that are enabled. a and b use bank 1, nobody the
 * others.
 */
@Timeout(30)
class BankMoveTest {
    private static final long FROM = 0x1000_0000;
    /** Both halves of the address differ. */
    private static final long TO = 0x2_2000_0000L;

    private final Board board = Board.type1();
    private final VfioContainer container = board.container();
    private final LocalEventFd heardA = new LocalEventFd(0);
    private final LocalEventFd heardB = new LocalEventFd(0);

    BankMoveTest() {
        container.map(0, board.memory(0x1000), 0, 0x1000, Access.READ_WRITE);
        container.as(Msis.class).call("MAP", 1, FROM);
        board.vfio.group(1).device(board.a.name()).setIrqs(msi(heardA));
        board.vfio.group(1).device(board.b.name()).setIrqs(msi(heardB));
    }

    private void isAt(long iova, long not) {
        assertEquals(List.of(new MsiPlacement(1, iova, 0x1000)), container.as(Msis.class).placements());
        assertEquals(Board.BANKS + 0x1000, container.lookup(iova, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(not, Access.WRITE));
        assertEquals(iova + 0x140, board.a.msiAddress());
        assertEquals(iova + 0x140, board.b.msiAddress());
        assertEquals(0, board.portA.write(0, 4, 1), "nobody is held back");
        board.a.raise();
        board.b.raise();
        assertEquals(1, heardA.poll());
        assertEquals(1, heardB.poll());
    }

    @Test
    @DisplayName("the window moves, and the devices' messages with it; the old window is closed; what passes passes "
        + "when it returns")
    void moves() {
        board.trip.each = () -> {
            if (board.b.msiAddress() == TO + 0x140 && container.lookup(FROM, Access.WRITE) == Refusal.UNMAPPED) {
                board.trip.each = () -> {
                };
                board.a.raise();
                assertEquals(1, heardA.poll(), "before the strategy's operation ends");
            }
        };
        container.as(Msis.class).call("MOVE", 1, TO);
        isAt(TO, FROM);
        assertEquals(0, board.vfio.faultCount());
    }

    @Test
    @DisplayName("P5: a message sent while its address is programmed in halves is kept, though it goes to neither "
        + "window, and arrives once")
    void halves() {
        board.a.beforeWrite = (offset, value) -> assertEquals(0, board.a.raise());
        container.as(Msis.class).call("MOVE", 1, TO);
        board.a.beforeWrite = (offset, value) -> {
        };
        assertEquals(1, heardA.poll());
        assertEquals(0, heardB.poll(), "it has sent nothing");
        assertEquals(0, board.vfio.faultCount());
        isAt(TO, FROM);
    }

    @Test
    @DisplayName("another bank's messages stay where they are")
    void others() {
        container.addGroup(board.vfio.group(2));
        container.as(Msis.class).call("MAP", 2, 0x3000_0000);
        container.as(Msis.class).call("MOVE", 2, 0x3000_1000);
        assertEquals(FROM + 0x140, board.a.msiAddress());
        assertEquals(List.of(new MsiPlacement(1, FROM, 0x1000), new MsiPlacement(2, 0x3000_1000, 0x1000)),
            container.as(Msis.class).placements());
    }

    @Test
    @DisplayName("P6: a bank that is not placed: ENOENT; a place that is mapped: EEXIST; nothing has changed")
    void refuses() {
        container.map(TO, board.memory(0x1000), 0, 0x1000, Access.READ);
        refused(Errno.ENOENT, "bank 2 is not placed", () -> container.as(Msis.class).call("MOVE", 2, TO + 0x1000));
        refused(Errno.EEXIST, "0x220000000", () -> container.as(Msis.class).call("MOVE", 1, TO));
        container.unmap(TO, 0x1000);
        isAt(FROM, TO);
    }

    @Test
    @DisplayName("P6: a device does not take its new message: all have their old ones, the new window is closed, "
        + "nobody is held back")
    void deviceGone() {
        board.b.gone = true;
        assertThrows(IllegalStateException.class, () -> container.as(Msis.class).call("MOVE", 1, TO));
        board.b.gone = false;
        assertEquals(FROM + 0x140, board.a.msiAddress());
        isAt(FROM, TO);
    }
}
