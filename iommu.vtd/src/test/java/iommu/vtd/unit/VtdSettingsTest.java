// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.vtd.VtdCapabilities;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.api.config.ConfigurationReader;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class VtdSettingsTest {
    private static final long CAP = VtdSettings.DEFAULT.capabilities().cap();
    private static final long ECAP = VtdSettings.DEFAULT.capabilities().ecap();

    private static VtdSettings unit(long cap, long ecap, int hostWidth, int entries) {
        return new VtdSettings(new VtdCapabilities(cap, ecap), hostWidth, true, true, entries);
    }

    private static void refused(String message, long cap, long ecap, int hostWidth, int entries) {
        String said = assertThrows(IllegalArgumentException.class, () -> unit(cap, ecap, hostWidth, entries))
            .getMessage();
        assertTrue(said.contains(message), said);
    }

    /** CAP with SAGAW and MGAW. */
    private static long widths(int sagaw, int mgaw) {
        return CAP & ~(0x1fL << 8 | 0x3fL << 16) | (long) sagaw << 8 | mgaw - 1L << 16;
    }

    @DisplayName("SAGAW (VT-d 11.4.2): tables of 3, 4 and 5 levels, no others, at least one of them")
    @Test
    void widths() {
        for (int sagaw : new int[] {0x0, 0x1, 0x10, 0x5, 0x12, 0x1f}) {
            refused(String.format("SAGAW 0x%x: ", sagaw), widths(sagaw, 30), ECAP, 46, 64);
        }
        for (int sagaw : new int[] {0x2, 0x4, 0x8, 0x6, 0xe}) {
            assertEquals(sagaw, unit(widths(sagaw, 39), ECAP, 46, 64).capabilities().widths());
        }
    }

    @DisplayName("MGAW: not more bits than the deepest tables translate: 39, 48, 57")
    @Test
    void addressWidth() {
        int[][] widest = {{0x2, 39}, {0x4, 48}, {0x8, 57}, {0x6, 48}, {0xa, 57}};
        for (int[] each : widest) {
            assertEquals(each[1], unit(widths(each[0], each[1]), ECAP, 46, 64).capabilities().addressWidth());
            refused("MGAW of " + (each[1] + 1) + " bits, but the deepest tables translate " + each[1],
                widths(each[0], each[1] + 1), ECAP, 46, 64);
        }
    }

    @DisplayName("A physical address has 32 to 52 bits; an IOTLB has a power of two of entries, 64 to 2^20")
    @Test
    void widthAndEntries() {
        assertEquals(32, unit(CAP, ECAP, 32, 64).hostWidth());
        assertEquals(52, unit(CAP, ECAP, 52, 1 << 20).hostWidth());
        refused("31 bits", CAP, ECAP, 31, 64);
        refused("53 bits", CAP, ECAP, 53, 64);
        for (int entries : new int[] {0, 32, 96, 1 << 21, Integer.MIN_VALUE}) {
            refused("IOTLB of " + entries + " entries", CAP, ECAP, 46, entries);
        }
    }

    /** Fault records and IOTLB registers at those offsets. */
    private static boolean fits(int records, int faultOffset, int iotlbOffset) {
        long cap = CAP & ~(0x3ffL << 24 | 0xffL << 40) | (long) faultOffset >> 4 << 24 | records - 1L << 40;
        long ecap = ECAP & ~(0x3ffL << 8) | (long) iotlbOffset >> 4 << 8;
        try {
            unit(cap, ecap, 46, 64);
            return true;
        } catch (IllegalArgumentException e) {
            assertTrue(e.getMessage().contains(String.format("0x%x..0x%x and IOTLB registers at 0x%x ", faultOffset,
                faultOffset + 16 * records, iotlbOffset)), e.getMessage());
            return false;
        }
    }

    @DisplayName("FRO and IRO (VT-d 11.4.2, 11.4.3): inside the page, behind the registers with fixed places, apart")
    @Test
    void places() {
        assertTrue(fits(8, 0xf0, 0x170), "records end where IOTLB registers begin");
        assertTrue(!fits(9, 0xf0, 0x170));
        assertTrue(fits(8, 0x200, 0x1f0), "IOTLB registers end where records begin");
        assertTrue(!fits(8, 0x200, 0x200));
        assertTrue(!fits(8, 0x210, 0x220));
        assertTrue(fits(8, 0xf80, 0xf0), "records end with the page");
        assertTrue(!fits(9, 0xf80, 0xf0));
        assertTrue(fits(8, 0xf0, 0xff0), "IOTLB registers end with the page");
        assertTrue(!fits(8, 0xf0, 0x1000));
        assertTrue(!fits(8, 0xe0, 0x200), "there are registers with fixed places");
        assertTrue(!fits(8, 0x200, 0xe0));
    }

    @DisplayName("Interrupt remapping needs queued invalidation (VT-d 5.1)")
    @Test
    void remapping() {
        refused("needs queued invalidation", CAP, ECAP & ~2L | 8, 46, 64);
        assertTrue(unit(CAP, ECAP & ~(2L | 8), 46, 64).capabilities().widths() != 0);
    }

    @DisplayName("ND (VT-d 11.4.2): 4 to 16 bits of domain ids, an even number")
    @Test
    void domainBits() {
        for (int bits = 0; bits <= 20; bits++) {
            List<String> lines = new ArrayList<>();
            VtdSettings read = new ConfigurationReader("iommu.vtd.unit", VtdUnitComponent.Config.class, lines::add)
                .read(Map.of("domain.bits", bits), VtdSettings::of);
            boolean legal = bits >= 4 && bits <= 16 && bits % 2 == 0;
            assertEquals(legal, lines.isEmpty(), bits + ": " + lines);
            assertEquals(legal ? (bits - 4) / 2 : 6, (int) read.capabilities().cap() & 7, bits + " bits");
        }
    }
}
