// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Trees that are well formed and too much: each is refused in one line before it costs time or memory. */
@Timeout(10)
class HostileTreeTest {
    /** Writes the structure and strings blocks; the root is open from the start. */
    private static final class Tree {
        private final ByteArrayOutputStream structure = new ByteArrayOutputStream();
        private final DataOutputStream out = new DataOutputStream(structure);
        private final ByteArrayOutputStream strings = new ByteArrayOutputStream();
        private final Map<String, Integer> names = new LinkedHashMap<>();
        private int reservations;

        Tree() {
            begin("").cells("#address-cells", 2).cells("#size-cells", 2);
        }

        Tree begin(String name) {
            return ints(1).bytes((name + '\0').getBytes(StandardCharsets.US_ASCII));
        }

        Tree end() {
            return ints(2);
        }

        Tree text(String name, String value) {
            byte[] bytes = (value + '\0').getBytes(StandardCharsets.US_ASCII);
            return ints(3, bytes.length, offset(name)).bytes(bytes);
        }

        Tree cells(String name, int... cells) {
            return ints(3, 4 * cells.length, offset(name)).ints(cells);
        }

        Tree memory(int... reg) {
            return begin("memory").text("device_type", "memory").cells("reg", reg).end();
        }

        byte[] done() {
            end().ints(9);
            int tables = 40 + 16 * (reservations + 1);
            int total = tables + structure.size() + strings.size();
            Tree header = new Tree(null);
            header.ints(FlatTree.MAGIC, total, tables, tables + structure.size(), 40, 17, 16, 0, strings.size(), structure.size());
            for (int i = 0; i < reservations; i++) {
                header.ints(0, 0x0100_0000 + 0x2000 * i, 0, 1);
            }
            header.ints(0, 0, 0, 0);
            header.structure.writeBytes(structure.toByteArray());
            header.structure.writeBytes(strings.toByteArray());
            return header.structure.toByteArray();
        }

        private Tree(Void empty) {
        }

        private int offset(String name) {
            return names.computeIfAbsent(name, fresh -> {
                int at = strings.size();
                strings.writeBytes((fresh + '\0').getBytes(StandardCharsets.US_ASCII));
                return at;
            });
        }

        private Tree ints(int... words) {
            try {
                for (int word : words) {
                    out.writeInt(word);
                }
                return this;
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }

        private Tree bytes(byte[] bytes) {
            structure.writeBytes(Arrays.copyOf(bytes, bytes.length + 3 & ~3));
            return this;
        }
    }

    private static void refused(String reason, Tree tree) {
        ErrnoException e = assertThrows(ErrnoException.class, () -> TestData.open(tree.done()));
        assertEquals(Errno.EINVAL, e.errno());
        assertTrue(e.getMessage().contains(reason), e.getMessage());
        assertEquals(1, e.getMessage().lines().count());
    }

    @DisplayName("Memory beyond 1 TiB: its directory alone would not fit")
    @Test
    void largeMemory() {
        refused("at most 64 of 0x10000000000", new Tree().memory(1, 0, 0x0007_0000, 0));
        refused("at most 64 of 0x10000000000", new Tree().memory(0, 0, 0x0010_0000, 0));
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
        refused("30000 pieces", new Tree().memory(reg));
    }

    @DisplayName("More than 1024 memory reservations")
    @Test
    void reservations() {
        Tree tree = new Tree();
        tree.reservations = 1025;
        refused("more than 1024 memory reservations", tree);
    }

    @DisplayName("Deep paths of long names: each node below would hold one")
    @Test
    void longPaths() {
        Tree tree = new Tree();
        for (int i = 0; i < 5; i++) {
            tree.begin("x".repeat(250));
        }
        for (int i = 0; i < 5; i++) {
            tree.end();
        }
        refused("a path is longer than 1024", tree);
    }

    @DisplayName("PAMU nodes that ask for 64 instances each")
    @Test
    void pamus() {
        Tree tree = new Tree();
        for (int i = 0; i < 1_000; i++) {
            tree.begin("p" + i).text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x40000).end();
        }
        refused("more than 16384 nodes", tree);
    }

    @DisplayName("A bus whose ranges have thousands of entries")
    @Test
    void ranges() {
        Tree tree = new Tree().begin("bus").cells("#address-cells", 1).cells("#size-cells", 1).cells("ranges", new int[4 * 10_000]);
        refused("ranges has more than 64 entries", tree.begin("d").cells("reg", new int[2 * 10_000]).end().end());
    }

    @DisplayName("A tree of more than 2 MiB")
    @Test
    void largeTree() {
        refused("more than 0x200000 are not believed", new Tree().cells("padding", new int[1 << 19]));
    }
}
