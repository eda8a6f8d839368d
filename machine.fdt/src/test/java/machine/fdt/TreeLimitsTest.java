// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static machine.fdt.BoardsTest.assertErrno;
import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.nio.ByteBuffer;
import java.util.Arrays;
import java.util.List;
import machine.api.Errno;
import machine.api.Node;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What is just inside each limit of the flattened form is read, what is just outside is refused for that reason. */
class TreeLimitsTest {
    private static final int HEADER = 40;

    private static FlatTree.Raw read(byte[] content) {
        return new FlatTree(content, new Warnings()).root();
    }

    private static FlatTree.Raw read(TreeWriter tree) {
        return read(tree.done());
    }

    private static void refused(String reason, byte[] content) {
        String message = assertErrno(Errno.EINVAL, () -> {
            FlatTree tree = new FlatTree(content, new Warnings());
            tree.root();
            tree.reserved();
        }).getMessage();
        assertTrue(message.contains(reason), message);
    }

    private static void refused(String reason, TreeWriter tree) {
        refused(reason, tree.done());
    }

    /** @param fields offset and value of header fields */
    private static byte[] with(byte[] content, int... fields) {
        byte[] changed = content.clone();
        for (int i = 0; i < fields.length; i += 2) {
            ByteBuffer.wrap(changed).putInt(fields[i], fields[i + 1]);
        }
        return changed;
    }

    private static int field(byte[] content, int offset) {
        return ByteBuffer.wrap(content).getInt(offset);
    }

    private static TreeWriter nested(int nodes, String name) {
        TreeWriter tree = new TreeWriter();
        for (int i = 0; i < nodes; i++) {
            tree.begin(name);
        }
        for (int i = 0; i < nodes; i++) {
            tree.end();
        }
        return tree;
    }

    @DisplayName("The file: a header of 40 bytes, all the bytes it says, at most 2 MiB")
    @Test
    void size() {
        byte[] content = new TreeWriter().done();
        refused("offset 0x27: the file ends inside the header of 0x28 bytes", Arrays.copyOf(content, HEADER - 1));
        refused("offset 0x4: the header says", Arrays.copyOf(content, HEADER));
        refused("offset 0x4: the header says 0x27 bytes", with(content, 4, HEADER - 1));
        refused("offset 0x8: the structure block begins at", with(content, 4, HEADER));
        byte[] large = Arrays.copyOf(content, (2 << 20) + 1);
        read(with(large, 4, 2 << 20));
        refused("0x200001 bytes; more than 0x200000 are not believed", with(large, 4, (2 << 20) + 1));
    }

    @DisplayName("Versions: 16 has no length of the structure block; later ones are read if they say that they can be")
    @Test
    void versions() {
        byte[] content = new TreeWriter().text("model", "m").done();
        assertEquals(3, read(with(content, 20, 16, 36, 0)).properties.size());
        refused("a property name does not end", with(content, 20, 16, 32, 30));
        refused("the structure block ends without an end", with(content, 36, 0));
        read(with(content, 20, 18, 24, 17));
        refused("version 15 (readable as 15)", with(content, 20, 15, 24, 15));
        refused("version 18 (readable as 18)", with(content, 20, 18, 24, 18));
    }

    @DisplayName("Blocks: inside the file behind the header, aligned, up to the last byte")
    @Test
    void blocks() {
        byte[] content = new TreeWriter().done();
        int total = field(content, 4);
        for (int block : new int[] {8, 12, 16}) {
            refused(String.format("offset 0x%x: the ", block), with(content, block, HEADER - 8));
            refused(String.format("offset 0x%x: the ", block), with(content, block, total + 8 & -8));
        }
        refused("the structure block begins at 0x3a", with(content, 8, 0x3a));
        refused("the memory reservations begins at 0x2c", with(content, 16, 0x2c));
        refused("offset 0x20: the strings block has", with(content, 32, field(content, 32) + 1));
        refused("offset 0x24: the structure block has", with(content, 36, total - field(content, 8) + 1));
        // A root and nothing else: a strings block of no bytes at the end of the file.
        ByteBuffer bare = ByteBuffer.allocate(72);
        for (int word : new int[] {FlatTree.MAGIC, 72, 56, 72, 40, 17, 16, 0, 0, 16, 0, 0, 0, 0, 1, 0, 2, 9}) {
            bare.putInt(word);
        }
        assertEquals(0, read(bare.array()).properties.size());
        assertEquals("test.dtb", TestData.open(bare.array()).model());
    }

    @DisplayName("Memory reservations: up to an empty entry, which may be the last in the file; at most 1024")
    @Test
    void reservations() {
        byte[] content = new TreeWriter().done();
        int total = field(content, 4);
        byte[] more = Arrays.copyOf(content, (total + 7 & -8) + 16);
        int last = more.length - 16;
        assertEquals(List.of(), new FlatTree(with(more, 16, last, 4, more.length), new Warnings()).reserved());
        ByteBuffer.wrap(more).putLong(last + 8, 1);
        refused(String.format("offset 0x%x: the memory reservations have no end", last + 16),
            with(more, 16, last, 4, more.length));
        TreeWriter most = new TreeWriter();
        for (int i = 0; i < 1024; i++) {
            most.reserve(0x1000L * i, 8);
        }
        List<Node.Range> reserved = new FlatTree(most.done(), new Warnings()).reserved();
        assertEquals(1024, reserved.size());
        assertEquals(new Node.Range(0x3f_f000, 8), reserved.get(1023));
        refused("more than 1024 memory reservations", most.reserve(0, 8));
    }

    @DisplayName("Memory reservations end at 2^52, whatever they say; an entry at 0 is one")
    @Test
    void reservedRanges() {
        long end = 1L << 52;
        assertEquals(
            List.of(new Node.Range(0, 0x1000), new Node.Range(end - 0x1000, 0x1000),
                new Node.Range(0x2000, end - 0x2000),
            new Node.Range(0x3000, end - 0x3000)),
            new FlatTree(new TreeWriter().reserve(0, 0x1000).reserve(end - 0x1000, 0x2000)
                .reserve(0x2000, Long.MIN_VALUE).reserve(0x3000, end).reserve(end, 0x1000).reserve(-0x1000, 0x1000)
                .done(), new Warnings()).reserved());
    }

    @DisplayName("Nodes: 64 levels below the root, paths of 1024 characters, 16,384 nodes")
    @Test
    void nodes() {
        read(nested(64, "a"));
        refused("nested deeper than 64", nested(65, "a"));
        // Four times a slash and 255 characters are the whole of it.
        read(nested(4, "x".repeat(255)));
        refused("a path is longer than 1024",
            new TreeWriter().begin("x".repeat(255)).begin("x".repeat(255)).begin("x".repeat(255))
            .begin("x".repeat(254)).begin("x").end().end().end().end().end());
        assertEquals(16_383, read(nodes(16_383)).children.size());
        refused("more than 16384 nodes", nodes(16_384));
    }

    private static TreeWriter nodes(int below) {
        TreeWriter tree = new TreeWriter();
        for (int i = 0; i < below; i++) {
            tree.begin("n" + i).end();
        }
        return tree;
    }

    @DisplayName("Names: 255 characters from ! to ~; the root has none, all others have one without a slash")
    @Test
    void names() {
        assertEquals("!~" + "x".repeat(253), read(nested(1, "!~" + "x".repeat(253))).children.get(0).name);
        refused("a node name is longer than 255", nested(1, "x".repeat(256)));
        refused("a node name has the byte 0x20 in it", nested(1, "a b"));
        refused("a node name has the byte 0x7f in it", nested(1, "a\u007f"));
        refused("a node without a proper name, '' in ''", nested(1, ""));
        refused("a node without a proper name, 'a/b' in ''", nested(1, "a/b"));
        refused("a node without a proper name, '/a' in ''", nested(1, "/a"));
        refused("a property name is longer than 255", new TreeWriter().cells("x".repeat(256)));
        byte[] content = new TreeWriter().done();
        int structure = field(content, 8);
        refused("offset 0x" + Integer.toHexString(structure) + ": token 0x3 where the root node must begin",
            with(content, structure, 3));
        refused("the root node has the name 'a'", with(content, structure + 4, 'a' << 24));
        refused("token 0x5 inside node ''", new TreeWriter().ints(5));
        read(new TreeWriter().ints(4, 4).begin("a").ints(4).end().ints(4));
    }

    @DisplayName("Properties: inside the structure block, their names inside the strings block")
    @Test
    void properties() {
        byte[] content = new TreeWriter().cells("last", 0x0102_0304).done();
        int structure = field(content, 8);
        int length = field(content, 36);
        assertArrayEquals(new byte[] {1, 2, 3, 4}, read(content).properties.get("last"));
        // Behind the property: the ends of the root and of the tree.
        int end = length - 8;
        refused("the structure block ends without an end", with(content, 36, end));
        refused("a property of node '' has 0x4 bytes, 0x3 are left", with(content, 36, end - 1));
        refused("a property of node '' has 0x4 bytes, 0x0 are left", with(content, 36, end - 4));
        refused("the structure block ends inside a property of node ''", with(content, 36, end - 5));
        refused("the structure block ends without an end", with(content, 36, end - 13));
        int property = structure + end - 16;
        refused("has 0xffffffff bytes", with(content, property + 4, -1));
        int strings = field(content, 32);
        assertTrue(read(with(content, property + 8, strings - 1)).properties.containsKey(""));
        refused(String.format(
            "offset 0x%x: a property of node '' has its name at 0x%x of a strings block of 0x%<x bytes", property,
            strings), with(content, property + 8, strings));
        refused("has its name at 0xffffffff", with(content, property + 8, -1));
        refused("a property name does not end", with(content, 32, strings - 1));
        int total = field(content, 4);
        refused("a property name does not end", Arrays.copyOf(with(content, 32, strings - 1, 4, total - 1), total - 1));
    }

    @DisplayName("A property whose length is no multiple of 4 is followed by what is aligned next")
    @Test
    void alignment() {
        FlatTree.Raw root = read(new TreeWriter().text("a", "").text("b", "123").text("c", "1234").text("d", "x"));
        assertEquals(List.of(1, 4, 5, 2),
            List.of("a", "b", "c", "d").stream().map(name -> root.properties.get(name).length).toList());
    }
}
