// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.pamu.unit.PamuModel;
import iommu.pamu.unit.ViolationCodes;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The unit alone, programmed by hand as any driver could. */
class UnitRegistersTest {
    private static final long TABLE = 0x200_0000;
    private final Board board = new Board();

    private void start() {
        board.register(0, 0x04, (int) TABLE);
        board.register(0, 0x0c, (int) TABLE + 4 * 64);
        board.register(0, 0x14, (int) TABLE + 0x1000);
        board.register(0, 0x1c, (int) TABLE + 0x1000 + 2 * 64);
        board.register(0, 0xc1c, 4);
        board.register(0, 0xc10, 0x4000_1011);
    }

    @Test
    @DisplayName("PAMU: after reset nothing passes (PDV); a closed gate is GCV")
    void reset() {
        assertEquals(0, board.register(0, 0xc10));
        assertEquals(Refusal.BLOCKED, board.write(1, 0x1000));
        assertEquals(0x0001_4001, board.register(0, 0x50));
        assertEquals(0x81, board.register(0, 0x54), "AVS2: the incoming operation, a write");
        board.register(0, 0x50, 0x7fff);
        board.register(0, 0xc10, 0xc000_0000);
        assertEquals(Refusal.BLOCKED, board.read(1, 0x1000));
        assertEquals(0x0001_2001, board.register(0, 0x50));
        assertEquals(0, board.register(0, 0x54));
    }

    @Test
    @DisplayName("PAMU: PR1, PC2 (MLIODN), PC3 (MWCE) announce the model; they cannot be written")
    void capabilities() {
        Board old = new Board(1, new PamuModel(0x0123, 0x3ff, 16, 0, ViolationCodes.MODEL));
        old.register(0, 0xbf8, -1);
        old.register(0, 0xc08, -1);
        assertEquals(0x0123, old.register(0, 0xbf8));
        assertEquals(0x03ff_0000, old.register(0, 0xc04));
        assertEquals(3 << 21, old.register(0, 0xc08));
        assertEquals(7 << 21, board.register(0, 0xc08));
        assertEquals(16, old.driver().capabilities().maxWindows());
    }

    @Test
    @DisplayName("PAMU: bases, EECTL, PFA and PD hold what is written; AVA, POEA and UDAD do not")
    void storage() {
        for (int offset : new int[] {0x00, 0x04, 0x2c, 0x60, 0x64, 0x68, 0xc14, 0xc18, 0xf00, 0xf0c}) {
            board.register(1, offset, 0x1234_5678 + offset);
            assertEquals(0x1234_5678 + offset, board.register(1, offset));
            assertEquals(0, board.register(0, offset), "the other instance");
        }
        for (int offset : new int[] {0x40, 0x44, 0x48, 0x58, 0x5c, 0x6c, 0x70, 0x90, 0x800}) {
            board.register(1, offset, -1);
            assertEquals(0, board.register(1, offset));
        }
    }

    @Test
    @DisplayName("PAMU: registers are big-endian words; a read of 8 bytes is two, a write of less than 4 is none")
    void lanes() {
        board.bus.write(Board.PAMU, 8, 0x8877_6655_4433_2211L);
        assertEquals(0x1122_3344, board.register(0, 0));
        assertEquals(0x5566_7788, board.register(0, 4));
        assertEquals(0x8877_6655_4433_2211L, board.bus.read(Board.PAMU, 8));
        assertEquals(0x11, board.bus.read(Board.PAMU, 1));
        assertEquals(0x4433, board.bus.read(Board.PAMU + 2, 2));
        board.bus.write(Board.PAMU, 2, 0);
        assertEquals(0x1122_3344, board.register(0, 0));
    }

    @Test
    @DisplayName("PAMU: PAMUBYPENR bit 31 - n bypasses instance n and no other; reset value from the model")
    void bypass() {
        board.word(Board.BYPASS, 0x4000_0000);
        assertEquals(0xabc0, board.pamu(1).translate(9, 0xabc0, 4, Access.READ));
        assertEquals(Refusal.BLOCKED, board.pamu(0).translate(9, 0xabc0, 4, Access.READ));
        assertEquals(Refusal.NO_TARGET, board.pamu(1).translate(9, -8, 4, Access.READ));
        Board open = new Board(2, new PamuModel(0x0100, 0xfff, 256, -1, ViolationCodes.MODEL));
        assertEquals(0xabc0, open.pamu(0).translate(9, 0xabc0, 4, Access.READ));
        open.driver();
        assertEquals(0x3fff_ffff, open.word(Board.BYPASS), "PAMU probe: only the bits of the board's own instances");
        assertEquals(Refusal.NO_REQUESTER, open.pamu(1).translate(9, 0xabc0, 4, Access.READ));
    }

    @Test
    @DisplayName("PAMU: the first violation is kept until AVS1.AV is cleared; PICS is W1C, its enables are not")
    void latch() {
        start();
        assertEquals(Refusal.NO_REQUESTER, board.write(2, 0x5000));
        assertEquals(0x0002_0801, board.register(0, 0x50));
        assertEquals(TABLE + 128, board.register64(0, 0x48), "POEA: the entry");
        assertEquals(0xc, board.register(0, 0xc1c));
        assertEquals(1, board.level.get());
        board.write(3, 0x6000);
        assertEquals(0x0002_0801, board.register(0, 0x50));
        assertEquals(0x5000, board.register64(0, 0x58));
        board.register(0, 0xc1c, 0x4);
        assertEquals(0xc, board.register(0, 0xc1c), "writing 0 to the status clears nothing");
        board.register(0, 0xc1c, 0x8);
        assertEquals(0, board.register(0, 0xc1c));
        assertEquals(0, board.level.get());
        board.register(0, 0x50, 0x0800);
        assertEquals(0x0002_0001, board.register(0, 0x50), "only the ones are cleared");
        board.write(3, 0x6000);
        assertEquals(0x0002_0001, board.register(0, 0x50));
        board.register(0, 0x50, 0x7fff);
        assertEquals(0x0002_0000, board.register(0, 0x50));
        board.write(3, 0x6000);
        assertEquals(0x0003_0801, board.register(0, 0x50));
        assertEquals(0, board.level.get(), "not enabled");
        board.register(0, 0xc1c, 0x4);
        assertEquals(1, board.level.get(), "enabling shows what is pending");
    }

    @Test
    @DisplayName("PAMU: one wire for all instances, high while any of them has status and enable")
    void sharedWire() {
        start();
        board.register(1, 0xc1c, 4);
        board.write(1, 0);
        board.pamu(1).translate(1, 0, 4, Access.READ);
        board.register(0, 0xc1c, 0xc);
        assertEquals(1, board.level.get());
        board.register(1, 0xc1c, 0xc);
        assertEquals(0, board.level.get());
    }

    @Test
    @DisplayName("PAMU: a handler that runs inside the access clears PICS and AVS1, and the next violation "
        + "interrupts again")
    void handlerInsideAccess() {
        StringBuilder calls = new StringBuilder();
        board.handler = () -> {
            calls.append(String.format("%08x ", board.register(0, 0x50)));
            board.register(0, 0xc1c, 0xc);
            board.register(0, 0x50, 0x7fff);
        };
        start();
        board.write(2, 0);
        assertEquals(0, board.level.get());
        board.write(3, 0);
        assertEquals("00020801 00030801 ", calls.toString());
        assertEquals(0, board.level.get());
    }

    @Test
    @DisplayName("PAMU: PPLA and SPLA are exclusive limits")
    void limits() {
        start();
        assertEquals(Refusal.NO_REQUESTER, board.write(4, 0));
        assertEquals(0x0004_0401, board.register(0, 0x50));
        assertEquals(Refusal.NO_REQUESTER, board.write(-1, 0));
        // 16 KiB in 4 windows; the third secondary is beyond SPLA, the first is another LIODN's, the second has
        // reserved bits.
        board.entry(TABLE + 64, "00000000 00000379 00000080 00000014 00000000 000002c0 00000000 00000000");
        board.entry(TABLE + 0x1000, "00000000 0002001b 00000080 00000004 00000000 000002c0");
        board.entry(TABLE + 0x1040, "00000000 0001003b 00000080 00000004 00000000 000002c0");
        board.entry(TABLE + 0x1080, "00000000 0001001b 00000080 00000004 00000000 000002c0");
        for (int window = 1; window < 4; window++) {
            board.register(0, 0x50, 0x7fff);
            assertEquals(Refusal.MALFORMED, board.write(1, window * 0x1000));
            assertEquals(0x0001_0201, board.register(0, 0x50));
        }
    }

    @Test
    @DisplayName("PAMU: entries no hardware could use are refused: PT, WCE, sizes below 4 KiB, ATM 2 and 3, OTM 3")
    void malformed() {
        start();
        String[] entries = {
            "00000000 000008db 00000080 00000004 00000000 00000000",
            "00000000 00000299 00000080 00000004 00000000 00000000",
            "00000000 000002f9 00000080 00000014 00000000 000002c0",
            "00000000 000008f9 00000080 00000084 00000000 000002c0",
            "00000000 000008d9 00000080 00000008 00000000 00000000",
            "00000000 000008d9 00000080 0000000c 00000000 00000000",
            "00000000 000008d9 00000080 00000004 ffffffff fffff000",
        };
        for (String entry : entries) {
            board.entry(TABLE + 64, entry);
            board.register(0, 0x50, 0x7fff);
            assertEquals(Refusal.MALFORMED, board.write(1, 0x10), entry);
            assertEquals(0x0001_0c01, board.register(0, 0x50), entry);
        }
        board.entry(TABLE + 64, "00000000 000008d9 00000080 00000007 00000000 00000000 00000000 00000000");
        assertEquals(Refusal.UNSUPPORTED, board.write(1, 0x10));
        board.register(0, 0x04, 0x7000_0000 - 0x8000_0000);
        board.register(0, 0x00, 0xff);
        board.register(0, 0x08, 0xff);
        board.register(0, 0x0c, -1);
        assertEquals(Refusal.MALFORMED, board.write(1, 0x10), "tables where nothing answers read as all ones");
    }

    @Test
    @DisplayName("PAMU: immediate operation encodings: MOEA for IOEA, MOEB for IOEB, nothing else passes")
    void immediate() {
        start();
        board.entry(TABLE + 64, "00000000 000008d9 00000080 00000005 00000000 00000000 00000000 00988101");
        assertEquals(0x10, board.read(1, 0x10), "IOEA 0x00 -> 0x98");
        assertEquals(Refusal.UNSUPPORTED, board.write(1, 0x10), "IOEB 0x81 -> 0x01 has no valid bit");
        assertEquals(0x0001_0003, board.register(0, 0x50));
    }

    @Test
    @DisplayName("PAMU: violation codes fit their fields")
    void codes() {
        assertThrows(IllegalArgumentException.class, () -> new ViolationCodes(8, 2, 3, 1, 2, 3, 4, 1, 2, 1, 2));
        assertThrows(IllegalArgumentException.class, () -> new ViolationCodes(1, 2, 3, 1, 2, 3, 4, 0, 2, 1, 2));
        assertThrows(IllegalArgumentException.class, () -> new PamuModel(0, 0, 3, 0, ViolationCodes.MODEL));
    }

    @Test
    @DisplayName("PAMU probe: PC 0x40001011, PICS 0x4, ENODEV where no unit answers; PC 0x80000000 after close")
    void probe() {
        board.write(1, 0);
        PamuDriver driver = board.driver();
        for (int i = 0; i < 2; i++) {
            assertEquals(0x4000_1011, board.register(i, 0xc10));
            assertEquals(4, board.register(i, 0xc1c));
            assertEquals(0, board.register(i, 0x50) & 0x7fff, "what happened before is not this driver's news");
        }
        assertEquals(0, board.word(Board.BYPASS));
        long free = board.machine.memory().available();
        driver.close();
        driver.close();
        assertEquals(free + 0x80000, board.machine.memory().available());
        for (int i = 0; i < 2; i++) {
            assertEquals(0x8000_0000, board.register(i, 0xc10));
            assertEquals(Refusal.BLOCKED, board.pamu(i).translate(1, 0, 4, Access.READ));
        }
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, driver::open).errno());
        board.plugged.close();
        free = board.machine.memory().available();
        assertEquals(Errno.ENODEV, assertThrows(ErrnoException.class, board::driver).errno());
        assertEquals(free, board.machine.memory().available());
    }
}
