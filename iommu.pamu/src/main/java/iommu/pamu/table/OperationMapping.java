// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.table;

/**
 * The operation mapping table (OMT): entries of 128 bytes, one byte per incoming operation.
 * <pre>
 *   7   6            0
 *  | V |     EOE      |   V: the mapping is valid; EOE: the operation sent out
 * </pre>
 * PCI requesters do not use it (OTM = 0); the entries below are those that data path devices of the chip expect.
 */
public final class OperationMapping {
    /** Bytes of an entry. */
    public static final int BYTES = 128;
    /** Entries of the table. */
    public static final int ENTRIES = 16;
    /** The valid bit of a mapping. */
    public static final int VALID = 0x80;
    /** The incoming encoding of a read. */
    public static final int READ = 0x00;
    /** The incoming encoding of a write. */
    public static final int WRITE = 0x81;

    private static final int LOAD_EXTERNAL = 0x10;
    private static final int LOAD_EXTERNAL_EXCLUSIVE = 0x12;
    private static final int READ_STASH = 0x16;
    private static final int READ_INVALIDATE = 0x18;
    private static final int WRITE_STASH = 0x1b;
    private static final int WRITE_STASH_ONLY = 0x1d;

    private OperationMapping() {
    }

    /** {@return the index of an incoming encoding in an entry: its low seven bits} */
    public static int index(int incoming) {
        return incoming & 0x7f;
    }

    /**
     * {@return the whole table as drivers fill it: 0 queue manager portals, 1 frame manager, 2 queue manager, 3
     * security engine}
     */
    public static byte[] contents() {
        byte[] table = new byte[ENTRIES * BYTES];
        fill(table, 0, 0x00, 0x01, READ_STASH, WRITE_STASH_ONLY, LOAD_EXTERNAL, -1, -1, LOAD_EXTERNAL_EXCLUSIVE);
        fill(table, 1, READ_INVALIDATE, 0x01);
        fill(table, 2, 0x00, 0x01, READ_STASH, WRITE_STASH);
        fill(table, 3, READ_INVALIDATE, 0x01);
        return table;
    }

    private static void fill(byte[] table, int entry, int... outgoing) {
        for (int i = 0; i < outgoing.length; i++) {
            if (outgoing[i] >= 0) {
                table[entry * BYTES + i] = (byte) (VALID | outgoing[i]);
            }
        }
    }
}
