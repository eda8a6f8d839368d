// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;

/** Writes DMAR tables byte by byte, right ones and wrong ones. Layout: fact sheet section 5. */
final class Table {
    static final int ENDPOINT = 1;
    static final int BRIDGE = 2;
    static final int IOAPIC = 3;
    static final int HPET = 4;

    private final ByteArrayOutputStream structures = new ByteArrayOutputStream();
    private int width = 39;
    private int flags = 1;

    Table width(int bits) {
        width = bits;
        return this;
    }

    Table flags(int value) {
        flags = value;
        return this;
    }

    /** @param path hops as {@code "1c.0 00.0"} */
    static byte[] scope(int type, int enumerationId, int startBus, String path) {
        String[] hops = path.split(" ");
        ByteBuffer bytes = ByteBuffer.allocate(6 + 2 * hops.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put((byte) type).put((byte) bytes.capacity()).putShort((short) 0).put((byte) enumerationId)
            .put((byte) startBus);
        for (String hop : hops) {
            bytes.put((byte) Integer.parseInt(hop.substring(0, 2), 16))
                .put((byte) Integer.parseInt(hop.substring(3), 16));
        }
        return bytes.array();
    }

    Table drhd(int all, int segment, long base, byte[]... scopes) {
        return structure(0, head(12).put((byte) all).put((byte) 0).putShort((short) segment).putLong(base), scopes);
    }

    Table rmrr(int segment, long base, long limit, byte[]... scopes) {
        return structure(1, head(20).putShort((short) 0).putShort((short) segment).putLong(base).putLong(limit),
            scopes);
    }

    Table atsr(int segment, int all, byte[]... scopes) {
        return structure(2, head(4).put((byte) all).put((byte) 0).putShort((short) segment), scopes);
    }

    Table rhsa(long base, int proximity) {
        return structure(3, head(16).putInt(0).putLong(base).putInt(proximity));
    }

    Table andd(int device, String name) {
        byte[] text = (name + '\0').getBytes(StandardCharsets.ISO_8859_1);
        return structure(4, head(4 + text.length).put(new byte[3]).put((byte) device).put(text));
    }

    Table satc(int segment, byte[]... scopes) {
        return structure(5, head(4).put((byte) 1).put((byte) 0).putShort((short) segment), scopes);
    }

    /** Anything, after type and length. */
    Table raw(int type, String hex) {
        byte[] body = HexFormat.of().parseHex(hex.replace(" ", ""));
        return structure(type, head(body.length).put(body));
    }

    /** Overwrites a length, which is 16 bits, at an offset of the table. */
    Table cut(int offset, int length) {
        byte[] body = structures.toByteArray();
        body[offset - 48] = (byte) length;
        body[offset - 47] = (byte) (length >> 8);
        structures.reset();
        structures.writeBytes(body);
        return this;
    }

    /** Bytes that are no structure. */
    Table trailing(int... values) {
        for (int value : values) {
            structures.write(value);
        }
        return this;
    }

    byte[] bytes() {
        byte[] body = structures.toByteArray();
        ByteBuffer bytes = ByteBuffer.allocate(48 + body.length).order(ByteOrder.LITTLE_ENDIAN);
        bytes.put(text("DMAR")).putInt(48 + body.length).put((byte) 1).put((byte) 0);
        bytes.put(text("GANTRY")).put(text("Q35BOARD")).putInt(1).put(text("GNTR")).putInt(1);
        bytes.put((byte) (width - 1)).put((byte) flags).put(new byte[10]).put(body);
        return checksummed(bytes.array());
    }

    static byte[] checksummed(byte[] table) {
        int sum = 0;
        table[9] = 0;
        for (byte value : table) {
            sum += value;
        }
        table[9] = (byte) -sum;
        return table;
    }

    private static byte[] text(String text) {
        return text.getBytes(StandardCharsets.US_ASCII);
    }

    private static ByteBuffer head(int length) {
        return ByteBuffer.allocate(length).order(ByteOrder.LITTLE_ENDIAN);
    }

    private Table structure(int type, ByteBuffer body, byte[]... scopes) {
        int length = 4 + body.capacity();
        for (byte[] scope : scopes) {
            length += scope.length;
        }
        structures.writeBytes(head(4).putShort((short) type).putShort((short) length).array());
        structures.writeBytes(body.array());
        for (byte[] scope : scopes) {
            structures.writeBytes(scope);
        }
        return this;
    }
}
