// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.table;

/**
 * The peripheral access authorization and control entry: 64 bytes, sixteen big-endian words, of which 8..15 are
 * reserved. The only place that knows its bits; unit and driver both use it. Words are handled in pairs, the even word
 * in bits 63:32, because a pair is what the bus moves at once.
 *
 * <pre>
 *  A primary entry (PPAACT, indexed by LIODN) describes an aperture, and its window 0:
 *
 *          31                    16 15      12 11         6  5  4  3   2   1   0
 *  word 0 |                        WBAH  window base 63:32                      |
 *  word 1 |       WBAL  window base 31:12     |    WSE     |MW|  AP  |DD |PT0| V |
 *  word 2 |      DID    |    PID    |  SNPID  |CR 7|                  0          |
 *  word 3 |   0   |   CID 23:16   |   0   |  WCE 7:4   |  ATM 3:2   |  OTM 1:0   |
 *  word 4 |                       TWBAH  translated base 63:32                  |
 *  word 5 |     TWBAL  translated base 31:12  |    SWSE    |          0          |
 *  word 6 |                       FSPI  index of window 1's entry               |
 *  word 7 |   IOEA   |   MOEA   |   IOEB   |   MOEB   |   or   |  0  | OMI 15:0   |
 *
 *  A secondary entry (SPAACT, at FSPI + n - 1) describes window n; words 2 to 5 and 7 as above without WCE:
 *
 *  word 1 |      LIODN  31:16       |         0 15:5        |  AP  |DD |PT1| V |
 * </pre>
 *
 * WSE, SWSE: size = 2^(code+1) bytes. WCE: count = 2^(code+1) windows. AP: bit 0 query (the device reads), bit 1 update
 * (it writes): the bits of {@link machine.api.Access}. CR: coherency required. CID: cache to stash into, 0 for none.
 */
public final class Paace {
    /** Bytes of an entry. */
    public static final int BYTES = 64;

    /** Offset of words 0 and 1. */
    public static final int ADDRESS = 0x00;
    /** Offset of words 2 and 3. */
    public static final int ATTRIBUTES = 0x08;
    /** Offset of words 4 and 5. */
    public static final int TRANSLATED = 0x10;
    /** Offset of words 6 and 7. */
    public static final int INDEX = 0x18;

    /** Words 0:1 and 4:5: the bits that make an address. */
    public static final long BASE = ~0xfffL;

    /** Word 1: the entry is valid. In a primary it gates the whole aperture. */
    public static final int VALID = 0x1;
    /** Word 1, PT: a secondary entry. */
    public static final int SECONDARY = 0x2;
    /** Word 1, MW: multiple windows; WCE, FSPI and SWSE count. */
    public static final int MULTIPLE = 0x20;
    /** Word 1 of a secondary entry: bits that are zero. */
    public static final int SECONDARY_RESERVED = 0xffe0;

    /** Word 2, CR. */
    public static final int COHERENT = 0x80;

    /** Word 3, ATM mask. */
    public static final int TRANSLATION = 0xc;
    /** Word 3, ATM: the address passes unchanged. */
    public static final int TRANSLATION_NONE = 0x0;
    /** Word 3, ATM: window translation. */
    public static final int TRANSLATION_WINDOW = 0x4;
    /** Word 3, OTM mask. */
    public static final int OPERATION = 0x3;
    /** Word 3, OTM: operations pass unchanged. */
    public static final int OPERATION_NONE = 0x0;
    /** Word 3, OTM: by the four bytes of word 7. */
    public static final int OPERATION_IMMEDIATE = 0x1;
    /** Word 3, OTM: by the operation mapping table's entry OMI. */
    public static final int OPERATION_INDEXED = 0x2;

    /** WSE and SWSE of 4 KiB, the smallest window. */
    public static final int SMALLEST = 11;

    private static final int AP_SHIFT = 3;
    private static final int SIZE_SHIFT = 6;
    private static final int SIZE_CODE = 0x3f;
    private static final int LIODN_SHIFT = 16;
    private static final int CID_SHIFT = 16;
    private static final int WCE_SHIFT = 4;
    private static final int WCE = 0xf;

    private Paace() {
    }

    /** {@return WSE or SWSE of a size in bytes, a power of two} */
    public static int sizeCode(long size) {
        return Long.numberOfTrailingZeros(size) - 1;
    }

    /** {@return WSE of a word 1 or SWSE of a word 5} */
    public static int sizeField(int word) {
        return word >>> SIZE_SHIFT & SIZE_CODE;
    }

    /** {@return the access bits of a word 1} */
    public static int access(int word1) {
        return word1 >>> AP_SHIFT & 3;
    }

    /** {@return the LIODN of a secondary entry's word 1} */
    public static int liodn(int word1) {
        return word1 >>> LIODN_SHIFT;
    }

    /** {@return WCE of a word 3} */
    public static int windowCountCode(int word3) {
        return word3 >>> WCE_SHIFT & WCE;
    }

    /**
     * @param base first device address, a multiple of the size
     * @param size of the aperture in bytes, a power of two
     * @param multiple whether there is more than one window
     * @param access of window 0
     * @return words 0 and 1 of a primary entry
     */
    public static long primary(long base, long size, boolean multiple, int access, boolean valid) {
        return base & BASE | sizeCode(size) << SIZE_SHIFT | (multiple ? MULTIPLE : 0) | access << AP_SHIFT
            | (valid ? VALID : 0);
    }

    /** {@return words 0 and 1 of a secondary entry} */
    public static long secondary(int liodn, int access, boolean valid) {
        return (liodn << LIODN_SHIFT | access << AP_SHIFT | SECONDARY | (valid ? VALID : 0)) & 0xffff_ffffL;
    }

    /**
     * @param cache CID, 0 for none
     * @param windows how many; 1 for a single-window or a secondary entry
     * @return words 2 and 3: coherent, translated by window, operations unchanged
     */
    public static long attributes(int cache, int windows) {
        int count = windows > 1 ? Integer.numberOfTrailingZeros(windows) - 1 : 0;
        return (long) COHERENT << 32 | cache << CID_SHIFT | count << WCE_SHIFT | TRANSLATION_WINDOW;
    }

    /** {@return words 4 and 5; {@code size} 0 leaves SWSE out, as for the entry of an aperture with one window} */
    public static long translated(long physical, long size) {
        return physical & BASE | (size == 0 ? 0 : sizeCode(size) << SIZE_SHIFT);
    }

    /** {@return words 6 and 7 for operations that pass unchanged} */
    public static long index(int firstSecondary) {
        return (long) firstSecondary << 32;
    }
}
