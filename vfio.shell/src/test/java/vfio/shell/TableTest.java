// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class TableTest {
    @DisplayName("Columns of numbers are set flush right, others flush left; no blanks at the end of a line")
    @Test
    void alignment() {
        assertEquals("""
              window  name  bytes
              ──────  ────  ─────
                   0  one    0x10
                 1–7  two
            """, new Table("window", "name", "bytes").row(0, "one", "0x10").row("1–7", "two", "").toString());
    }
}
