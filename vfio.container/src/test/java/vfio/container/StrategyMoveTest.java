// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.util.List;
import java.util.Optional;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;
import vfio.container.irq.LocalEventFd;

/** A container goes from one MSI strategy to another: a and b have vectors of bank 1, which the user has placed. */
@Timeout(30)
class StrategyMoveTest {
    private static final long PLACED = 0x1000_0000;
    private static final long AUTO = 0x0880_0000;

    private final Board board = Board.type1();
    private final VfioContainer container = board.container();
    private final LocalEventFd heardA = new LocalEventFd(0);
    private final LocalEventFd heardB = new LocalEventFd(0);

    @BeforeEach
    void manual() {
        container.as(Msis.class).strategy("manual");
        board.vfio.addStrategy(board.auto, -1);
        container.map(0, board.memory(0x1000), 0, 0x1000, Access.READ_WRITE);
        container.as(Msis.class).call("MAP", 1, PLACED);
    }

    private void enable() {
        board.vfio.group(1).device(board.a.name()).setIrqs(msi(heardA));
        board.vfio.group(1).device(board.b.name()).setIrqs(msi(heardB));
    }

    /** Everything is as before the move that failed. */
    private void isBack() {
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        assertEquals(List.of(new MsiPlacement(1, PLACED, 0x1000)), container.as(Msis.class).placements());
        assertEquals(Board.BANKS + 0x1000, container.lookup(PLACED, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(AUTO, Access.WRITE));
        assertEquals(PLACED + 0x140, board.a.msiAddress());
        assertEquals(PLACED + 0x140, board.b.msiAddress());
        rings();
        assertEquals(7, container.as(Msis.class).call("MAP", 2, 0x2000_0000), "the session before goes on");
        assertEquals(7, container.as(Msis.class).call("UNMAP", 0x2000_0000));
    }

    private void rings() {
        assertEquals(0, board.portA.write(0, 4, 1), "nobody is held back");
        board.a.raise();
        board.b.raise();
        assertEquals(1, heardA.poll());
        assertEquals(1, heardB.poll());
        assertEquals(0, board.vfio.faultCount());
    }

    @Test
    @DisplayName("P5: the newcomer places the banks anew, devices get new messages; what they send meanwhile, "
        + "by either "
        + "message, arrives once")
    void movesVectors() {
        enable();
        board.trip.each = () -> {
            // Old windows are closed by now, and the new ones are not open before every device has its message.
            if (board.auto.enabled == 1) {
                assertEquals(Refusal.UNMAPPED, container.lookup(PLACED, Access.WRITE));
                assertEquals(Refusal.UNMAPPED, container.lookup(AUTO, Access.WRITE));
                assertEquals(0, board.b.raise());
            }
        };
        container.as(Msis.class).strategy("auto");
        board.trip.each = () -> {
        };
        assertEquals(1, heardB.poll());
        assertEquals(0, heardA.poll(), "it has sent nothing");
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(List.of(new MsiPlacement(1, AUTO, 0x1000)), container.as(Msis.class).placements());
        assertEquals(Board.BANKS + 0x1000, container.lookup(AUTO, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(PLACED, Access.WRITE));
        assertEquals(AUTO, board.a.msiAddress() & ~0xfffL);
        rings();
    }

    @Test
    @DisplayName("a newcomer that takes over the banks where they are leaves windows and messages alone")
    void adopts() {
        enable();
        board.auto.adopts = true;
        board.trip.each = () -> {
            if (board.auto.enabled == 1) {
                assertEquals(0, board.a.raise());
                assertEquals(1, heardA.poll(), "it is not held back");
            }
        };
        container.as(Msis.class).strategy("auto");
        board.trip.each = () -> {
        };
        assertEquals(2, board.auto.enabled);
        assertEquals(List.of(new MsiPlacement(1, PLACED, 0x1000)), container.as(Msis.class).placements());
        assertEquals(PLACED + 0x140, board.a.msiAddress());
        rings();
    }

    @Test
    @DisplayName("without a vector: what the strategy before has placed goes; the newcomer need not reach anything")
    void nothingEnabled() {
        container.as(Msis.class).strategy("auto");
        assertEquals(List.of(), container.as(Msis.class).placements());
        assertEquals(Refusal.UNMAPPED, container.lookup(PLACED, Access.WRITE));
        container.as(Msis.class).strategy("manual");
        assertEquals(Optional.of("manual"), container.as(Msis.class).strategy());
        container.as(Msis.class).call("MAP", 1, PLACED);
        enable();
        rings();
    }

    @Test
    @DisplayName("P6: EBUSY with the newcomer's own words if it reaches no bank and vectors are enabled; all "
        + "is as before")
    void reachesNothing() {
        enable();
        container.as(Msis.class).strategy("auto");
        long address = board.a.msiAddress();
        refused(Errno.EBUSY, "no bank is mapped; call MAP first", () -> container.as(Msis.class).strategy("manual"));
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertEquals(List.of(new MsiPlacement(1, AUTO, 0x1000)), container.as(Msis.class).placements());
        assertEquals(address, board.a.msiAddress());
        rings();
    }

    @Test
    @DisplayName("P6: the newcomer fails at the second vector: EBUSY says how many are enabled; the first "
        + "one's bank is "
        + "given back to it, and all is as before")
    void secondFails() {
        enable();
        board.trip.each = () -> {
            if (board.auto.enabled == 1) {
                board.trip.each = () -> {
                };
                board.trip.at("enable", false);
            }
        };
        ErrnoException e = refused(Errno.EBUSY, "2 vectors enabled", () -> container.as(Msis.class).strategy("auto"));
        assertTrue(e.getMessage().contains("enable fails"), e.getMessage());
        assertEquals(0, board.auto.enabled, "it is told that its bank is not in use");
        isBack();
    }

    @Test
    @DisplayName("P6: new windows cannot be opened: EBUSY, old windows are open again and devices have their "
        + "old messages")
    void windowFails() {
        enable();
        board.trip.at("mapDoorbell", false);
        refused(Errno.EBUSY, "mapDoorbell fails", () -> container.as(Msis.class).strategy("auto"));
        isBack();
    }

    @Test
    @DisplayName("P6: without a vector the newcomer's own error is passed on; what was placed is placed")
    void failsEarly() {
        board.trip.at("adopt", false);
        refused(Errno.EIO, "adopt fails", () -> container.as(Msis.class).strategy("auto"));
        assertEquals(List.of(new MsiPlacement(1, PLACED, 0x1000)), container.as(Msis.class).placements());
        enable();
        isBack();
    }

    @Test
    @DisplayName("P6: what fails on the way back is kept with the cause, and the rest of the way is gone")
    void failsTwice() {
        enable();
        board.trip.each = () -> {
            if (board.auto.enabled == 1) {
                board.trip.each = () -> {
                };
                board.trip.at("mapDoorbell", false);
                board.auto.closing = () -> {
                    throw new IllegalStateException("cannot end");
                };
            }
        };
        ErrnoException e = refused(Errno.EBUSY, "mapDoorbell fails", () -> container.as(Msis.class).strategy("auto"));
        assertEquals("cannot end", e.getCause().getSuppressed()[0].getMessage());
        isBack();
    }

    @Test
    @DisplayName("a strategy that does not end well is left all the same, and the container's reason says so")
    void endsBadly() {
        enable();
        board.trip.at("session close", false);
        container.as(Msis.class).strategy("auto");
        assertEquals(Optional.of("auto"), container.as(Msis.class).strategy());
        assertTrue(container.reason().contains("MSI strategy manual did not end well: EIO: session close fails"),
            container.reason());
        rings();
    }
}
