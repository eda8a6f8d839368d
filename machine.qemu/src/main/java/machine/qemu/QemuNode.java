// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

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
 * A piece of QEMU's hardware, described as the board's firmware would. Cells are kept as in a device tree, big-endian; it is built up
 * before the machine is published and not changed any more.
 */
final class QemuNode implements Node {
    private final QemuNode parent;
    private final String name;
    private final List<String> compatible;
    private final List<Range> registers;
    private final List<Node> children = new ArrayList<>();
    private final List<Wire> interrupts = new ArrayList<>();
    private final Map<String, byte[]> properties = new LinkedHashMap<>();

    /** @param parent null for the root */
    QemuNode(QemuNode parent, String name, String compatible, Range... registers) {
        this.parent = parent;
        this.name = name;
        this.compatible = List.of(compatible);
        this.registers = List.of(registers);
        if (parent != null) {
            parent.children.add(this);
        }
    }

    QemuNode with(String property, int... cells) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells.length);
        for (int cell : cells) {
            bytes.putInt(cell);
        }
        properties.put(property, bytes.array());
        return this;
    }

    QemuNode with(String property, String text) {
        properties.put(property, (text + '\0').getBytes(StandardCharsets.US_ASCII));
        return this;
    }

    QemuNode wired(Wire wire) {
        interrupts.add(wire);
        return this;
    }

    @Override
    public String path() {
        return parent == null ? "/" : parent.parent == null ? '/' + name : parent.path() + '/' + name;
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
    public boolean builtIn() {
        return true;
    }

    @Override
    public List<Range> registers() {
        return registers;
    }

    @Override
    public List<Wire> interrupts() {
        return List.copyOf(interrupts);
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
        ByteBuffer bytes = ByteBuffer.wrap(properties.getOrDefault(property, new byte[0]));
        int[] cells = new int[bytes.remaining() / 4];
        bytes.asIntBuffer().get(cells);
        return cells;
    }

    @Override
    public String text(String property) {
        String text = new String(properties.getOrDefault(property, new byte[0]), StandardCharsets.US_ASCII);
        int end = text.indexOf('\0');
        return end < 0 ? text : text.substring(0, end);
    }

    @Override
    public byte[] bytes(String property) {
        return properties.getOrDefault(property, new byte[0]).clone();
    }

    @Override
    public String toString() {
        return path();
    }
}
