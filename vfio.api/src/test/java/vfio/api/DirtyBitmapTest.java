// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class DirtyBitmapTest {
    @ParameterizedTest
    @DisplayName("vfio_bitmap: 8 bytes for each 64 pages begun")
    @CsvSource({"0, 0", "1, 8", "63, 8", "64, 8", "65, 16", "2147483648, 268435456",
        "9223372036854775807, 1152921504606846976"})
    void bytes(long pages, long bytes) {
        assertEquals(bytes, DirtyBitmap.bytes(pages));
    }

    @Test
    @DisplayName("vfio_bitmap: bit n is bit n % 8 of byte n / 8 from the buffer's position on")
    void order() {
        ByteBuffer bits = ByteBuffer.wrap(new byte[] {-1, 0x01, (byte) 0x80, 0, 0, 0, 0, 0, 0x04}).position(1);
        DirtyBitmap bitmap = new DirtyBitmap(0x1000, bits);
        assertTrue(bitmap.dirty(0));
        assertFalse(bitmap.dirty(1));
        assertTrue(bitmap.dirty(15));
        assertTrue(bitmap.dirty(58));
        assertThrows(IndexOutOfBoundsException.class, () -> bitmap.dirty(64));
        assertThrows(IndexOutOfBoundsException.class, () -> bitmap.dirty(-1));
    }
}
