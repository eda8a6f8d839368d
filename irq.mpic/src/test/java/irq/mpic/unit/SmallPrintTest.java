// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.mpic.Board;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import machine.api.InterruptLine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * What few drivers use: equal priorities, activity bits, the second group of message registers, timers that start at 0.
 */
class SmallPrintTest {
    private static final int ACTIVITY = 1 << 30;
    private static final int MASKED = 1 << 31;
    private static final int VPR = 0x10000;

    private final Board board = new Board(2, Board.threeBanks()).enable();

    @Test
    @DisplayName("MPIC 3: of a source and an interrupt between cores of one priority the source comes first; a "
        + "higher one goes before it")
    void equalPriorities() {
        board.source(5, 6, 0x55);
        board.put(0x10a0, 6 << 16 | 0x66);
        InterruptLine line = board.line(5);
        line.set(true);
        board.put(0x20040, 1);
        assertEquals(0x55, board.acknowledge(0));
        board.end(0);
        assertEquals(0x66, board.acknowledge(0));
        board.end(0);
        board.put(0x10a0, 7 << 16 | 0x66);
        line.set(false);
        line.set(true);
        board.put(0x20040, 1);
        assertEquals(0x66, board.acknowledge(0));
        assertFalse(board.pin(1), "the other core was not meant");
    }

    @Test
    @DisplayName("MPIC 3: the activity bit of an interrupt between cores is set while it is requested or in service, "
        + "not while it is masked")
    void activity() {
        board.put(0x10b0, 5 << 16 | 0x77);
        assertEquals(0, board.get(0x10b0) & ACTIVITY);
        board.put(0x20050, 1);
        assertEquals(ACTIVITY, board.get(0x10b0) & ACTIVITY, "requested");
        assertEquals(0, board.get(0x10a0) & ACTIVITY, "and no other");
        assertEquals(0x77, board.acknowledge(0));
        assertEquals(ACTIVITY, board.get(0x10b0) & ACTIVITY, "in service");
        assertEquals(0, board.get(0x10a0) & ACTIVITY);
        board.end(0);
        assertEquals(0, board.get(0x10b0) & ACTIVITY);
        board.put(0x10b0, MASKED | 5 << 16 | 0x77);
        board.put(0x20050, 1);
        assertEquals(0, board.get(0x10b0) & ACTIVITY, "masked");
        board.put(0x10b0, 0);
        assertEquals(ACTIVITY, board.get(0x10b0) & ACTIVITY,
            "priority 0 never interrupts, and is requested all the same");
    }

    @Test
    @DisplayName("MPIC 4: a message register of either group is its own: what happens in one group lowers nothing in "
        + "the other")
    void messageGroups() {
        for (int group = 0; group < 2; group++) {
            board.put(group == 0 ? 0x1500 : 0x2500, 0xf);
            for (int i = 0; i < 4; i++) {
                board.source(0xb0 + 4 * group + i, 5, 0x100 + 4 * group + i);
            }
        }
        board.put(0x2400, 0xb0b);
        assertTrue(board.pin(0));
        board.put(0x1400, 0xa0a);
        assertEquals(0xa0a, board.get(0x1400));
        assertEquals(0x104, board.acknowledge(0), "the first of group B, after all that in group A");
        board.end(0);
        assertTrue(board.pin(0));
        assertEquals(0xb0b, board.get(0x2400));
        assertFalse(board.pin(0), "reading takes the interrupt back at once");
        board.put(0x2410, 1);
        board.put(0x1020, 0x80000000);
        board.enable().source(0xb5, 5, 0x105);
        assertFalse(board.pin(0), "reset has taken it back");
    }

    @Test
    @DisplayName("MPIC 4: starting a timer loads its count, 0 too; one that runs is not loaded again")
    void timers() {
        board.put(0x1110, 0x1234);
        assertEquals(0x1234, board.get(0x1100));
        board.put(0x1110, 0x99);
        assertEquals(0x1234, board.get(0x1100), "it runs");
        board.put(0x1110, 0x80000000);
        board.put(0x1110, 0);
        assertEquals(0, board.get(0x1100));
        board.put(0x1110, 7);
        assertEquals(0, board.get(0x1100), "a count base of 0 runs, too");
    }

    @Test
    @DisplayName("MPIC 1: the source behind the last one is not there, and a core behind the last one neither")
    void behindTheLast() {
        int sources = (board.get(0x1000) >>> 16) + 1;
        for (int offset : new int[] {VPR + 0x20 * sources, VPR + 0x20 * sources + 0x10, 0x22080, 0x220a0}) {
            board.put(offset, 0);
            assertEquals(-1, board.get(offset));
        }
        board.put(VPR + 0x20 * (sources - 1), 5 << 16);
        assertEquals(5 << 16, board.get(VPR + 0x20 * (sources - 1)) & 0xf << 16);
    }

    @Test
    @DisplayName("MPIC driver: an interrupt of a source that nobody has requested is counted, the first reported, "
        + "and the source masked again")
    void nobodyRequested() {
        Board one = Board.p4080();
        try (MpicDriver driver = new MpicDriver(one.machine, Board.PIC_NODE, MpicSettings.DEFAULTS, one.report)) {
            InterruptLine line = one.line(5);
            for (int i = 1; i <= 3; i++) {
                one.put(VPR + 0x20 * 5, 1 << 23 | 8 << 16 | 5);
                line.set(true);
                line.set(false);
                assertEquals(i, driver.unhandled());
                assertEquals(1, one.reports.size(), "more are only counted");
                assertTrue(one.reports.get(0).startsWith("source 0x5 of core 0"), one.reports.get(0));
                assertEquals(MASKED, one.get(VPR + 0x20 * 5) & MASKED);
            }
            assertEquals(0, driver.spurious());
        }
    }
}
