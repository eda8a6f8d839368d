// SPDX-License-Identifier: Apache-2.0
package stress;

import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Node;
import machine.api.Wire;

/** A hardware node made by hand. */
record Place(String path, List<String> compatible, List<Range> registers, List<Wire> interrupts, List<Node> children,
        Map<String, int[]> properties) implements Node {
    static Place of(String path, String compatible, Range... registers) {
        return new Place(path, compatible.isEmpty() ? List.of() : List.of(compatible), List.of(registers), List.of(), List.of(), Map.of());
    }

    @Override
    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    @Override
    public Optional<Node> parent() {
        return Optional.empty();
    }

    @Override
    public boolean has(String property) {
        return properties.containsKey(property);
    }

    @Override
    public int[] cells(String property) {
        return properties.getOrDefault(property, new int[0]).clone();
    }

    @Override
    public String text(String property) {
        return "";
    }

    @Override
    public byte[] bytes(String property) {
        int[] cells = cells(property);
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells.length);
        for (int cell : cells) {
            bytes.putInt(cell);
        }
        return bytes.array();
    }
}
