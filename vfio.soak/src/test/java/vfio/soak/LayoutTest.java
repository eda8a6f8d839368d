// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class LayoutTest {
    private final Layout layout = new Layout(0x80_0000L, 0x10000, 64);

    @DisplayName("Every slot is of one kind: mapped, never mapped, coming and going, for banks; outside is never "
        + "mapped")
    @Test
    void kinds() {
        for (int slot = 0; slot < 64; slot++) {
            int kinds = (layout.steady(slot) ? 1 : 0) + (layout.never(slot) ? 1 : 0) + (layout.churn(slot) ? 1 : 0)
                + (slot >= layout.firstBank() ? 1 : 0);
            assertEquals(1, kinds, "slot " + slot);
        }
        assertEquals(16, IntStream.range(0, 64).filter(layout::steady).count());
        assertEquals(16, layout.steady());
        assertEquals(16, IntStream.range(0, 64).filter(layout::churn).count());
        assertTrue(layout.never(-1) && layout.never(64));
        assertFalse(layout.steady(-2) || layout.churn(64));
    }

    @DisplayName("Addresses to slots: the first and the last byte of each, and everything outside")
    @Test
    void slots() {
        for (int slot = 0; slot < 64; slot++) {
            assertEquals(slot, layout.slot(layout.iova(slot)));
            assertEquals(slot, layout.slot(layout.iova(slot) + 0xffff));
        }
        assertEquals(-1, layout.slot(0x7f_ffffL));
        assertEquals(-1, layout.slot(0));
        assertEquals(64, layout.slot(0xc0_0000L));
        assertEquals(64, layout.slot(0xfee0_0000L));
        assertEquals(0xc0_0000L, layout.end());
    }

    @DisplayName("As many slots as windows, a power of two, at most 64; 64 where there are no windows")
    @Test
    void windows() {
        assertEquals(64, Layout.slots(true, 256));
        assertEquals(16, Layout.slots(true, 16));
        assertEquals(16, Layout.slots(true, 31));
        assertEquals(64, Layout.slots(false, 0));
    }
}
