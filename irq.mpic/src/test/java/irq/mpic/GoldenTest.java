// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import static org.junit.jupiter.api.Assertions.assertEquals;

import irq.api.MsiBank;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Addresses and numbers of real boards, literally. */
class GoldenTest {
    @Test
    @DisplayName("P4080 and the others before 4.3: three banks of 256 at 0xf_fe044140, ...45140, ...46140")
    void threeBanks() {
        Board board = Board.p4080();
        try (MpicDriver driver = new MpicDriver(board.machine, Board.PIC_NODE, MpicSettings.DEFAULTS, board.report)) {
            assertEquals(List.of(
                new MsiBank(0, 0xffe044000L, 0x1000, 256),
                new MsiBank(1, 0xffe045000L, 0x1000, 256),
                new MsiBank(2, 0xffe046000L, 0x1000, 256)), driver.doorbells().banks());
            assertEquals(256, driver.doorbells().free(2));
            List<MsiVector> vectors = new ArrayList<>();
            for (int i = 0; i < 0x68; i++) {
                vectors.add(driver.doorbells().allocate(new MsiRequest(1, List.of(1), () -> {
                })));
            }
            assertEquals(new MsiVector(1, 0x67), vectors.get(0x67));
            assertEquals(new MsiMessage(1, 0x140, 0x67), driver.doorbells().compose(vectors.get(0x67)));
        }
    }

    @Test
    @DisplayName("T4240, T2080, B4: four banks of 512 at 0xf_fe044148 to ...47148")
    void fourBanks() {
        Board board = Board.t4240();
        try (MpicDriver driver = new MpicDriver(board.machine, Board.PIC_NODE, MpicSettings.DEFAULTS, board.report)) {
            assertEquals(List.of(
                new MsiBank(0, 0xffe044000L, 0x1000, 512),
                new MsiBank(1, 0xffe045000L, 0x1000, 512),
                new MsiBank(2, 0xffe046000L, 0x1000, 512),
                new MsiBank(3, 0xffe047000L, 0x1000, 512)), driver.doorbells().banks());
            MsiVector vector = driver.doorbells().allocate(new MsiRequest(1, List.of(3), () -> {
            }));
            assertEquals(new MsiMessage(3, 0x148, 0), driver.doorbells().compose(vector));
        }
    }

    @Test
    @DisplayName("MPIC source numbers: 0xe0 + 8 * bank + r; MSIR8..15 of 4.3 at 0x100 + 8 * bank + r - 8")
    void sources() {
        assertEquals(0xe0, MsiLayout.source(0, 0));
        assertEquals(0xef, MsiLayout.source(1, 7));
        assertEquals(0xf0, MsiLayout.source(2, 0));
        assertEquals(0xff, MsiLayout.source(3, 7));
        assertEquals(0x100, MsiLayout.source(0, 8));
        assertEquals(0x10f, MsiLayout.source(1, 15));
        assertEquals(0x118, MsiLayout.source(3, 8));
        assertEquals(0x11f, MsiLayout.source(3, 15));
    }

    @Test
    @DisplayName("MPIC 5.4: hwirq is SRS * 32 + IBS, in 4.3 IBS * 16 + SRS")
    void encodings() {
        assertEquals(0x67, MsiLayout.THREE_BANKS.vector(3, 7));
        assertEquals(255, MsiLayout.THREE_BANKS.vector(7, 31));
        assertEquals(0x73, MsiLayout.V4_3.vector(3, 7));
        assertEquals(511, MsiLayout.V4_3.vector(15, 31));
        for (MsiLayout layout : List.of(MsiLayout.THREE_BANKS, MsiLayout.V4_3)) {
            assertEquals(layout.vectors(), layout.registers() * 32);
            for (int vector = 0; vector < layout.vectors(); vector++) {
                assertEquals(vector, layout.vector(layout.register(vector), layout.bit(vector)));
            }
        }
    }
}
