// SPDX-License-Identifier: Apache-2.0
package machine.api;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** A node is a value: what it was made of may change, and what it gives away, and it does not. */
class NodeTest {
    private static final Node BANK = Node.at("/soc/msi@41600").compatible("fsl,mpic-msi", "msi")
        .registers(new Node.Range(0x41600, 0x200))
        .interrupts(new Wire("/pic", 0xe0, false, "224 0")).with("msi-available-ranges", 0, 0x100)
        .with("label", "first");

    @DisplayName("A node has what was said of it and nothing else")
    @Test
    void said() {
        assertEquals("msi@41600", BANK.name());
        assertEquals("", Node.at("/").name());
        assertTrue(BANK.compatibleWith("msi"));
        assertFalse(BANK.compatibleWith("fsl,mpic"));
        assertArrayEquals(new int[] {0, 0x100}, BANK.cells("msi-available-ranges"));
        assertEquals("first", BANK.text("label"));
        assertFalse(BANK.has("reg"));
        assertEquals(0, BANK.cells("reg").length + BANK.bytes("reg").length + BANK.text("reg").length());
        assertFalse(BANK.builtIn());
        assertTrue(BANK.builtIn(true).builtIn());
        assertEquals("/soc/msi@41600", BANK.toString());
        assertEquals(List.of(BANK), Node.at("/soc").children(BANK).children());
    }

    @DisplayName("Cells are whole, text ends at its first NUL, and what is not printable is a question mark")
    @Test
    void odd() {
        Node node = Node.at("/odd").with("odd", new byte[] {0, 0, 0, 1, 2}).with("text",
            new byte[] {'a', 0x1b, (byte) 0xe4, 0, 'b'});
        assertArrayEquals(new int[] {1}, node.cells("odd"));
        assertEquals("a??", node.text("text"));
        assertArrayEquals(new byte[] {0, 0, 0, 1, 2}, node.bytes("odd"));
    }

    @DisplayName("Neither the arrays a node was made of, nor those it gives away, are its own")
    @Test
    void ownBytes() {
        byte[] bytes = {1};
        Map<String, byte[]> properties = new HashMap<>(Map.of("one", bytes));
        Node node = new Node("/n", List.of(), List.of(), List.of(), properties, List.of(), false);
        bytes[0] = 2;
        properties.clear();
        node.bytes("one")[0] = 3;
        node.properties().get("one")[0] = 4;
        assertThrows(UnsupportedOperationException.class, () -> node.children().clear());
        assertArrayEquals(new byte[] {1}, node.bytes("one"));
    }

    @DisplayName("Nodes are equal if all they have is, bytes too")
    @Test
    void equal() {
        Node same = Node.at("/soc/msi@41600").compatible("fsl,mpic-msi", "msi")
            .registers(new Node.Range(0x41600, 0x200))
            .interrupts(new Wire("/pic", 0xe0, false, "224 0")).with("msi-available-ranges", 0, 0x100)
            .with("label", "first");
        assertEquals(BANK, same);
        assertEquals(BANK.hashCode(), same.hashCode());
        for (Node other : List.of(Node.at("/"), same.compatible("msi"), same.registers(new Node.Range[0]),
            same.interrupts(new Wire[0]), same.with("label", "second"),
                same.with("more", 1), same.children(Node.at("/soc/msi@41600/x")), same.builtIn(true))) {
            assertNotEquals(BANK, other, other.properties().keySet().toString());
        }
    }

    @DisplayName("A board has its nodes with all below them, parents before children, and copies of its lists")
    @Test
    void board() {
        Node leaf = Node.at("/a/b");
        Node first = Node.at("/a").children(leaf);
        assertEquals(List.of(first, leaf, BANK), Board.flat(List.of(first, BANK)));
        assertThrows(IllegalArgumentException.class,
            () -> new Board("", List.of(), List.of(), List.of(), List.of(), -1, List.of()));
    }
}
