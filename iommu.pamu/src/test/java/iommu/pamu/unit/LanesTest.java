// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class LanesTest {
    @Test
    @DisplayName("a narrow read has the bytes of its own lanes and no others; lanes beyond the register read as zero")
    void lanes() {
        assertEquals(0x88776655L, Lanes.read(0x88776655, 0, 4));
        assertEquals(0x55, Lanes.read(0x88776655, 8, 1));
        assertEquals(0x66, Lanes.read(0x88776655, 1, 1));
        assertEquals(0x8877, Lanes.read(0x88776655, 2, 2));
        assertEquals(0x88, Lanes.read(0x88776655, 3, 2));
        assertEquals(0x7766, Lanes.read(0x88776655, 0x101, 2));
        assertEquals(0x887766, Lanes.read(0x88776655, 1, 4));
    }
}
