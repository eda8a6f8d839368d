// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.List;
import java.util.Set;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** LIODNs as a boot loader gives them; of a tree that does not have them, and without a real board. */
class QorIqTest {
    private static final long CCSR = 0xf_fe00_0000L;

    private static int pcie(String chip, long offset, int index, Integer... taken) {
        return QorIq.liodn(chip, true, CCSR + offset, index, Set.of(taken));
    }

    private static int dma(String chip, long offset, int index, Integer... taken) {
        return QorIq.liodn(chip, false, CCSR + offset, index, Set.of(taken));
    }

    @DisplayName("U-Boot's tables: the controller at an address has its number, whichever others there are")
    @ParameterizedTest
    @CsvSource({"p4080, 193 194 195, 196 197", "p2041, 193 194 195, 197 198", "p3041, 193 194 195 196, 197 198",
        "p5020, 193 194 195 196, 197 198", "p5040, 195 196 197, 193 194", "b4860, 148, 147 227", "b4420, 148, 147 227"})
    void pSeries(String chip, String pcie, String dma) {
        check(chip, 0x1000, 0x20_0000, pcie, dma);
    }

    @DisplayName("U-Boot's tables: T series, whose controllers are 64 KiB apart")
    @ParameterizedTest
    @CsvSource({"t1023, 148 228 308, 147 227", "t1024, 148 228 308, 147 227", "t1040, 148 228 308 388, 147 227",
        "t1042, 148 228 308 388, 147 227", "t4240, 148 228 308 388, 147 227", "t2080, 148 228 308 388, 147 227 226",
        "t2081, 148 228 308 388, 147 227 226"})
    void tSeries(String chip, String pcie, String dma) {
        check(chip, 0x1_0000, 0x24_0000, pcie, dma);
    }

    private static void check(String chip, int step, int first, String pcie, String dma) {
        String[] expected = pcie.split(" ");
        for (int i = 0; i < expected.length; i++) {
            assertEquals(Integer.parseInt(expected[i]), pcie(chip, first + i * step, 9), chip + " pcie " + i);
        }
        String[] engines = dma.split(" ");
        for (int i = 0; i < engines.length; i++) {
            assertEquals(Integer.parseInt(engines[i]), dma(chip, 0x10_0300 + i * 0x1000, 9), chip + " dma " + i);
        }
    }

    @DisplayName("A master that is not in the table gets a unique number above the table's, even places for PCIe and "
        + "odd ones for DMA")
    @Test
    void beside() {
        assertEquals(198, pcie("p4080", 0x20_3000, 0), "one controller more than the chip has");
        assertEquals(198 + 2 * 3 + 1, dma("p4080", 0x10_2300, 3));
        assertEquals(389, pcie("t1040", 0x20_0000, 0), "a place below the first");
        assertEquals(389 + 2, pcie("t1040", 0x24_0800, 1), "between two places");
        assertEquals(198 + 2, pcie("p5040", 0x1f_f000, 1), "PCIe has the larger numbers here");
        assertEquals(228 + 1, dma("b4860", 0x10_2300, 0), "DMA has");
        assertEquals(204, pcie("p4080", 0x20_3000, 0, 198, 200, 202, 199));
        assertEquals(205, dma("p4080", 0x10_2300, 1, 201, 203));
    }

    @DisplayName("Of a chip that nobody knows: 193 and up")
    @Test
    void unknownChip() {
        assertEquals(193, pcie("", 0x20_0000, 0));
        assertEquals(194, dma("", 0x10_0300, 0));
        assertEquals(197, pcie("", 0x20_0000, 2));
        assertEquals(198, dma("", 0x10_0300, 2));
        assertEquals(197, pcie("", 0x20_0000, 0, 193, 195));
    }

    @DisplayName("The chip is the one most nodes name, written large or small; names of unknown chips do not count")
    @Test
    void chip() {
        assertEquals("", QorIq.chip(List.of()));
        assertEquals("",
            QorIq.chip(List.of(List.of("fsl,p9999-pcie"), List.of("simple-bus"), List.of("fsl,qoriq-pcie"))));
        assertEquals("p4080", QorIq.chip(List.of(List.of("gantry,example", "fsl,P4080"))));
        assertEquals("t1040",
            QorIq.chip(List.of(List.of("fsl,p4080-guts"), List.of("fsl,t1040-guts", "fsl,t1040-dma"))));
        assertEquals("t4240",
            QorIq.chip(List.of(List.of("fsl,T4240QDS"), List.of("fsl,b4860-pcie"), List.of("fsl,t4240-pcie"))));
    }
}
