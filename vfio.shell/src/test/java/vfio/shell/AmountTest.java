// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class AmountTest {
    @DisplayName("Numbers as people write them")
    @ParameterizedTest
    @CsvSource({"0, 0", "8, 8", "0x10000000, 268435456", "512M, 536870912", "64k, 65536", "2G, 2147483648",
        "1T, 1099511627776", "0xffffffffffffffff, -1", " 4K , 4096"})
    void parse(String text, long number) {
        assertEquals(number, Amount.parse(text));
    }

    @DisplayName("A text that is no number is refused by name, an overflow too")
    @Test
    void noNumbers() {
        for (String text : List.of("", "M", "12X", "0x", "0xg", "1.5M", "9999999T")) {
            assertTrue(assertThrows(IllegalArgumentException.class, () -> Amount.parse(text)).getMessage()
                .contains("'" + text + "'"));
        }
    }

    @DisplayName("Sizes in the largest unit without a remainder")
    @ParameterizedTest
    @CsvSource({"0, 0 B", "512, 512 B", "4096, 4 KiB", "67108864, 64 MiB", "1610612736, 1536 MiB",
        "1099511627776, 1 TiB"})
    void size(long bytes, String text) {
        assertEquals(text, Amount.size(bytes));
    }
}
