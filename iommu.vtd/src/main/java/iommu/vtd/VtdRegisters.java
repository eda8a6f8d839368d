// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/**
 * The data sheet of a VT-d register block, shared by both halves of this bundle: offsets from the base of the unit and
 * the bits in them. Numbers only; nothing of the model is in here. Registers are little-endian, 4 or 8 bytes, naturally
 * aligned; an 8-byte register may be accessed as two of 4 bytes.
 */
public final class VtdRegisters {
    /** Bytes of a register block. */
    public static final int SIZE = 0x1000;

    /** Version: [7:4] major, [3:0] minor. */
    public static final int VER = 0x00;
    /** Capabilities, 8 bytes: {@link VtdCapabilities}. */
    public static final int CAP = 0x08;
    /** Extended capabilities, 8 bytes: {@link VtdCapabilities}. */
    public static final int ECAP = 0x10;
    /** Global command, write only. */
    public static final int GCMD = 0x18;
    /** Global status, read only; the bits of {@link #GCMD}. */
    public static final int GSTS = 0x1c;
    /** Root table address, 8 bytes: [63:12] table, [11:10] translation table mode (0 legacy). */
    public static final int RTADDR = 0x20;
    /** Context command, 8 bytes: invalidation of the context cache. */
    public static final int CCMD = 0x28;
    /** Fault status. */
    public static final int FSTS = 0x34;
    /** Fault event control; data, address and upper address follow, 4 bytes each. */
    public static final int FECTL = 0x38;
    /** Protected memory enable. */
    public static final int PMEN = 0x64;
    /** Invalidation queue head, 8 bytes: [18:4] byte offset. */
    public static final int IQH = 0x80;
    /** Invalidation queue tail, 8 bytes: [18:4] byte offset. Writing starts the unit. */
    public static final int IQT = 0x88;
    /**
     * Invalidation queue address, 8 bytes: [63:12] base, 11 wide descriptors, [2:0] QS: 2^(QS+8) descriptors of 16
     * bytes.
     */
    public static final int IQA = 0x90;
    /** Invalidation completion status: 0 IWC, write 1 to clear. */
    public static final int ICS = 0x9c;
    /** Invalidation event control; data, address and upper address follow, 4 bytes each. */
    public static final int IECTL = 0xa0;
    /** Invalidation queue error record, 8 bytes. */
    public static final int IQERCD = 0xb0;
    /** Interrupt remapping table, 8 bytes: [63:12] base, 11 EIME, [3:0] S: 2^(S+1) entries. */
    public static final int IRTA = 0xb8;

    /** GCMD/GSTS: translation enable. */
    public static final int TE = 1 << 31;
    /** GCMD: set root table pointer (one shot); GSTS: it was set. */
    public static final int SRTP = 1 << 30;
    /** GCMD: write buffer flush (one shot); GSTS: in progress. */
    public static final int WBF = 1 << 27;
    /** GCMD/GSTS: queued invalidation enable. */
    public static final int QIE = 1 << 26;
    /** GCMD/GSTS: interrupt remapping enable. */
    public static final int IRE = 1 << 25;
    /** GCMD: set interrupt remapping table pointer (one shot); GSTS: it was set. */
    public static final int SIRTP = 1 << 24;
    /** GCMD/GSTS: compatibility format interrupts pass. */
    public static final int CFI = 1 << 23;
    /** The level bits of GCMD: TE, EAFL, QIE, IRE, CFI. Others are one shot and must be written as 0. */
    public static final int LEVELS = 0x96ff_ffff;

    /** CCMD and IOTLB: bit 63 starts the invalidation and reads 0 when it is done. */
    public static final long START = 1L << 63;
    /** CCMD, IOTLB and descriptors: everything. */
    public static final int GLOBAL = 1;
    /** CCMD, IOTLB and descriptors: of one domain id. */
    public static final int DOMAIN = 2;
    /** CCMD and context descriptor: of one source id. */
    public static final int DEVICE = 3;
    /** IOTLB and its descriptor: some pages of one domain id. */
    public static final int PAGE = 3;

    /** FSTS: a fault was lost. Write 1 to clear. */
    public static final int PFO = 1;
    /** FSTS: some fault record is pending. */
    public static final int PPF = 1 << 1;
    /** FSTS: invalidation queue error. Write 1 to clear. */
    public static final int IQE = 1 << 4;

    /** FECTL and IECTL: masked. Set after reset. */
    public static final int MASKED = 1 << 31;
    /** FECTL and IECTL: a message waits behind the mask. */
    public static final int PENDING = 1 << 30;

    /** Fault record, upper 4 bytes of 16: F, write 1 to clear. */
    public static final int FAULT = 1 << 31;

    /** Descriptor types of the invalidation queue: context cache. */
    public static final int QI_CONTEXT = 1;
    /** IOTLB. */
    public static final int QI_IOTLB = 2;
    /** Device TLB. */
    public static final int QI_DEVICE_IOTLB = 3;
    /** Interrupt entry cache. */
    public static final int QI_IEC = 4;
    /** Wait for what comes before. */
    public static final int QI_WAIT = 5;

    /** First address of the range in which a device's write is an interrupt request. */
    public static final long INTERRUPTS = 0xfee0_0000L;
    /** Last address of that range. */
    public static final long INTERRUPTS_END = 0xfeef_ffffL;

    private VtdRegisters() {
    }
}
