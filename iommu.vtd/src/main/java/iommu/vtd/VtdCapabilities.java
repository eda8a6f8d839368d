// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

/**
 * The contents of the registers CAP and ECAP, decoded. The unit is built to it, the driver reads it from the hardware.
 *
 * @param cap the register CAP
 * @param ecap the register ECAP
 */
public record VtdCapabilities(long cap, long ecap) {
    /** {@return ND: number of domain ids, a power of two from 16 to 65536} */
    public int domains() {
        return 1 << 4 + 2 * (int) (cap & 7);
    }

    /** {@return RWBF: the driver must flush the write buffer after it has changed a table} */
    public boolean writeBufferFlush() {
        return bit(cap, 4);
    }

    /** {@return CM: entries that are not present may be cached} */
    public boolean cachingMode() {
        return bit(cap, 7);
    }

    /** {@return SAGAW: bit n set if tables of n + 2 levels are walked} */
    public int widths() {
        return (int) (cap >>> 8 & 0x1f);
    }

    /** {@return whether tables of that many levels are walked} */
    public boolean walks(int levels) {
        return levels >= 2 && levels <= 6 && bit(widths(), levels - 2);
    }

    /** {@return MGAW: bits of a device address that are translated} */
    public int addressWidth() {
        return (int) (cap >>> 16 & 0x3f) + 1;
    }

    /** {@return FRO: offset of the first fault record, bytes} */
    public int faultOffset() {
        return (int) (cap >>> 24 & 0x3ff) << 4;
    }

    /** {@return SLLPS: bit 0 pages of 2 MiB, bit 1 of 1 GiB} */
    public int superpages() {
        return (int) (cap >>> 34 & 3);
    }

    /** {@return the page sizes as a set: bit n for 2^n bytes} */
    public long pageSizes() {
        return 1L << 12 | (superpages() & 1L) << 21 | (superpages() & 2L) << 29;
    }

    /** {@return PSI: single pages can be invalidated} */
    public boolean pageSelective() {
        return bit(cap, 39);
    }

    /** {@return NFR: number of fault records} */
    public int faultRecords() {
        return (int) (cap >>> 40 & 0xff) + 1;
    }

    /** {@return MAMV: an invalidation takes at most 2^this pages} */
    public int maximumMask() {
        return (int) (cap >>> 48 & 0x3f);
    }

    /** {@return DWD: an invalidation can wait for writes} */
    public boolean drainsWrites() {
        return bit(cap, 54);
    }

    /** {@return DRD: an invalidation can wait for reads} */
    public boolean drainsReads() {
        return bit(cap, 55);
    }

    /** {@return QI: there is an invalidation queue} */
    public boolean queued() {
        return bit(ecap, 1);
    }

    /** {@return DT: devices may have TLBs of their own} */
    public boolean deviceTlb() {
        return bit(ecap, 2);
    }

    /** {@return IR: interrupts can be remapped} */
    public boolean interruptRemapping() {
        return bit(ecap, 3);
    }

    /** {@return EIM: destinations of 32 bits} */
    public boolean extendedInterrupts() {
        return bit(ecap, 4);
    }

    /** {@return PT: a context entry can pass addresses through} */
    public boolean passThrough() {
        return bit(ecap, 6);
    }

    /** {@return SC: a leaf entry can enforce snooping} */
    public boolean snoopControl() {
        return bit(ecap, 7);
    }

    /** {@return IRO: offset of the registers IVA and, 8 bytes on, IOTLB} */
    public int iotlbOffset() {
        return (int) (ecap >>> 8 & 0x3ff) << 4;
    }

    private static boolean bit(long value, int number) {
        return (value >>> number & 1) != 0;
    }
}
