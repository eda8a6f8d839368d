// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.util.List;
import machine.api.Errno;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.EventFd;
import vfio.api.MsiRoute;
import vfio.api.VectorPolicy;

@Timeout(30)
class VectorPolicyTest {
    private final Board board = Board.pamu();
    private final VfioContainer one = board.container("one", 1);
    private final VfioContainer two = board.container("two", 2);

    @BeforeEach
    void auto() {
        board.vfio.addStrategy(board.auto, 10);
        one.msiStrategy("auto");
        two.msiStrategy("auto");
    }

    private void enable(FakeFunction function) {
        board.vfio.groupOf(function.name()).device(function.name()).setIrqs(msi(new EventFd(0)));
    }

    private static List<Integer> banks(VfioContainer container) {
        return container.msiRoutes().stream().map(MsiRoute::bank).toList();
    }

    @Test
    @DisplayName("FIRST_FIT shares the first bank with a free vector")
    void firstFit() {
        enable(board.a);
        enable(board.b);
        enable(board.c);
        assertEquals(List.of(0, 0), banks(one));
        assertEquals(List.of(0), banks(two));
    }

    @Test
    @DisplayName("SPREAD takes each vector from the next bank; PACKED from one in use")
    void spreadAndPacked() {
        one.vectorPolicy(VectorPolicy.SPREAD);
        enable(board.a);
        enable(board.b);
        assertEquals(List.of(0, 1), banks(one));
        two.vectorPolicy(VectorPolicy.PACKED);
        enable(board.c);
        FakeFunction late = board.function("0000:02:00.1", 0x22, 2);
        board.vfio.addFunction(late);
        enable(late);
        assertEquals(List.of(0, 0), banks(two));
        assertEquals(VectorPolicy.PACKED, two.vectorPolicy());
    }

    @Test
    @DisplayName("P7: ISOLATED: a bank of its own, whoever came first; the other cannot take it nor place it later")
    void isolated() {
        one.vectorPolicy(VectorPolicy.ISOLATED);
        enable(board.a);
        enable(board.c);
        assertEquals(List.of(0), banks(one));
        assertEquals(List.of(1), banks(two));
        enable(board.b);
        assertEquals(List.of(0, 0), banks(one));
        refused(Errno.EBUSY, "isolation", () -> two.msi("MAP", 0, 0x1000_0000));
        refused(Errno.EBUSY, "isolation", () -> one.msi("MAP", 1, 0x1000_0000));
    }

    @Test
    @DisplayName("P7: ISOLATED: a bank that another container merely has placed is not its own: its devices could ring it")
    void placedElsewhere() {
        one.vectorPolicy(VectorPolicy.ISOLATED);
        two.msi("MAP", 0, 0x1000_0000);
        two.msi("MAP", 1, 0x1080_0000);
        enable(board.a);
        assertEquals(List.of(2), banks(one));
    }

    @Test
    @DisplayName("ISOLATED: no bank is left: ENODEV from the strategy or ENOSPC; where doorbells verify their source it may be shared")
    void noneLeft() {
        one.vectorPolicy(VectorPolicy.ISOLATED);
        for (int bank = 0; bank < 3; bank++) {
            two.msi("MAP", bank, 0x1000_0000L + bank * 0x80_0000L);
        }
        refused(Errno.ENODEV, () -> enable(board.a));
        board.controller.verifies = true;
        enable(board.b);
        assertEquals(List.of(0), banks(one));
    }
}
