// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Writes a flattened tree. The root is open from the start, with two cells for addresses and two for sizes. */
final class TreeWriter {
    private static final int HEADER = 40;

    private final ByteArrayOutputStream structure = new ByteArrayOutputStream();
    private final DataOutputStream out = new DataOutputStream(structure);
    private final ByteArrayOutputStream strings = new ByteArrayOutputStream();
    private final Map<String, Integer> names = new LinkedHashMap<>();
    private final List<long[]> reservations = new ArrayList<>();

    TreeWriter() {
        begin("").cells("#address-cells", 2).cells("#size-cells", 2);
    }

    /** A PAMU, without which no other complaint is made. */
    TreeWriter pamu() {
        return begin("iommu@f0020000").text("compatible", "fsl,pamu").cells("reg", 0, 0xf002_0000, 0, 0x2000).end();
    }

    TreeWriter begin(String name) {
        return ints(1).bytes((name + '\0').getBytes(StandardCharsets.US_ASCII));
    }

    TreeWriter end() {
        return ints(2);
    }

    TreeWriter text(String name, String value) {
        byte[] bytes = (value + '\0').getBytes(StandardCharsets.US_ASCII);
        return ints(3, bytes.length, offset(name)).bytes(bytes);
    }

    TreeWriter cells(String name, int... cells) {
        return ints(3, 4 * cells.length, offset(name)).ints(cells);
    }

    TreeWriter memory(int... reg) {
        return begin("memory").text("device_type", "memory").cells("reg", reg).end();
    }

    /** An entry of the memory reservation block: {@code /memreserve/ address size;}. */
    TreeWriter reserve(long address, long size) {
        reservations.add(new long[] {address, size});
        return this;
    }

    /** Closes the root. */
    byte[] done() {
        end().ints(9);
        int tables = HEADER + 16 * (reservations.size() + 1);
        int total = tables + structure.size() + strings.size();
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        try (DataOutputStream all = new DataOutputStream(file)) {
            for (int word : new int[] {FlatTree.MAGIC, total, tables, tables + structure.size(), HEADER, 17, 16, 0,
                strings.size(), structure.size()}) {
                all.writeInt(word);
            }
            for (long[] reservation : reservations) {
                all.writeLong(reservation[0]);
                all.writeLong(reservation[1]);
            }
            all.writeLong(0);
            all.writeLong(0);
            structure.writeTo(all);
            strings.writeTo(all);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return file.toByteArray();
    }

    TreeWriter ints(int... words) {
        try {
            for (int word : words) {
                out.writeInt(word);
            }
            return this;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private int offset(String name) {
        return names.computeIfAbsent(name, fresh -> {
            int at = strings.size();
            strings.writeBytes((fresh + '\0').getBytes(StandardCharsets.US_ASCII));
            return at;
        });
    }

    private TreeWriter bytes(byte[] bytes) {
        structure.writeBytes(Arrays.copyOf(bytes, bytes.length + 3 & ~3));
        return this;
    }
}
