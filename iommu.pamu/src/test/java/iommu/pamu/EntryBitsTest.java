// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.pamu.table.BigEndian;
import iommu.pamu.unit.PamuModel;
import iommu.pamu.unit.ViolationCodes;
import java.util.Arrays;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Single bits of registers and entries, the unit alone; its tables lie above 4 GiB. */
class EntryBitsTest {
    private static final long TABLE = 0x2_0200_0000L;
    private static final long SECONDARIES = TABLE + 0x1000;
    private static final long OPERATIONS = TABLE + 0x2000;
    private final Board board = new Board();

    private void start() {
        long[] bounds = {TABLE, TABLE + 4 * 64, SECONDARIES, SECONDARIES + 2 * 64, OPERATIONS, OPERATIONS + 2 * 128};
        for (int i = 0; i < bounds.length; i++) {
            board.register(0, 8 * i, (int) (bounds[i] >>> 32));
            board.register(0, 8 * i + 4, (int) bounds[i]);
        }
        board.register(0, 0xc10, 0x4000_1011);
    }

    @Test
    @DisplayName("PAMU: AVA and POEA have their upper words: a refused address and an entry above 4 GiB")
    void upperWords() {
        start();
        assertEquals(Refusal.NO_REQUESTER, board.write(2, 0xa_0000_5000L));
        assertEquals(0xa_0000_5000L, board.register64(0, 0x58));
        assertEquals(TABLE + 2 * 64, board.register64(0, 0x48));
    }

    @Test
    @DisplayName("PAMU: what lies behind OLA is not stored, and does not move the tables")
    void behindOla() {
        board.register(0, 0x30, -1);
        board.register(0, 0x34, -1);
        board.register(0, 0xefc, -1);
        board.register(0, 0xf10, -1);
        for (int offset : new int[] {0x30, 0x34, 0xefc, 0xf10}) {
            assertEquals(0, board.register(0, offset));
        }
    }

    @Test
    @DisplayName("PAMU: an operation is looked up in its own byte of the entry OMI names, up to the limit of the table")
    void operations() {
        start();
        for (int index = 0; index < 4; index++) {
            board.word(OPERATIONS + 128 * index, 0);
        }
        board.entry(TABLE + 64, "00000000 000008d9 00000080 00000006 00000000 00000000 00000000 00000001");
        board.word(OPERATIONS + 128, 0x0081_0000);
        assertEquals(0x10, board.write(1, 0x10), "byte 1 is the write's");
        assertEquals(Refusal.UNSUPPORTED, board.read(1, 0x10));
        board.word(OPERATIONS + 128, 0x8000_8080);
        assertEquals(Refusal.UNSUPPORTED, board.write(1, 0x10));
        assertEquals(0x10, board.read(1, 0x10), "byte 0 is the read's");
        board.word(OPERATIONS, -1);
        board.word(OPERATIONS + 2 * 128, -1);
        board.entry(TABLE + 64, "00000000 000008d9 00000080 00000006 00000000 00000000 00000000 00000002");
        assertEquals(Refusal.UNSUPPORTED, board.write(1, 0x10), "beyond OLA");
        board.entry(TABLE + 64, "00000000 000008d9 00000080 00000006 00000000 00000000 00000000 00010000");
        assertEquals(0x10, board.write(1, 0x10), "OMI has 16 bits");
    }

    @Test
    @DisplayName("PAMU: a window's entry must be a secondary one: PT 0 is refused")
    void primaryAsSecondary() {
        start();
        board.entry(TABLE + 64, "00000000 00000339 00000080 00000004 00000000 000002c0 00000000 00000000");
        board.entry(SECONDARIES, "00000000 0001001b 00000080 00000004 00000000 005002c0");
        assertEquals(0x50_0010, board.write(1, 0x1010));
        board.entry(SECONDARIES, "00000000 00010019 00000080 00000004 00000000 005002c0");
        assertEquals(Refusal.MALFORMED, board.write(1, 0x1010));
    }

    @Test
    @DisplayName("PAMU: a word and a pair written to where nothing answers are EIO with the address")
    void nothingAnswers() {
        BigEndian words = new BigEndian(board.bus);
        ErrnoException e = assertThrows(ErrnoException.class, () -> words.word(0x7_0000_0000L, 1));
        assertEquals(Errno.EIO, e.errno());
        assertEquals(true, e.getMessage().contains("0x700000000"), e.getMessage());
        assertEquals(Errno.EIO, assertThrows(ErrnoException.class, () -> words.pair(0x7_0000_0000L, 1)).errno());
    }

    @Test
    @DisplayName("PAMU: a model takes what fits its registers: 16 bits of version and LIODN, 2 to 65536 windows, and "
        + "codes of 3, 4 and 2 bits")
    void models() {
        ViolationCodes codes = ViolationCodes.MODEL;
        assertEquals(0xffff, new PamuModel(0xffff, 0xffff, 65536, 0, codes).maxLiodn());
        assertEquals(2, new PamuModel(0, 0, 2, 0, codes).maxWindows());
        int[][] refused = {{-1, 0, 2}, {0x10000, 0, 2}, {0, -1, 2}, {0, 0x10000, 2}, {0, 0, 1},
            {0, 0, 131072}, {0, 0, 6}};
        for (int[] each : refused) {
            assertThrows(IllegalArgumentException.class, () -> new PamuModel(each[0], each[1], each[2], 0, codes),
                Arrays.toString(each));
        }
        int[] largest = {7, 7, 7, 7, 7, 7, 7, 15, 15, 3, 3};
        assertEquals(15, codes(largest).writeDenied());
        for (int i = 0; i < largest.length; i++) {
            int[] least = largest.clone();
            least[i] = 1;
            codes(least);
            least[i] = 0;
            assertThrows(IllegalArgumentException.class, () -> codes(least));
            int[] more = largest.clone();
            more[i]++;
            assertThrows(IllegalArgumentException.class, () -> codes(more));
        }
    }

    private static ViolationCodes codes(int[] of) {
        return new ViolationCodes(of[0], of[1], of[2], of[3], of[4], of[5], of[6], of[7], of[8], of[9], of[10]);
    }
}
