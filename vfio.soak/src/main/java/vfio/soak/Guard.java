// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import machine.api.DmaBuffer;

/** Memory that must stay as it is: filled with a pattern, compared with it later. */
final class Guard {
    private static final int PIECE = 0x10000;
    /** No two places 251 * 256 bytes apart look alike, and no run of equal bytes is in it. */
    private static final byte[] PATTERN = new byte[PIECE];

    static {
        for (int i = 0; i < PIECE; i++) {
            PATTERN[i] = (byte) (i % 251 ^ i >> 8 ^ 0xa5);
        }
    }

    private Guard() {
    }

    static void fill(DmaBuffer buffer, long offset, long length) {
        for (long done = 0; done < length; done += PIECE) {
            buffer.write(offset + done, PATTERN, 0, (int) Math.min(PIECE, length - done));
        }
    }

    /** {@return how many bytes are not as {@link #fill} with these arguments has left them} */
    static long changed(DmaBuffer buffer, long offset, long length) {
        long changed = 0;
        byte[] found = new byte[PIECE];
        for (long done = 0; done < length; done += PIECE) {
            int piece = (int) Math.min(PIECE, length - done);
            buffer.read(offset + done, found, 0, piece);
            changed += Bytes.different(PATTERN, 0, found, 0, piece);
        }
        return changed;
    }
}
