// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.mpic.Board;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Holds;
import machine.fixture.TestFramework;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The hardware as a bundle brings it. */
class MpicUnitComponentTest {
    private static final int BRR1 = 0x0;

    private final Board board = new Board(1, Board.threeBanks());
    private final TestFramework framework = new TestFramework();
    private final MpicUnitComponent component = new MpicUnitComponent(board.machine, Board.PIC_NODE, framework.log);

    MpicUnitComponentTest() {
        board.attachment.close();
    }

    @Test
    @DisplayName("MPIC: the unit is built as configured and is in its node until the component leaves; its pins are "
        + "low then")
    void plugged() {
        component.activate(framework.context, Map.of("version", 0x401));
        assertTrue(board.machine.ready(Board.PIC_NODE));
        assertEquals(Optional.of(TestFramework.HOLDER), board.machine.holds().holder(Holds.Role.UNIT, Board.PIC_NODE));
        assertEquals(0x00400401, board.get(BRR1));
        board.enable().source(5, 8, 5);
        board.line(5).set(true);
        assertTrue(board.pin(0));
        component.close();
        assertFalse(board.pin(0));
        assertFalse(board.machine.ready(Board.PIC_NODE));
        assertEquals(-1, board.get(BRR1));
        assertEquals(Optional.empty(), board.machine.holds().holder(Holds.Role.UNIT, Board.PIC_NODE));
    }

    @Test
    @DisplayName("MPIC: another version leaves the unit as it is, and says so; the same one says nothing, an illegal "
        + "one is one line")
    void modified() {
        component.activate(framework.context, Map.of());
        assertEquals(0x00400402, board.get(BRR1), "the one that fits three banks");
        component.modified(Map.of("version", 0));
        assertEquals(List.of(), framework.lines);
        component.modified(Map.of("version", 0x10000));
        assertEquals(List.of("error: irq.mpic.unit: version=65536 is refused, legal is 0..65535; 0 stays"),
            framework.lines);
        component.modified(Map.of("version", 0x403));
        assertEquals(
            "warn: the new configuration is for a unit that is plugged in from now on; restart this bundle to plug "
                + "it in anew",
            framework.lines.get(1));
        assertEquals(0x00400402, board.get(BRR1));
        component.close();
    }

    @Test
    @DisplayName("MPIC: while another bundle's unit is in the node this one stands by, and then plugs in its own")
    void standsBy() {
        TestFramework later = new TestFramework();
        MpicUnitComponent second = new MpicUnitComponent(board.machine, Board.PIC_NODE, later.log);
        component.activate(framework.context, Map.of());
        second.activate(later.context, Map.of("version", 0x401));
        assertEquals(0x00400402, board.get(BRR1));
        component.close();
        assertEquals(0x00400401, board.get(BRR1));
        second.close();
        assertFalse(board.machine.ready(Board.PIC_NODE));
    }
}
