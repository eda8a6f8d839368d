// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.Arrays;

/** Comparison of byte arrays. */
final class Bytes {
    private Bytes() {
    }

    /** {@return how many of the bytes differ} */
    static int different(byte[] one, int oneStart, byte[] other, int otherStart, int length) {
        if (Arrays.equals(one, oneStart, oneStart + length, other, otherStart, otherStart + length)) {
            return 0;
        }
        int different = 0;
        for (int i = 0; i < length; i++) {
            different += one[oneStart + i] == other[otherStart + i] ? 0 : 1;
        }
        return different;
    }
}
