// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.util.List;
import java.util.Optional;
import machine.api.Node;
import machine.api.Wire;

/** A node with nothing but a path. */
record Place(String path) implements Node {
    @Override
    public String name() {
        return path.substring(path.lastIndexOf('/') + 1);
    }

    @Override
    public List<String> compatible() {
        return List.of();
    }

    @Override
    public List<Range> registers() {
        return List.of();
    }

    @Override
    public List<Wire> interrupts() {
        return List.of();
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
        return false;
    }

    @Override
    public int[] cells(String property) {
        return new int[0];
    }

    @Override
    public String text(String property) {
        return "";
    }

    @Override
    public byte[] bytes(String property) {
        return new byte[0];
    }
}
