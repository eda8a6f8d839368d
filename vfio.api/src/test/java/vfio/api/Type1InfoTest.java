// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import iommu.api.IommuCapabilities;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.ContainerInfo.Migration;

class Type1InfoTest {
    private static final IommuCapabilities PC = IommuCapabilities.paged(0x4020_1000, 0, 0xffff_ffff_ffffL, List.of());
    private static final List<IovaRange> RANGES =
        List.of(new IovaRange(0, 0xfedf_ffffL), new IovaRange(0xfef0_0000L, 0xffff_ffff_ffffL));
    private static final ContainerInfo INFO =
        new ContainerInfo(PC, RANGES, 65_535, Optional.of(new Migration(0, 0x1000, Migration.MAX_DIRTY_BITMAP_SIZE)));

    private static String encode(ContainerInfo info, int argsz) {
        return HexFormat.of().formatHex(Type1Info.encode(info, argsz));
    }

    @Test
    @DisplayName("GET_INFO: MIGRATION at 24, DMA_AVAIL at 24 + 32, IOVA_RANGE at 24 + 32 + 12 = 68, little-endian, "
        + "116 bytes")
    void golden() {
        assertEquals(
            // type1_info: argsz 116, flags PGSIZES + CAPS, 4 KiB + 2 MiB + 1 GiB, cap_offset 24, padding
            "74000000" + "03000000" + "0010204000000000" + "18000000" + "00000000"
                // MIGRATION: id 2, version 1, next 56; flags 0, padding, 4 KiB, 0x10000000
                + "0200" + "0100" + "38000000" + "00000000" + "00000000" + "0010000000000000" + "0000001000000000"
                // DMA_AVAIL: id 3, version 1, next 68; 65535
                + "0300" + "0100" + "44000000" + "ffff0000"
                // IOVA_RANGE: id 1, version 1, the last; 2 ranges, reserved, start and inclusive end
                + "0100" + "0100" + "00000000" + "02000000" + "00000000"
                + "0000000000000000" + "ffffdffe00000000" + "0000f0fe00000000" + "ffffffffffff0000",
            encode(INFO, 116));
    }

    @Test
    @DisplayName("GET_INFO: an argsz that is too large stays, and no more is written")
    void large() {
        assertEquals("00100000" + encode(INFO, 116).substring(8), encode(INFO, 4096));
    }

    @ParameterizedTest
    @DisplayName("GET_INFO: argsz too small for the capabilities: the call succeeds, argsz is what is needed, "
        + "cap_offset 0")
    @CsvSource({"115, 74000000030000000010204000000000" + "00000000",
        "24, 74000000030000000010204000000000" + "00000000", "20, 74000000030000000010204000000000" + "00000000",
        "19, 74000000030000000010204000000000", "16, 74000000030000000010204000000000"})
    void small(int argsz, String expected) {
        assertEquals(expected, encode(INFO, argsz));
    }

    @Test
    @DisplayName("GET_INFO: argsz less than 16: EINVAL")
    void tooSmall() {
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> Type1Info.encode(INFO, 15)).errno());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> Type1Info.encode(INFO, -1)).errno());
    }

    @Test
    @DisplayName("GET_INFO: without migration DMA_AVAIL is the first capability; without ranges it is the last")
    void fewer() {
        ContainerInfo bare = new ContainerInfo(PC, List.of(), 7, Optional.empty());
        assertEquals(
            "24000000" + "03000000" + "0010204000000000" + "18000000" + "00000000" + "0300" + "0100" + "00000000"
                + "07000000",
            encode(bare, 36));
        String ranges = encode(new ContainerInfo(PC, RANGES, 7, Optional.empty()), 84);
        assertEquals("03000100" + "24000000" + "07000000" + "01000100" + "00000000" + "02000000",
            ranges.substring(48, 96));
    }
}
