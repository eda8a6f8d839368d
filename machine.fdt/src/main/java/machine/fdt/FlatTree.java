// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;

/**
 * The reader of the flattened form of a device tree, versions 16 and 17: for any bytes, the result is a tree or one
 * {@link ErrnoException} with the fault and its offset. What Linux goes on with is warned of. Big-endian, as the format
 * is.
 */
final class FlatTree {
    static final int MAGIC = 0xd00dfeed;

    /** One node as it stands in the file. */
    static final class Raw {
        final String name;
        final int offset;
        final Map<String, byte[]> properties = new LinkedHashMap<>();
        final List<Raw> children = new ArrayList<>();

        Raw(String name, int offset) {
            this.name = name;
            this.offset = offset;
        }
    }

    private static final int HEADER = 40;
    private static final int BEGIN_NODE = 1;
    private static final int END_NODE = 2;
    private static final int PROPERTY = 3;
    private static final int NOP = 4;
    private static final int END = 9;
    // More than any board has; they keep a hostile tree from costing memory or time.
    /** Bytes; Linux on arm64 takes no larger tree either. */
    private static final int MAX_SIZE = 2 << 20;
    private static final int MAX_DEPTH = 64;
    static final int MAX_NODES = 16_384;
    private static final int MAX_NAME = 255;
    private static final int MAX_PATH = 1024;
    private static final int MAX_RESERVATIONS = 1024;

    private final ByteBuffer bytes;
    private final Warnings warnings;
    private final int structure;
    private final int structureEnd;
    private final int strings;
    private final int stringsEnd;
    private final int reservations;
    private int at;
    private int nodes;

    /**
     * @param warnings gets a line for whatever was gone on with
     * @throws ErrnoException EINVAL if the header does not describe a tree inside these bytes
     */
    FlatTree(byte[] content, Warnings warnings) {
        this.warnings = warnings;
        bytes = ByteBuffer.wrap(content);
        if (content.length < HEADER) {
            throw broken(content.length, "the file ends inside the header of 0x%x bytes", HEADER);
        }
        if (bytes.getInt(0) != MAGIC) {
            throw broken(0, "magic 0x%08x is not 0x%08x", bytes.getInt(0), MAGIC);
        }
        int total = word(4);
        if (total < HEADER || total > content.length) {
            throw broken(4, "the header says 0x%x bytes, the file has 0x%x", total, content.length);
        }
        if (total > MAX_SIZE) {
            throw broken(4, "0x%x bytes; more than 0x%x are not believed", total, MAX_SIZE);
        }
        int version = word(20);
        int compatible = word(24);
        if (version < 16 || compatible > 17) {
            throw broken(20, "version %d (readable as %d): 16 and 17 are read", version, compatible);
        }
        structure = inside("structure block", 8, 4, total);
        strings = inside("strings block", 12, 1, total);
        reservations = inside("memory reservations", 16, 8, total);
        stringsEnd = strings + length("strings block", 32, total - strings);
        structureEnd = version < 17 ? total : structure + length("structure block", 36, total - structure);
    }

    /**
     * {@return the root}
     *
     * @throws ErrnoException EINVAL with the offset, if the structure is malformed
     */
    Raw root() {
        at = structure;
        int token = token();
        if (token != BEGIN_NODE) {
            throw broken(at - 4, "token 0x%x where the root node must begin", token);
        }
        // Its slash is counted with each child's name.
        Raw root = node(0, -1);
        if (!root.name.isEmpty()) {
            throw broken(root.offset, "the root node has the name '%s'", root.name);
        }
        token = at > structureEnd - 4 ? 0 : token();
        if (token != END) {
            warn(at - 4, "token 0x%x where the tree must end; what follows is not read", token);
        }
        return root;
    }

    /**
     * {@return what the memory reservation block (/memreserve/) keeps from being used, as far as there can be memory}
     */
    List<Node.Range> reserved() {
        List<Node.Range> found = new ArrayList<>();
        for (int entry = reservations; ; entry += 16) {
            if (entry > bytes.limit() - 16) {
                throw broken(entry, "the memory reservations have no end");
            }
            long address = bytes.getLong(entry);
            long size = bytes.getLong(entry + 8);
            if (address == 0 && size == 0) {
                return found;
            }
            if (found.size() == MAX_RESERVATIONS) {
                throw broken(entry, "there are more than %d memory reservations", MAX_RESERVATIONS);
            }
            // Both are unsigned; one that passes the end of memory ends there, as with Linux (memblock_cap_size).
            long room = DeviceTree.ADDRESS_LIMIT - address;
            if (address >= 0 && room > 0) {
                found.add(new Node.Range(address, size < 0 ? room : Math.min(size, room)));
            }
        }
    }

    /** @param above length of the parent's path */
    private Raw node(int depth, int above) {
        int begin = at - 4;
        if (depth > MAX_DEPTH) {
            throw broken(begin, "nodes are nested deeper than %d", MAX_DEPTH);
        }
        if (++nodes > MAX_NODES) {
            throw broken(begin, "there are more than %d nodes", MAX_NODES);
        }
        Raw node = new Raw(text(at, structureEnd, "node name"), begin);
        int path = above + 1 + node.name.length();
        if (path > MAX_PATH) {
            throw broken(begin, "a path is longer than %d characters", MAX_PATH);
        }
        align(at + node.name.length() + 1);
        Set<String> names = new HashSet<>();
        while (true) {
            int token = token();
            switch (token) {
                case PROPERTY -> property(node);
                case BEGIN_NODE -> {
                    int offset = at - 4;
                    Raw child = node(depth + 1, path);
                    if (child.name.isEmpty() || child.name.indexOf('/') >= 0) {
                        throw broken(offset, "a node without a proper name, '%s' in '%s'", child.name, node.name);
                    }
                    node.children.add(unique(child, names, node));
                }
                case END_NODE -> {
                    return node;
                }
                default -> throw broken(at - 4, "token 0x%x inside node '%s'", token, node.name);
            }
        }
    }

    /** Of two children with one name both are there, the second under another name; so Linux has it (safe_name). */
    private Raw unique(Raw child, Set<String> names, Raw parent) {
        if (names.add(child.name)) {
            return child;
        }
        int number = 1;
        while (!names.add(child.name + '#' + number)) {
            number++;
        }
        warn(child.offset, "a second node '%s' in '%s'; it is called %1$s#%3$d", child.name, parent.name, number);
        Raw renamed = new Raw(child.name + '#' + number, child.offset);
        renamed.properties.putAll(child.properties);
        renamed.children.addAll(child.children);
        return renamed;
    }

    private void property(Raw node) {
        int begin = at - 4;
        if (at > structureEnd - 8) {
            throw broken(begin, "the structure block ends inside a property of node '%s'", node.name);
        }
        int length = bytes.getInt(at);
        int name = bytes.getInt(at + 4);
        at += 8;
        if (length < 0 || length > structureEnd - at) {
            throw broken(begin, "a property of node '%s' has 0x%x bytes, 0x%x are left", node.name, length,
                structureEnd - at);
        }
        if (name < 0 || name >= stringsEnd - strings) {
            throw broken(begin, "a property of node '%s' has its name at 0x%x of a strings block of 0x%x bytes",
                node.name, name, stringsEnd - strings);
        }
        String text = text(strings + name, stringsEnd, "property name");
        if (!node.children.isEmpty()) {
            warn(begin, "property '%s' of node '%s' comes after its children; it does not count", text, node.name);
        } else if (node.properties.putIfAbsent(text, Arrays.copyOfRange(bytes.array(), at, at + length)) != null) {
            warn(begin, "node '%s' has the property '%s' twice; the first counts", node.name, text);
        }
        align(at + length);
    }

    private int token() {
        int token;
        do {
            if (at > structureEnd - 4) {
                throw broken(at, "the structure block ends without an end");
            }
            token = bytes.getInt(at);
            at += 4;
        } while (token == NOP);
        return token;
    }

    private void align(int next) {
        at = structure + (next - structure + 3 & ~3);
    }

    private String text(int from, int end, String what) {
        int stop = from;
        while (stop < end && bytes.get(stop) != 0) {
            if (bytes.get(stop) < '!' || bytes.get(stop) > '~') {
                throw broken(stop, "a %s has the byte 0x%02x in it", what, bytes.get(stop));
            }
            stop++;
            if (stop - from > MAX_NAME) {
                throw broken(from, "a %s is longer than %d characters", what, MAX_NAME);
            }
        }
        if (stop >= end) {
            throw broken(from, "a %s does not end", what);
        }
        return new String(bytes.array(), from, stop - from, StandardCharsets.ISO_8859_1);
    }

    private int inside(String what, int field, int alignment, int total) {
        int offset = word(field);
        if (offset < HEADER || offset > total || offset % alignment != 0) {
            throw broken(field, "the %s begins at 0x%x; the file has 0x%x bytes", what, offset, total);
        }
        return offset;
    }

    private int length(String what, int field, int most) {
        int length = word(field);
        if (length < 0 || length > most) {
            throw broken(field, "the %s has 0x%x bytes, 0x%x are left", what, length, most);
        }
        return length;
    }

    private int word(int offset) {
        return bytes.getInt(offset);
    }

    private void warn(int offset, String format, Object... arguments) {
        warnings.add("%s", at(offset, format, arguments));
    }

    private static ErrnoException broken(int offset, String format, Object... arguments) {
        return new ErrnoException(Errno.EINVAL, "%s", at(offset, format, arguments));
    }

    private static String at(int offset, String format, Object... arguments) {
        return String.format("device tree, offset 0x%x: %s", offset, String.format(format, arguments));
    }
}
