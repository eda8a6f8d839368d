// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import java.nio.ByteBuffer;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Node;
import machine.api.Wire;

/** A node made by hand. */
public record TestNode(String path, List<String> compatible, List<Range> registers, List<Wire> interrupts, Map<String, byte[]> properties)
        implements Node {
    public TestNode with(String property, int... cells) {
        ByteBuffer bytes = ByteBuffer.allocate(4 * cells.length);
        for (int cell : cells) {
            bytes.putInt(cell);
        }
        return with(property, bytes.array());
    }

    public TestNode with(String property, byte[] bytes) {
        Map<String, byte[]> more = new HashMap<>(properties);
        more.put(property, bytes);
        return new TestNode(path, compatible, registers, interrupts, more);
    }

    public TestNode withRegisters(Range... ranges) {
        return new TestNode(path, compatible, List.of(ranges), interrupts, properties);
    }

    public TestNode withInterrupts(List<Wire> wires) {
        return new TestNode(path, compatible, registers, wires, properties);
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
    public List<Node> children() {
        return List.of();
    }

    @Override
    public boolean has(String property) {
        return properties.containsKey(property);
    }

    @Override
    public int[] cells(String property) {
        ByteBuffer bytes = ByteBuffer.wrap(bytes(property));
        int[] cells = new int[bytes.remaining() / 4];
        for (int i = 0; i < cells.length; i++) {
            cells[i] = bytes.getInt();
        }
        return cells;
    }

    @Override
    public String text(String property) {
        return new String(bytes(property));
    }

    @Override
    public byte[] bytes(String property) {
        return properties.getOrDefault(property, new byte[0]).clone();
    }
}
