// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Random;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
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

    private static Table people() {
        return new Table("name", "µs", "what was said of it")
            .row("iommu.pamu", 12, "nothing that anybody could remember afterwards")
            .row("irq.mpic", 345, "yes");
    }

    @DisplayName("A table that is wider than the terminal is folded where there are words; numbers and names stay "
        + "whole, a pipe has it all")
    @Test
    void folded() {
        assertEquals("""
              name         µs  what was said of it
              ──────────  ───  ──────────────────────
              iommu.pamu   12  nothing that anybody
                               could remember
                               afterwards
              irq.mpic    345  yes
            """, people().fitting(41));
        assertEquals(people().fitting(0), people().fitting(200));
        assertTrue(people().fitting(0).contains("nothing that anybody could remember afterwards\n"));
    }

    @DisplayName("A table that cannot be folded enough is stacked: a line for each cell, names in front")
    @Test
    void stacked() {
        assertEquals("""
              from  0x1234567890123456
              to    0xfedcba9876543210
              what  memory that nobody has asked
                    for

              from  0x0
              to    0x1
            """,
            new Table("from", "to", "what")
                .row("0x1234567890123456", "0xfedcba9876543210", "memory that nobody has asked for")
            .row("0x0", "0x1", "").fitting(38));
    }

    @DisplayName("No line is longer than the terminal is wide, whatever the content")
    @Test
    void fits() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        Random random = new Random(seed);
        for (int i = 0; i < 500; i++) {
            Table table = new Table(
                IntStream.range(0, 1 + random.nextInt(14)).mapToObj(at -> words(random, 2)).toArray(String[]::new));
            for (int row = random.nextInt(5); row >= 0; row--) {
                table.row(IntStream.range(0, 14)
                    .mapToObj(at -> random.nextBoolean() ? random.nextInt(99999) : words(random, 12)).toArray());
            }
            int columns = 60 + random.nextInt(100);
            assertTrue(table.fitting(columns).lines().allMatch(line -> line.length() <= columns),
                "seed " + seed + "\n" + table.fitting(columns));
        }
    }

    private static String words(Random random, int most) {
        return IntStream.rangeClosed(0, random.nextInt(most)).mapToObj(at -> "x".repeat(1 + random.nextInt(14)))
            .collect(Collectors.joining(" "));
    }
}
