// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.mpic.Board;
import irq.mpic.MsiLayout;
import java.util.List;
import machine.api.ErrnoException;
import machine.api.InterruptLine;
import machine.api.Node;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The registers, literally. No driver: nothing stands behind the pins. */
@Timeout(30)
class MpicTest {
    private static final int SPURIOUS = 0xffff;

    private final Board board = new Board(2, Board.threeBanks()).enable();

    @Test
    @DisplayName("MPIC 1: BRR1, FRR, VIR and WHOAMI say which MPIC it is, by what the machine describes")
    void identity() {
        assertEquals(0x00400402, board.get(0x0000));
        assertEquals(0x00f70102, board.get(0x1000));
        assertEquals(0, board.get(0x1080));
        assertEquals(0, board.get(0x20090));
        assertEquals(1, board.get(0x21090));
        Board four = new Board(24, Board.fourBanks());
        assertEquals(0x00400403, four.get(0x0000));
        assertEquals(0x011f1702, four.get(0x1000));
        Board more = new Board(1,
            List.of(Board.threeBanks().get(0), Board.bank("x", 0x1000, 0x2000, List.of(Board.wire(400, 2)))));
        assertEquals(400, more.get(0x1000) >>> 16);
    }

    @Test
    @DisplayName("MPIC 1: what is not there reads as all ones and ignores writes, accesses that are not 4 bytes as "
        + "well")
    void nothingThere() {
        for (int offset : new int[] {0x4, 0x1004, 0x1050, 0x3a00, 0x4000, 0x4144, 0x4148, 0x7140, 0x8000,
            0x10000 + 0x20 * 0xf8, 0x10004, 0x16f0, 0x1680, 0x1c00, 0x22080, 0x3fff0}) {
            board.put(offset, 0);
            assertEquals(-1, board.get(offset), "0x" + Integer.toHexString(offset));
        }
        assertEquals(0xffff, board.machine.bus().read(Board.PIC, 2));
        assertEquals(0x02044000L, board.machine.bus().read(Board.PIC, 8) & 0xffffffffL);
        board.machine.bus().write(Board.PIC + 0x10e0, 2, 0);
        assertEquals(SPURIOUS, board.get(0x10e0));
    }

    @Test
    @DisplayName("MPIC 2, 3: reset values, and GCR's reset bit clears itself")
    void reset() {
        board.source(0xe3, 5, 0x123);
        board.put(0x10e0, 7);
        board.put(0x10a0, 5 << 16);
        board.ring(Board.CCSR + 0x44140, 0x67);
        assertTrue(board.pin(0));
        board.put(0x1020, 0x80000000);
        assertFalse(board.pin(0));
        assertEquals(0, board.get(0x1020));
        assertEquals(0x80000000, board.get(0x10000));
        assertEquals(0x80800000, board.get(0x10000 + 0x20 * 0xe3));
        assertEquals(1, board.get(0x10010 + 0x20 * 0xe3));
        assertEquals(0, board.get(0x10018 + 0x20 * 0xe3));
        assertEquals(0xffff, board.get(0x10e0));
        assertEquals(15, board.get(0x20080));
        assertEquals(0x80000000, board.get(0x10a0));
        assertEquals(0x80000000, board.get(0x1110));
        assertEquals(0x80000000, board.get(0x1120));
        assertEquals(0x80, board.get(0x1630), "MSIRs keep what they hold");
    }

    @Test
    @DisplayName("MPIC 2: VPR keeps mask, priority, vector and polarity, sense for external sources only; IDR names "
        + "cores there are")
    void writeMasks() {
        board.put(0x10000, 0xffffffff);
        assertEquals(0x80cfffff, board.get(0x10000));
        board.put(0x10000 + 0x20 * 16, 0xffffffff);
        assertEquals(0x808fffff, board.get(0x10000 + 0x20 * 16));
        board.put(0x10010, 0xffffffff);
        assertEquals(3, board.get(0x10010));
        board.put(0x10018, 0xffffff02);
        assertEquals(2, board.get(0x10018));
        board.put(0x20080, 0xffffffff);
        assertEquals(15, board.get(0x20080));
        board.put(0x1020, 0x7fffffff);
        assertEquals(0x60000000, board.get(0x1020));
        board.put(0x1090, 0xffffffff);
        assertEquals(3, board.get(0x1090));
        board.put(0x10f0, 33_000_000);
        assertEquals(33_000_000, board.get(0x10f0));
        board.put(0x3910, 0x40000000);
        assertEquals(0x40000000, board.get(0x3910));
        assertEquals(0, board.get(0x3900));
    }

    @Test
    @DisplayName("MPIC 5.3: the payload 67 00 00 00 is 0x67000000 in MSIIR: SRS 3, IBS 7, source 0xe3")
    void payload() {
        board.source(0xe3, 5, 0x123);
        board.machine.bus().write(0x42, 0xffe044140L, new byte[] {0x67, 0, 0, 0}, 0, 4);
        assertEquals(1 << 7, board.mpic.peek(0x1630));
        assertEquals(1 << 3, board.mpic.peek(0x1720));
        assertTrue(board.pin(0));
        assertEquals(0x40050123, board.get(0x10000 + 0x20 * 0xe3));
        assertEquals(0x123, board.acknowledge(0));
        assertFalse(board.pin(0));
        assertEquals(1 << 7, board.get(0x1630));
        assertEquals(0, board.get(0x1630));
        board.end(0);
        assertFalse(board.pin(0));
        assertEquals(SPURIOUS, board.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 8.1, 8.2: alias page and in-block doorbell are equivalent; 1 and 2 bytes of a message suffice")
    void doorbells() {
        for (int bank = 0; bank < 3; bank++) {
            board.ring(Board.PIC + 0x4140 + 0x1000 * bank, 0x20);
            board.ring(Board.PIC + 0x1740 + 0x200 * bank, 0x41);
            board.machine.bus().write(0x42, Board.PIC + 0x4140 + 0x1000 * bank, 2, 0x62);
            board.machine.bus().write(0x42, Board.PIC + 0x4140 + 0x1000 * bank, 1, 0x83);
            board.machine.bus().write(0x42, Board.PIC + 0x4140 + 0x1000 * bank, 8, 0xffffffff_000000a4L);
            board.put(0x4140 + 0x1000 * bank, 0xc5ffffff);
            for (int register = 1; register <= 6; register++) {
                assertEquals(1 << register - 1, board.get(0x1600 + 0x200 * bank + 0x10 * register));
            }
            assertEquals(0, board.get(0x4140 + 0x1000 * bank));
            board.ring(Board.PIC + 0x4144 + 0x1000 * bank, 0x20);
            board.ring(Board.PIC + 0x4148 + 0x1000 * bank, 0x20);
            board.ring(Board.PIC + 0x4000 + 0x1000 * bank, 0x20);
            assertEquals(0, board.get(0x1720 + 0x200 * bank));
        }
    }

    @Test
    @DisplayName("MPIC 5.2: MSIIR1 takes nine bits, SRS in 3:0 and IBS in 8:4; in the register IBS[3:0] SRS and "
        + "IBS[4] in bit 16")
    void nineBits() {
        Board four = new Board(1, Board.fourBanks()).enable();
        for (int bank = 0; bank < 4; bank++) {
            for (int data = 0; data < 512; data++) {
                four.machine.bus().write(0x42, Board.PIC + 0x4148 + 0x1000 * bank, data % 3 == 0 ? 2 : 4, data);
                assertEquals(1 << (data >> 4), four.get(0x1600 + 0x200 * bank + 0x10 * (data & 15)));
            }
        }
        four.put(0x4148, 0xa5010000);
        assertEquals(1 << 26, four.get(0x1650));
        four.put(0x1748, 0xa5000000);
        assertEquals(1 << 10, four.get(0x1650));
        four.put(0x4140, 0xa5000000);
        assertEquals(1 << 5, four.get(0x1650), "MSIIR is there as well");
        four.source(0x11f, 3, 0x99);
        four.ring(0xffe047148L, 0x1ff);
        assertEquals(0x99, four.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 5, 8.5: messages coalesce per bit, and accumulate while the source is masked, has priority 0, "
        + "or all is held back")
    void coalescing() {
        board.put(0x10000 + 0x20 * 0xe3, 0x80050123);
        board.ring(Board.CCSR + 0x44140, 0x61);
        board.ring(Board.CCSR + 0x44140, 0x7f);
        board.ring(Board.CCSR + 0x44140, 0x61);
        assertFalse(board.pin(0));
        board.put(0x10000 + 0x20 * 0xe3, 0x123);
        assertFalse(board.pin(0), "priority 0");
        board.put(0x1020, 0);
        board.source(0xe3, 5, 0x123);
        assertFalse(board.pin(0), "pass-through");
        board.put(0x1020, 0x20000000);
        assertTrue(board.pin(0));
        assertEquals(0x123, board.acknowledge(0));
        board.end(0);
        assertTrue(board.pin(0), "EOI before the read: again");
        assertEquals(0x123, board.acknowledge(0));
        assertEquals(0x80000002, board.get(0x1630));
        board.end(0);
        assertFalse(board.pin(0));
    }

    @Test
    @DisplayName("MPIC 5: a message after the read, before EOI, comes again after EOI")
    void refire() {
        board.source(0xe3, 5, 0x123);
        board.ring(Board.CCSR + 0x44140, 0x61);
        board.acknowledge(0);
        assertEquals(2, board.get(0x1630));
        board.ring(Board.CCSR + 0x44140, 0x61);
        assertFalse(board.pin(0));
        board.end(0);
        assertTrue(board.pin(0));
        assertEquals(0x123, board.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 8.6: an MSIR read by somebody else before IACK makes the interrupt spurious")
    void spurious() {
        board.put(0x10e0, 2047);
        board.source(0xe3, 5, 0x123);
        board.ring(Board.CCSR + 0x44140, 0x61);
        board.get(0x1630);
        assertFalse(board.pin(0));
        assertEquals(2047, board.acknowledge(0));
        board.end(0);
        assertEquals(2047, board.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 4: only a priority above CTPR is delivered; CTPR can be lowered later")
    void taskPriority() {
        board.put(0x20080, 5);
        board.source(0xe3, 5, 0x123);
        board.ring(Board.CCSR + 0x44140, 0x61);
        assertFalse(board.pin(0));
        assertEquals(SPURIOUS, board.acknowledge(0));
        board.put(0x20080, 4);
        assertTrue(board.pin(0));
        board.put(0x20080, 5);
        assertFalse(board.pin(0));
        board.put(0x80, 4);
        assertTrue(board.pin(0), "the block of this cpu is core 0's");
        assertEquals(0x123, board.get(0xa0));
        board.put(0xb0, 0);
        assertTrue(board.pin(0));
    }

    @Test
    @DisplayName("MPIC 4: nesting: higher interrupts lower, equal and lower wait, EOI ends the highest; ties go to "
        + "the lowest number")
    void nesting() {
        board.source(0xe0, 3, 0x30);
        board.source(0xe1, 9, 0x91);
        board.source(0xe2, 9, 0x92);
        board.source(0xe4, 12, 0xc4);
        board.put(0x1740, 0x00000000);
        assertEquals(0x30, board.acknowledge(0));
        board.put(0x1740, 0x40000000);
        board.put(0x1740, 0x20000000);
        assertTrue(board.pin(0));
        assertEquals(0x91, board.acknowledge(0));
        assertFalse(board.pin(0), "0x92 is equal, 0x30 lower");
        assertEquals(SPURIOUS, board.acknowledge(0), "and IACK does not hand them out either");
        board.put(0x1740, 0x80000000);
        assertEquals(0xc4, board.acknowledge(0));
        board.get(0x1640);
        board.end(0);
        assertFalse(board.pin(0));
        board.get(0x1610);
        board.end(0);
        assertTrue(board.pin(0), "0x91 ended, 0x92 interrupts 0x30");
        assertEquals(0x92, board.acknowledge(0));
        board.get(0x1620);
        board.end(0);
        assertFalse(board.pin(0), "0x30 is in service");
        assertEquals(0x40030030, board.get(0x10000 + 0x20 * 0xe0));
        board.end(0);
        assertTrue(board.pin(0), "0x30 is still asserted");
        board.get(0x1600);
        assertFalse(board.pin(0));
        assertEquals(0x00030030, board.get(0x10000 + 0x20 * 0xe0));
        board.end(0);
        assertEquals(0, board.get(0x200b0));
    }

    @Test
    @DisplayName("MPIC 2, 4: an external edge is latched, also while masked, and used up by IACK; a level stays")
    void senses() {
        InterruptLine line = board.line(5);
        line.set(true);
        assertEquals(0x80000000, board.get(0x100a0));
        board.source(5, 6, 0x55);
        assertTrue(board.pin(0));
        line.set(false);
        assertEquals(0x55, board.acknowledge(0));
        board.end(0);
        assertFalse(board.pin(0));
        line.set(true);
        board.put(0x100a0, 0x00460055);
        assertTrue(board.pin(0));
        assertEquals(0x55, board.acknowledge(0));
        board.end(0);
        assertTrue(board.pin(0));
        line.set(false);
        assertFalse(board.pin(0));
        assertEquals(SPURIOUS, board.acknowledge(0));
        board.source(24, 6, 0x24);
        board.line(24).set(true);
        board.acknowledge(0);
        board.end(0);
        assertTrue(board.pin(0), "internal sources are level, whatever the tree says");
    }

    @Test
    @DisplayName("MPIC 2: IDR chooses the core, ILR the output; critical and machine check ignore the priority, "
        + "before 4.1 the mask too")
    void outputs() {
        board.put(0x10010 + 0x20 * 24, 2);
        board.put(0x10000 + 0x20 * 24, 0x00050024);
        board.line(24).set(true);
        assertFalse(board.pin(0));
        assertTrue(board.pin(1));
        assertEquals(SPURIOUS, board.acknowledge(0));
        board.put(0x10000 + 0x20 * 24, 0x80000024);
        board.put(0x10018 + 0x20 * 24, 1);
        assertFalse(board.pin(1));
        assertFalse(board.mpic.critical(1));
        board.put(0x10000 + 0x20 * 24, 0x00000024);
        assertTrue(board.mpic.critical(1));
        assertFalse(board.mpic.critical(0));
        board.put(0x10018 + 0x20 * 24, 2);
        assertFalse(board.mpic.critical(1));
        assertTrue(board.mpic.machineCheck(1));
        board.line(24);
        board.put(0x10000 + 0x20 * 24, 0x80000024);
        assertFalse(board.mpic.machineCheck(1));
        board.put(0x10000 + 0x20 * 24, 0x00000024);
        board.put(0x10018 + 0x20 * 24, 0);
        assertFalse(board.mpic.machineCheck(1));

        Board v40 = new Board(1, Board.threeBanks(), 0x0400).enable();
        v40.put(0x10018 + 0x20 * 24, 1);
        v40.line(24).set(true);
        assertEquals(0x80800000, v40.get(0x10000 + 0x20 * 24));
        assertTrue(v40.mpic.critical(0));
    }

    @Test
    @DisplayName("MPIC 2: a machine check alone, where no source was ever a critical interrupt; GCR[RST] ends it")
    void machineCheckAlone() {
        board.put(0x10000 + 0x20 * 24, 0x00000024);
        board.put(0x10018 + 0x20 * 24, 2);
        board.line(24).set(true);
        assertTrue(board.mpic.machineCheck(0));
        assertFalse(board.pin(0));
        board.put(0x1020, 0x80000000);
        assertFalse(board.mpic.machineCheck(0));
    }

    @Test
    @DisplayName("MPIC 2: before 4.0 there is no ILR, and IDR bit 30-n is the critical interrupt of core n")
    void oldOutputs() {
        Board old = new Board(2, Board.threeBanks(), 0x0301).enable();
        assertEquals(0x00400301, old.get(0));
        assertEquals(-1, old.get(0x10018));
        assertEquals(-1, old.get(0x3900));
        old.put(0x10000 + 0x20 * 24, 0x00050024);
        old.put(0x10010 + 0x20 * 24, 0xffffffff);
        assertEquals(0xe0000003, old.get(0x10010 + 0x20 * 24));
        old.put(0x10010 + 0x20 * 24, 0x20000000);
        old.line(24).set(true);
        assertTrue(old.mpic.critical(1));
        assertFalse(old.pin(1));
        old.put(0x10010 + 0x20 * 24, 2);
        assertFalse(old.mpic.critical(1));
        assertTrue(old.pin(1));
        old.put(0x1020, 0x60000000);
        assertEquals(0x20000000, old.get(0x1020));
    }

    @Test
    @DisplayName("MPIC 4: IPIs reach each core of the mask once, compete by priority and nest like sources")
    void interruptsBetweenCores() {
        board.put(0x10a0, 0x00040077);
        board.put(0x10d0, 0x000a007d);
        board.put(0x21040, 3);
        board.put(0x21040, 1);
        assertTrue(board.pin(0));
        assertTrue(board.pin(1));
        assertEquals(0x40040077, board.get(0x10a0));
        board.put(0x20070, 1);
        assertEquals(0x7d, board.acknowledge(0));
        assertFalse(board.pin(0));
        board.end(0);
        assertEquals(0x77, board.acknowledge(0));
        board.end(0);
        assertEquals(SPURIOUS, board.acknowledge(0));
        assertEquals(0x77, board.acknowledge(1));
        board.end(1);
        assertEquals(0x00040077, board.get(0x10a0));
        board.put(0x10a0, 0x80040077);
        board.put(0x40, 1);
        assertFalse(board.pin(0), "masked");
        board.put(0x10a0, 0x00040077);
        assertTrue(board.pin(0));
    }

    @Test
    @DisplayName("MPIC 4: a message register interrupts if enabled; reading it takes the interrupt back")
    void messageRegisters() {
        board.source(0xb2, 4, 0xb2);
        board.put(0x1420, 0xcafe);
        assertEquals(4, board.get(0x1510));
        assertFalse(board.pin(0));
        board.put(0x1500, 4);
        assertTrue(board.pin(0));
        assertEquals(0xcafe, board.mpic.peek(0x1420));
        assertTrue(board.pin(0));
        assertEquals(0xcafe, board.get(0x1420));
        assertFalse(board.pin(0));
        assertEquals(0, board.get(0x1510));
        board.source(0xb7, 4, 0xb7);
        board.put(0x2500, 8);
        board.put(0x2430, 1);
        assertEquals(0xb7, board.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 4: timer registers keep what is written; starting loads the count, which then stands still")
    void timers() {
        board.put(0x1150, 0x80000100);
        assertEquals(0, board.get(0x1140));
        board.put(0x1150, 0x00000100);
        assertEquals(0x100, board.get(0x1140));
        board.put(0x1160, 0x7fffffff);
        assertEquals(0x000fffff, board.get(0x1160));
        board.put(0x21f0, 2);
        assertEquals(2, board.get(0x21f0));
        board.put(0x2300, 0xffffffff);
        assertEquals(0x07000307, board.get(0x2300));
    }

    @Test
    @DisplayName("Unit: an input that no source belongs to changes nothing; the last one that there is does")
    void inputs() {
        for (int input : new int[] {-1, Integer.MIN_VALUE, 0xf8, 1 << 20, Integer.MAX_VALUE}) {
            board.mpic.set(input, true);
            board.mpic.settle();
        }
        for (int source = 0; source < 0xf8; source++) {
            assertEquals(0, board.get(0x10000 + 0x20 * source) & 0x40000000, "source " + source);
        }
        board.source(0xf7, 5, 0x77);
        board.mpic.set(0xf7, true);
        assertFalse(board.pin(0), "before it is settled");
        board.mpic.settle();
        assertTrue(board.pin(0));
        assertEquals(0x77, board.acknowledge(0));
    }

    @Test
    @DisplayName("MPIC 2, 3: after a reset every register is as after power-up, whatever was there")
    void resetsAll() {
        Board fresh = new Board(2, Board.threeBanks());
        for (int register = 0x1000; register < 0x4000; register += 0x10) {
            if (register < 0x1600 || register > 0x1be0) {
                board.put(register, 0x35353535 & (register == 0x1020 ? 0x60000000 : -1));
            }
        }
        for (int timers : new int[] {0x1100, 0x2100}) {
            for (int timer = 0; timer < 4; timer++) {
                board.put(timers + 0x40 * timer + 0x10, 0x80000000);
                board.put(timers + 0x40 * timer + 0x10, 0x123);
            }
        }
        for (int source = 0; source < 0xf8; source++) {
            board.put(0x10010 + 0x20 * source, 3);
            board.put(0x10018 + 0x20 * source, source & 1);
            board.put(0x10000 + 0x20 * source, 0x00450000 | source);
        }
        board.put(0x10a0, 0x00070001);
        board.put(0x21040, 3);
        board.line(5).set(true);
        board.acknowledge(0);
        board.put(0x1020, 0x80000000);
        for (int register = 0x1000; register < 0x22000; register += 8) {
            // The words that cores send each other stay; what was sent is over.
            boolean word = register >= 0x1400 && register < 0x1440 || register >= 0x2400 && register < 0x2440;
            if (!word) {
                assertEquals(fresh.mpic.peek(register), board.mpic.peek(register),
                    "0x" + Integer.toHexString(register));
            }
        }
        assertFalse(board.pin(0));
        assertFalse(board.pin(1));
        board.enable();
        board.source(5, 6, 0x55);
        assertFalse(board.pin(0), "the edge is forgotten");
    }

    @Test
    @DisplayName("MPIC 4: each timer of both groups has its registers; before 3.1 there is one group")
    void timerRegisters() {
        for (int group : new int[] {0x1100, 0x2100}) {
            for (int timer = 0; timer < 4; timer++) {
                int at = group + 0x40 * timer;
                board.put(at + 0x10, 0x00010000 | at);
                board.put(at + 0x20, 0x000a0000 | at);
                board.put(at + 0x30, timer & 3);
            }
            board.put(group + 0x100, 0x77);
            board.put(group + 0x200, 0x01000102);
        }
        for (int group : new int[] {0x1100, 0x2100}) {
            for (int timer = 0; timer < 4; timer++) {
                int at = group + 0x40 * timer;
                assertEquals(0x00010000 | at, board.get(at), "running: the count was loaded");
                assertEquals(0x00010000 | at, board.get(at + 0x10));
                assertEquals(0x000a0000 | at, board.get(at + 0x20));
                assertEquals(timer & 3, board.get(at + 0x30));
                board.put(at, 1);
                assertEquals(0x00010000 | at, board.get(at), "read-only");
                board.put(at + 0x10, 0x222);
                assertEquals(0x00010000 | at, board.get(at), "not stopped, so not loaded");
            }
            assertEquals(-1, board.get(group + 0x100), "no fifth timer");
            assertEquals(0x01000102, board.get(group + 0x200));
            assertEquals(-1, board.get(group + 0x2f0));
        }
        Board old = new Board(1, Board.threeBanks(), 0x0300);
        old.put(0x2120, 0x000a0001);
        assertEquals(-1, old.get(0x2120));
        assertEquals(0x80000000, old.get(0x1120));
        assertEquals(-1, old.get(0x3900));
        assertEquals(-1, old.get(0x3910));
    }

    @Test
    @DisplayName("MPIC 4: each message register has a word, a bit of its group's state and enable registers, and a "
        + "source")
    void messageGroups() {
        for (int i = 0; i < 8; i++) {
            int group = i < 4 ? 0x1400 : 0x2400;
            int bit = 1 << i % 4;
            board.source(0xb0 + i, 4, 0xb0 + i);
            board.put(group + 0x100, bit);
            assertEquals(bit, board.get(group + 0x100));
            board.put(group + 0x10 * (i % 4), 0x1000 + i);
            assertEquals(bit, board.get(group + 0x110));
            assertEquals(0xb0 + i, board.acknowledge(0));
            board.put(group + 0x110, 0);
            assertEquals(bit, board.get(group + 0x110), "read-only");
            assertEquals(0x1000 + i, board.get(group + 0x10 * (i % 4)));
            assertEquals(0, board.get(group + 0x110));
            board.end(0);
            board.put(group + 0x100, -1);
            assertEquals(0xf, board.get(group + 0x100));
            board.put(group + 0x100, 0);
        }
        assertEquals(-1, board.get(0x1440));
        assertEquals(-1, board.get(0x24f0));
        board.put(0x1440, 5);
        assertEquals(0, board.get(0x1510));
    }

    @Test
    @DisplayName("MPIC 4: each of the four IPIs alone; of equal priority the lowest; a source of the same priority "
        + "comes first")
    void eachIpi() {
        for (int ipi = 0; ipi < 4; ipi++) {
            board.put(0x10a0 + 0x10 * ipi, 0x00050070 + ipi);
            assertEquals(0x00050070 + ipi, board.get(0x10a0 + 0x10 * ipi));
            board.put(0x20040 + 0x10 * ipi, 3);
            assertEquals(0x70 + ipi, board.acknowledge(1));
            assertEquals(0x40050070 + ipi, board.get(0x10a0 + 0x10 * ipi), "in service, and pending at the other core");
            board.end(1);
            assertTrue(board.pin(0));
            assertEquals(0x70 + ipi, board.acknowledge(0));
            board.end(0);
            assertFalse(board.pin(1));
        }
        board.put(0x20070, 1);
        board.put(0x20060, 1);
        InterruptLine line = board.line(24);
        board.source(24, 5, 24);
        line.set(true);
        assertEquals(24, board.acknowledge(0));
        line.set(false);
        board.end(0);
        assertEquals(0x72, board.acknowledge(0));
        board.end(0);
        board.put(0x20050, 1);
        board.source(24, 4, 24);
        line.set(true);
        assertEquals(0x71, board.acknowledge(0));
        board.end(0);
        assertEquals(0x73, board.acknowledge(0));
        board.put(0x10a0, -1);
        assertEquals(0x800fffff, board.get(0x10a0));
        board.put(0x20044, 1);
        board.put(0x20048, 1);
        assertEquals(0, board.get(0x20040));
        assertEquals(-1, board.get(0x20080 + 0x40));
    }

    @Test
    @DisplayName("MPIC 2: a source of two cores: an edge is taken by the first that acknowledges, a level is offered "
        + "to both")
    void twoCores() {
        board.source(5, 6, 0x55);
        board.put(0x100b0, 3);
        board.line(5).set(true);
        assertTrue(board.pin(0));
        assertTrue(board.pin(1));
        assertEquals(0x55, board.acknowledge(1));
        assertFalse(board.pin(0));
        assertEquals(SPURIOUS, board.acknowledge(0));
        board.end(1);
        board.source(24, 6, 0x24);
        board.put(0x10010 + 0x20 * 24, 3);
        board.line(24).set(true);
        assertEquals(0x24, board.acknowledge(0));
        assertTrue(board.pin(1));
        assertEquals(0x24, board.acknowledge(1));
        board.put(0x10010 + 0x20 * 24, 0);
        board.end(0);
        assertFalse(board.pin(0), "to nobody");
    }

    @Test
    @DisplayName("Unit: a debugger's look changes nothing: no acknowledge, no message register, no MSIR is read by it")
    void peeks() {
        board.source(0xe3, 5, 0x123);
        board.put(0x1500, 1);
        board.put(0x1400, 0x77);
        board.ring(Board.CCSR + 0x44140, 0x67);
        assertEquals(-1, board.mpic.peek(0x200a0));
        assertEquals(0x77, board.mpic.peek(0x1400));
        assertEquals(0x80, board.mpic.peek(0x1630));
        assertEquals(1, board.get(0x1510));
        assertEquals(0x80, board.mpic.peek(0x1630));
        assertTrue(board.pin(0));
        assertEquals(0x123, board.acknowledge(0));
    }

    @Test
    @DisplayName("Unit: 8 bytes are two registers; sources behind the first 64, and their vectors")
    void wide() {
        board.mpic.write(-1, 0x1000c, 8, 2L << 56);
        assertEquals(2, board.get(0x10010));
        assertEquals(2L << 56 | 0xffffffffL, board.mpic.read(0x1000c, 8));
        for (int source : new int[] {0, 15, 63, 64, 127, 128, 0xf7}) {
            board.source(source, 7, 0x1000 | source);
            board.mpic.set(source, true);
            board.mpic.settle();
            assertEquals(0x1000 | source, board.acknowledge(0));
            board.mpic.set(source, false);
            board.mpic.settle();
            board.end(0);
            assertFalse(board.pin(0), "source " + source);
        }
    }

    @Test
    @DisplayName("Unit: as many cores and sources as an MPIC has, and no more; as many cores as the machine has at "
        + "least")
    void model() {
        new MpicModel(0xffff, 0xf8, 1, MsiLayout.THREE_BANKS);
        new MpicModel(0, 2048, 32, MsiLayout.THREE_BANKS);
        for (int[] wrong : new int[][] {{0x402, 0xf7, 1}, {0x402, 2049, 1}, {0x402, 0xf8, 0},
            {0x402, 0xf8, 33}, {0x10000, 0xf8, 1}}) {
            assertThrows(IllegalArgumentException.class,
                () -> new MpicModel(wrong[0], wrong[1], wrong[2], MsiLayout.THREE_BANKS));
        }
        assertThrows(IllegalArgumentException.class,
            () -> new Mpic(new MpicModel(0x402, 0xf8, 2, MsiLayout.THREE_BANKS), board.machine.cpus().subList(0, 1)));
        Board crowd = new Board(32, Board.threeBanks());
        assertEquals(0x00f71f02, crowd.get(0x1000));
        crowd.put(0x10010, -1);
        assertEquals(-1, crowd.get(0x10010));
        assertEquals(31, crowd.get(0x3f090));
        assertThrows(ErrnoException.class, () -> new Board(33, Board.threeBanks()));
        assertThrows(ErrnoException.class, () -> new Board(0, Board.threeBanks()));
        for (int[] input : new int[][] {{2047, 2047}, {2048, 0xf7}, {0xf7, 0xf7}, {0xf8, 0xf8}}) {
            Board wired = new Board(1, List.of(Board.bank("x", 0x1000, 0x2000, List.of(Board.wire(input[0], 2)))));
            assertEquals(input[1], wired.get(0x1000) >>> 16);
        }
        Board other = new Board(1,
            List.of(Board.bank("x", 0x1000, 0x2000, List.of(new Wire("/other", 400, true, "400 2")))));
        assertEquals(0xf7, other.get(0x1000) >>> 16);
    }

    @Test
    @DisplayName("Unit: a node whose registers are not 0x40000 bytes is refused")
    void wrongNode() {
        assertThrows(ErrnoException.class, () -> board.mpic.unit(Board.PIC_NODE.registers(new Node.Range[0])));
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> board.mpic.unit(Board.PIC_NODE.registers(new Node.Range(Board.PIC, 0x1000))));
        assertTrue(e.getMessage().contains("0x1000"), e.getMessage());
        assertThrows(IllegalArgumentException.class, () -> new MpicModel(0x402, 0xf7, 1, MsiLayout.THREE_BANKS));
        assertThrows(IllegalArgumentException.class, () -> new MpicModel(0x402, 0xf8, 33, MsiLayout.THREE_BANKS));
    }

    @Test
    @DisplayName("Unit: taken out, it leaves the pins low")
    void takenOut() {
        board.source(0xe3, 5, 0x123);
        board.ring(Board.CCSR + 0x44140, 0x61);
        assertTrue(board.pin(0));
        board.attachment.close();
        board.mpic.reset();
        assertFalse(board.pin(0));
        assertEquals(-1, board.get(0));
    }

    @Test
    @DisplayName("QEMU's FSL MPIC 4.2: the sequence of its qtest gives the same answers, but for IACK under a higher "
        + "one in service")
    void sameAsQemu() {
        board.put(0x10000 + 0x20 * 224, 0x0003000a);
        board.put(0x10000 + 0x20 * 225, 0x0009000b);
        board.put(0x10000 + 0x20 * 226, 0x0001000c);
        board.put(0x1740, 0);
        board.put(0x1740, 1 << 29);
        assertEquals(0xb, board.acknowledge(0), "higher priority first");
        board.get(0x1610);
        board.put(0x1740, 2 << 29);
        assertFalse(board.pin(0), "lower priorities hidden while 0xb is in service");
        assertEquals(SPURIOUS, board.acknowledge(0), "QEMU hands out 0xa here; the pin was low, so nobody asks");
        board.end(0);
        assertEquals(0xa, board.acknowledge(0));
        board.get(0x1600);
        board.end(0);
        assertEquals(0xc, board.acknowledge(0));
        board.get(0x1620);
        board.end(0);
        assertEquals(SPURIOUS, board.acknowledge(0));
    }
}
