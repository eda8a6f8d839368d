// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.api.IommuCapabilities;
import iommu.api.ReservedRegion;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.ContainerInfo.IovaRange;
import vfio.container.dma.IovaRanges;

class IovaRangesTest {
    private static ReservedRegion region(long start, long end) {
        return new ReservedRegion(start, end, ReservedRegion.Kind.RESERVED);
    }

    private static List<IovaRange> valid(long start, long end, ReservedRegion... regions) {
        return IovaRanges.valid(IommuCapabilities.paged(0x1000, start, end, List.of()), List.of(regions));
    }

    @Test
    @DisplayName("IOVA_RANGE: without reserved regions the whole aperture")
    void all() {
        assertEquals(List.of(new IovaRange(0x1000, -1)), valid(0x1000, -1));
    }

    @Test
    @DisplayName("IOVA_RANGE: regions overlap, touch, come unsorted, hang over both ends; addresses are unsigned")
    void cuts() {
        assertEquals(List.of(new IovaRange(0x4000, 0x4fff), new IovaRange(0x8000, 0x8fff)),
            valid(0x1000, 0xafff, region(0x9000, 0xffff), region(0x0, 0x2fff), region(0x2000, 0x3fff),
                region(0x5000, 0x5fff), region(0x6000, 0x7fff)));
        assertEquals(List.of(new IovaRange(0, 0x7fff_ffff_ffff_ffffL)), valid(0, -1, region(1L << 63, -1)));
        assertEquals(List.of(), valid(0x1000, 0x1fff, region(0, -1)));
        assertEquals(List.of(new IovaRange(0x1000, 0x1fff)), valid(0x1000, 0x1fff, region(0x2000, -1)));
    }
}
