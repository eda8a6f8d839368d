// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.List;
import machine.api.Node;

/** A node while the table is being read, from the root down; {@link #node} is the result. */
final class AcpiNode {
    private final AcpiNode parent;
    private final List<AcpiNode> children = new ArrayList<>();
    private Node node;
    private boolean complete;

    /** @param parent null for the root */
    AcpiNode(AcpiNode parent, String name, String compatible, Node.Range... registers) {
        this.parent = parent;
        node = Node.at(parent == null ? "/" : (parent.parent == null ? "" : parent.path()) + '/' + name)
            .compatible(compatible)
            .registers(registers);
        if (parent != null) {
            parent.children.add(this);
        }
    }

    AcpiNode with(String property, int... cells) {
        node = node.with(property, cells);
        return this;
    }

    AcpiNode with(String property, String text) {
        node = node.with(property, text);
        return this;
    }

    String path() {
        return node.path();
    }

    /** {@return the node with all below it; nothing is added any more} */
    Node node() {
        if (!complete) {
            node = node.children(children.stream().map(AcpiNode::node).toArray(Node[]::new));
            complete = true;
        }
        return node;
    }
}
