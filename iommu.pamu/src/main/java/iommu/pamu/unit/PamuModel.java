// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

/**
 * The parameters of a PAMU: the differences between revisions, and the choices that public sources leave open.
 *
 * @param version PR1 bits 15:0
 * @param maxLiodn PC2 bits 31:16, 0..0xffff; software reads it, the lookup is bounded by PPLA
 * @param maxWindows announced by PC3 and enforced on WCE: a power of two, 2..65536; 256, or 16 on P4080 rev 1
 * @param bypassReset PAMUBYPENR after reset: bit 31 - n for instance n, 1 lets its requesters pass unchecked. A chip is
 *     expected to start with ones; 0 stands for a boot loader that has cleared them
 * @param codes the violation sub-codes
 */
public record PamuModel(int version, int maxLiodn, int maxWindows, int bypassReset, ViolationCodes codes) {
    /** 12-bit LIODNs, 256 windows, nobody bypassed. */
    public static final PamuModel DEFAULT = new PamuModel(0x0100, 0xfff, 256, 0, ViolationCodes.MODEL);

    /** @throws IllegalArgumentException if a value is out of range */
    public PamuModel {
        if (version < 0 || version > 0xffff || maxLiodn < 0 || maxLiodn > 0xffff) {
            throw new IllegalArgumentException(
                String.format("version 0x%x, largest LIODN 0x%x: 16 bits each", version, maxLiodn));
        }
        if (maxWindows < 2 || maxWindows > 65536 || Integer.bitCount(maxWindows) != 1) {
            throw new IllegalArgumentException(maxWindows + " windows: must be a power of two in 2..65536");
        }
    }
}
