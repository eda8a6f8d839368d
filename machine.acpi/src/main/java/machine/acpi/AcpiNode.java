// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Node;
import machine.api.Wire;

/**
 * A node made of a structure of the table. Cells are kept as in a device tree, big-endian; it is built up before the
 * machine is published and not changed any more.
 */
final class AcpiNode implements Node {
    private final AcpiNode parent;
    private final String name;
    private final List<String> compatible;
    private final List<Range> registers;
    private final List<Node> children = new ArrayList<>();
    private final Map<String, byte[]> properties = new LinkedHashMap<>();

    /** @param parent null for the root */
    AcpiNode(AcpiNode parent, String name, List<String> compatible, List<Range> registers) {
        this.parent = parent;
        this.name = name;
        this.compatible = List.copyOf(compatible);
        this.registers = List.copyOf(registers);
        if (parent != null) {
            parent.children.add(this);
        }
    }

    AcpiNode with(String property, int... cells) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells.length);
        bytes.asIntBuffer().put(cells);
        properties.put(property, bytes.array());
        return this;
    }

    AcpiNode with(String property, String text) {
        properties.put(property, (text + '\0').getBytes(StandardCharsets.US_ASCII));
        return this;
    }

    @Override
    public String path() {
        if (parent == null) {
            return "/";
        }
        return parent.parent == null ? '/' + name : parent.path() + '/' + name;
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public List<String> compatible() {
        return compatible;
    }

    @Override
    public List<Range> registers() {
        return registers;
    }

    @Override
    public List<Wire> interrupts() {
        return List.of();
    }

    @Override
    public Optional<Node> parent() {
        return Optional.ofNullable(parent);
    }

    @Override
    public List<Node> children() {
        return List.copyOf(children);
    }

    @Override
    public boolean has(String property) {
        return properties.containsKey(property);
    }

    @Override
    public int[] cells(String property) {
        byte[] value = properties.getOrDefault(property, new byte[0]);
        int[] cells = new int[value.length / 4];
        ByteBuffer.wrap(value).asIntBuffer().get(cells);
        return cells;
    }

    @Override
    public String text(String property) {
        byte[] value = properties.getOrDefault(property, new byte[0]);
        int end = 0;
        while (end < value.length && value[end] != 0) {
            end++;
        }
        return new String(value, 0, end, StandardCharsets.US_ASCII);
    }

    @Override
    public byte[] bytes(String property) {
        return properties.getOrDefault(property, new byte[0]).clone();
    }

    /** {@return the path} */
    @Override
    public String toString() {
        return path();
    }
}
