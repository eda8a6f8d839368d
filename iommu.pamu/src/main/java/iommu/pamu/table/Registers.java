// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.table;

/**
 * The register block of one PAMU: 4 KiB, big-endian words. A 64-bit register is its high word at the offset and its low
 * word after it.
 *
 * <pre>
 *  PC    31 PGC gate closed  30 PE enable  12 OCE  4 SPCC  0 PPCC (caches of OMT, SPAACT, PPAACT)
 *  PICS   3 AVICS status (W1C)  2 AVIE enable   1 operation error status (W1C)  0 its enable
 *  AVS1  31:16 LIODN | 14 PDV | 13 GCV | 12:10 LAV | 9:7 WAV | 6:3 APV | 2:1 OTV | 0 AV     14:0 are W1C
 * </pre>
 */
public final class Registers {
    /** Bytes of a block. */
    public static final int BYTES = 0x1000;

    /** PPAACT base. */
    public static final int PPBA = 0x000;
    /** PPAACT limit, exclusive. */
    public static final int PPLA = 0x008;
    /** SPAACT base. */
    public static final int SPBA = 0x010;
    /** SPAACT limit, exclusive. */
    public static final int SPLA = 0x018;
    /** OMT base. */
    public static final int OBA = 0x020;
    /** OMT limit, exclusive. */
    public static final int OLA = 0x028;
    /** Operation error status 1, W1C. */
    public static final int POES1 = 0x040;
    /** Operation error status 2. */
    public static final int POES2 = 0x044;
    /** Address of the entry concerned, 64 bits. */
    public static final int POEA = 0x048;
    /** Access violation status 1. */
    public static final int AVS1 = 0x050;
    /** Access violation status 2. */
    public static final int AVS2 = 0x054;
    /** Address of the violating access, 64 bits. */
    public static final int AVA = 0x058;
    /** ECC error control; the ECC registers go on to {@link #EECC}. */
    public static final int EECTL = 0x060;
    /** ECC error disable. */
    public static final int EEDIS = 0x064;
    /** ECC error interrupt enable. */
    public static final int EEINTEN = 0x068;
    /** ECC error detected, W1C. */
    public static final int EEDET = 0x06c;
    /** The last of the ECC registers. */
    public static final int EECC = 0x084;
    /** Shown by violation handlers; its meaning is not public. */
    public static final int UDAD = 0x090;
    /** Revision 1: version in bits 15:0. */
    public static final int PR1 = 0xbf8;
    /** Revision 2. */
    public static final int PR2 = 0xbfc;
    /** Capabilities 1. */
    public static final int PC1 = 0xc00;
    /** Capabilities 2: bits 31:16 the largest LIODN. */
    public static final int PC2 = 0xc04;
    /** Capabilities 3: bits 24:21 MWCE, at most 2^(MWCE+1) windows. */
    public static final int PC3 = 0xc08;
    /** Capabilities 4. */
    public static final int PC4 = 0xc0c;
    /** Control. */
    public static final int PC = 0xc10;
    /** Table fetch attributes 1. */
    public static final int PFA1 = 0xc14;
    /** Table fetch attributes 2. */
    public static final int PFA2 = 0xc18;
    /** Interrupt control and status. */
    public static final int PICS = 0xc1c;
    /** Debug 1. */
    public static final int PD1 = 0xf00;
    /** Debug 4. */
    public static final int PD4 = 0xf0c;

    /** PC, PGC: everything is refused. */
    public static final int PC_GATE_CLOSED = 0x8000_0000;
    /** PC, PE: the unit translates. */
    public static final int PC_ENABLE = 0x4000_0000;
    /** PC, OCE: cache of the OMT. */
    public static final int PC_OMT_CACHE = 0x1000;
    /** PC, SPCC: cache of the SPAACT. */
    public static final int PC_SECONDARY_CACHE = 0x10;
    /** PC, PPCC: cache of the PPAACT. */
    public static final int PC_PRIMARY_CACHE = 0x1;

    /** PICS: an access violation happened. */
    public static final int PICS_VIOLATION = 0x8;
    /** PICS: violations interrupt. */
    public static final int PICS_VIOLATION_ENABLE = 0x4;
    /** PICS: an operation error happened. */
    public static final int PICS_OPERATION = 0x2;
    /** PICS: operation errors interrupt. */
    public static final int PICS_OPERATION_ENABLE = 0x1;

    /** AVS1, AV: a violation is recorded. */
    public static final int AVS1_VALID = 0x1;
    /** AVS1: all W1C bits. */
    public static final int AVS1_STATUS = 0x7fff;
    /** AVS1, PDV: the unit is disabled. */
    public static final int AVS1_DISABLED = 0x4000;
    /** AVS1, GCV: the gate is closed. */
    public static final int AVS1_GATE = 0x2000;
    /** AVS1, LAV: the LIODN has no usable entry. A 3-bit code. */
    public static final int AVS1_LIODN = 0x1c00;
    /** AVS1, WAV: the address is in no window. A 3-bit code. */
    public static final int AVS1_WINDOW = 0x0380;
    /** AVS1, APV: the access is not permitted. A 4-bit code. */
    public static final int AVS1_PERMISSION = 0x0078;
    /** AVS1, OTV: the operation has no translation. A 2-bit code. */
    public static final int AVS1_OPERATION = 0x0006;

    private static final int MWCE_SHIFT = 21;
    private static final int MWCE = 0xf;

    private Registers() {
    }

    /** {@return the largest number of windows a PC3 announces} */
    public static int maxWindows(int pc3) {
        return 2 << (pc3 >>> MWCE_SHIFT & MWCE);
    }

    /** {@return the PC3 that announces so many windows, a power of two from 2} */
    public static int capabilities3(int maxWindows) {
        return Integer.numberOfTrailingZeros(maxWindows) - 1 << MWCE_SHIFT;
    }

    /** {@return the bit of an instance in PAMUBYPENR} */
    public static int bypassBit(int instance) {
        return 0x8000_0000 >>> instance;
    }
}
