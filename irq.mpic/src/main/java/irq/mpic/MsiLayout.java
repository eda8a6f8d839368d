// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

/**
 * The layout of a chip's MSI banks. Immutable data that driver and unit share; its numbers are nowhere else.
 *
 * <p>A device writes the number of its vector, a little-endian word. A bank takes it apart into a message register
 * (SRS) and one of that register's 32 bits (IBS):
 * <pre>
 *  payload (little-endian)  MSIIR   7   5 4       0      MSIIR1   8       4 3     0
 *                                  | SRS |   IBS   |             |   IBS   |  SRS  |
 *  register (big-endian)    MSIIR  31 29 28     24 23   0
 *                                 | SRS |   IBS   |   0  |
 *                           MSIIR1 31     28 27   24 23  17  16   15   0
 *                                 |IBS[3:0] |  SRS  |  0  |IBS[4]|  0   |
 * </pre>
 * So the payload 0x67 is 0x67000000 in MSIIR: register 3, bit 7. (MPIC sections 5.1 to 5.4.)
 *
 * @param compatible the {@code compatible} string of a bank's node
 * @param banks number of banks
 * @param registers number of message registers (MSIR) of a bank
 * @param vectors number of vectors of a bank, 32 for each register
 * @param registerShift where SRS stands in a vector's number
 * @param bitShift where IBS stands in a vector's number
 * @param doorbell offset of the bank's doorbell in its alias page: MSIIR or MSIIR1
 */
public record MsiLayout(String compatible, int banks, int registers, int vectors, int registerShift, int bitShift,
    int doorbell) {
    /** Offset of the first bank in the MPIC. */
    public static final int BANK = 0x1600;
    /** Bytes from one bank to the next. */
    public static final int BANK_STRIDE = 0x200;
    /** Offset in the MPIC of the page that holds the first bank's doorbell and nothing else. */
    public static final int ALIAS = 0x4000;
    /** Bytes of such a page, from one to the next. */
    public static final int ALIAS_STRIDE = 0x1000;
    /** Bytes from one MSIR to the next; the first is at the start of the bank. */
    public static final int MSIR_STRIDE = 0x10;
    /** In a bank: summary, bit r for a MSIRr that is not zero. Read-only. */
    public static final int MSISR = 0x120;
    /** In a bank and in its alias page: the doorbell. Write-only. */
    public static final int MSIIR = 0x140;
    /** In a bank and in its alias page: the doorbell with nine bits. Write-only; 4.3 only. */
    public static final int MSIIR1 = 0x148;
    /** Bits of an MSIR. */
    public static final int BITS = 32;

    /** Chips before 4.3: three banks of 8 registers, 256 vectors. */
    public static final MsiLayout THREE_BANKS = new MsiLayout("fsl,mpic-msi", 3, 8, 256, 5, 0, MSIIR);
    /** MPIC 4.3: four banks of 16 registers, 512 vectors. */
    public static final MsiLayout V4_3 = new MsiLayout("fsl,mpic-msi-v4.3", 4, 16, 512, 0, 4, MSIIR1);

    /** {@return the number of a vector: what a device writes} */
    public int vector(int register, int bit) {
        return register << registerShift | bit << bitShift;
    }

    /** {@return the message register (SRS) of a vector's number} */
    public int register(int vector) {
        return vector >>> registerShift & registers - 1;
    }

    /** {@return the bit (IBS) of a vector's number} */
    public int bit(int vector) {
        return vector >>> bitShift & BITS - 1;
    }

    /**
     * {@return the interrupt source of a message register: 0xe0 to 0xff for the first eight of each bank, then 0x100 to
     * 0x11f}
     */
    public static int source(int bank, int register) {
        return register < 8 ? 0xe0 + 8 * bank + register : 0x100 + 8 * bank + register - 8;
    }

    /** {@return one more than the highest source of any message register} */
    public int endOfSources() {
        return source(banks - 1, registers - 1) + 1;
    }
}
