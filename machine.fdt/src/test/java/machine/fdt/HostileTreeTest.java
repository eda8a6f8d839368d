// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Trees that are well formed and too much: each is refused in one line before it costs time or memory. */
@Timeout(10)
class HostileTreeTest {
    private static void refused(String reason, TreeWriter tree) {
        ErrnoException e = assertThrows(ErrnoException.class, () -> TestData.open(tree.done()));
        assertEquals(Errno.EINVAL, e.errno());
        assertTrue(e.getMessage().contains(reason), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
    }

    @DisplayName("Memory beyond 1 TiB: its directory alone would not fit")
    @Test
    void largeMemory() {
        refused("at most 64 of 0x10000000000", new TreeWriter().pamu().memory(1, 0, 0x0007_0000, 0));
        refused("at most 64 of 0x10000000000", new TreeWriter().pamu().memory(0, 0, 0x0010_0000, 0));
    }

    @DisplayName("Memory in thousands of pieces")
    @Test
    void scatteredMemory() {
        int[] reg = new int[4 * 30_000];
        for (int i = 0; i < reg.length; i += 4) {
            reg[i] = 1;
            reg[i + 1] = 0x2000 * (i / 4);
            reg[i + 3] = 0x1000;
        }
        refused("30000 pieces", new TreeWriter().pamu().memory(reg));
    }

    @DisplayName("More than 1024 memory reservations")
    @Test
    void reservations() {
        TreeWriter tree = new TreeWriter().pamu();
        for (int i = 0; i < 1025; i++) {
            tree.reserve(0x0100_0000L + 0x2000L * i, 1);
        }
        refused("more than 1024 memory reservations", tree);
    }

    @DisplayName("Deep paths of long names: each node below would hold one")
    @Test
    void longPaths() {
        TreeWriter tree = new TreeWriter();
        for (int i = 0; i < 5; i++) {
            tree.begin("x".repeat(250));
        }
        for (int i = 0; i < 5; i++) {
            tree.end();
        }
        refused("a path is longer than 1024", tree);
    }

    @DisplayName("PAMU nodes that ask for 64 instances each: one has them, and not every other one has a warning of "
        + "its own")
    @Test
    void pamus() {
        TreeWriter tree = new TreeWriter();
        for (int i = 0; i < 1_000; i++) {
            tree.begin("p" + i).text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x40000).end();
        }
        Machine machine = TestData.open(tree.done());
        assertEquals(1 + 1 + 64, machine.nodes().size());
        assertEquals(65, machine.warnings().size());
        assertEquals("device tree: 936 more like these", machine.warnings().get(64));
    }

    @DisplayName("Interrupt parents that go in a circle")
    @Test
    void circle() {
        assertEquals(List.of(),
            TestData.open(new TreeWriter().pamu().begin("a").cells("phandle", 1).cells("interrupt-parent", 2).end()
            .begin("b").cells("phandle", 2).cells("interrupt-parent", 1).cells("interrupts", 5).end().done())
                .nodes().get(2).interrupts());
    }

    @DisplayName("A bus whose ranges have thousands of entries")
    @Test
    void ranges() {
        TreeWriter tree = new TreeWriter().pamu().begin("bus").cells("#address-cells", 1).cells("#size-cells", 1)
            .cells("ranges", new int[4 * 10_000]);
        refused("ranges has more than 1024 entries", tree.begin("d").cells("reg", new int[2 * 10_000]).end().end());
    }

    @DisplayName("A tree of more than 2 MiB")
    @Test
    void largeTree() {
        refused("more than 0x200000 are not believed", new TreeWriter().cells("padding", new int[1 << 19]));
    }
}
