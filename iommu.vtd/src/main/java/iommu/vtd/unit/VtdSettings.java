// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import machine.api.config.ConfigurationReader;

/**
 * The parameters of one VT-d unit.
 *
 * @param capabilities what CAP and ECAP say; the unit behaves so
 * @param hostWidth bits of a physical address, 32..52; an entry that points beyond is malformed
 * @param compressFaults a second fault of a source whose first is still recorded is dropped
 * @param blockUntilEnabled while GCMD.TE is 0 DMA is refused; false is what the chip does: it passes untranslated
 * @param iotlbEntries to how many entries the cache of 4 KiB translations may grow, a power of two, 64 to 2^20
 */
public record VtdSettings(VtdCapabilities capabilities, int hostWidth, boolean compressFaults,
    boolean blockUntilEnabled,
        int iotlbEntries) {
    /**
     * Like a modern client: 48 bits in 4 levels, 2 MiB and 1 GiB pages, 8 fault records, queue, interrupt remapping, no
     * caching mode.
     */
    public static final VtdSettings DEFAULT =
        new VtdSettings(new VtdCapabilities(0x00d2_078c_226f_0406L, 0x00f0_0fdbL), 46, true, true, 1 << 17);

    /** @throws IllegalArgumentException if such a unit cannot be built; the message says why */
    public VtdSettings {
        int widths = capabilities.widths();
        if ((widths & 0xe) == 0 || (widths & ~0xe) != 0) {
            throw new IllegalArgumentException(
                String.format("SAGAW 0x%x: 3, 4 and 5 levels can be walked (0x2, 0x4, 0x8)", widths));
        }
        int widest = 30 + 9 * (31 - Integer.numberOfLeadingZeros(widths));
        if (capabilities.addressWidth() > widest) {
            throw new IllegalArgumentException(String.format("MGAW of %d bits, but the deepest tables translate %d",
                capabilities.addressWidth(), widest));
        }
        if (hostWidth < 32 || hostWidth > 52) {
            throw new IllegalArgumentException("host address width of " + hostWidth + " bits: 32 to 52 are possible");
        }
        int faultsEnd = capabilities.faultOffset() + 16 * capabilities.faultRecords();
        int iotlb = capabilities.iotlbOffset();
        boolean apart = faultsEnd <= iotlb || iotlb + 16 <= capabilities.faultOffset();
        boolean inside = faultsEnd <= VtdRegisters.SIZE && iotlb + 16 <= VtdRegisters.SIZE;
        if (capabilities.faultOffset() < 0xf0 || iotlb < 0xf0 || !inside || !apart) {
            throw new IllegalArgumentException(String.format(
                "fault records at 0x%x..0x%x and IOTLB registers at 0x%x do not fit in 0xf0..0xfff",
                capabilities.faultOffset(), faultsEnd, iotlb));
        }
        if (capabilities.interruptRemapping() && !capabilities.queued()) {
            throw new IllegalArgumentException("interrupt remapping needs queued invalidation");
        }
        if (iotlbEntries < 64 || iotlbEntries > 1 << 20 || Integer.bitCount(iotlbEntries) != 1) {
            throw new IllegalArgumentException(
                "IOTLB of " + iotlbEntries + " entries: a power of two from 64 to 1048576");
        }
    }

    /** @throws IllegalArgumentException if such a unit cannot be built; the message says why */
    static VtdSettings of(ConfigurationReader.Values values) {
        int widths = 0;
        for (int levels : values.integers("levels", 3, 5)) {
            widths |= 1 << levels - 2;
        }
        int domainBits = (int) values.number("domain.bits", bits -> bits >= 4 && bits <= 16 && (bits & 1) == 0,
            "an even number, 4..16");
        boolean remapping = values.flag("interrupt.remapping");
        boolean extended = values.flag("extended.interrupts");
        long cap = (domainBits - 4) / 2
            | bit(values.flag("write.buffer.flush"), 4)
            | bit(values.flag("caching.mode"), 7)
            | (long) widths << 8
            | values.integer("address.width", 30, 57) - 1L << 16
            | bit(true, 22)
            | 0x22L << 24
            | bit(values.flag("pages.2m"), 34) | bit(values.flag("pages.1g"), 35)
            | bit(values.flag("page.selective"), 39)
            | values.integer("fault.records", 1, 222) - 1L << 40
            | (long) values.integer("maximum.mask", 0, 45) << 48
            | bit(true, 54) | bit(true, 55);
        long ecap = bit(true, 0)
            | bit(values.flag("queued.invalidation"), 1)
            | bit(remapping, 3)
            | bit(remapping && extended, 4)
            | bit(values.flag("pass.through"), 6)
            | bit(values.flag("snoop.control"), 7)
            | 0xfL << 8
            | 0xfL << 20;
        return new VtdSettings(new VtdCapabilities(cap, ecap), values.integer("host.width", 32, 52),
            values.flag("fault.compression"), values.flag("block.until.enabled"),
            values.powerOfTwo("iotlb.entries", 64, 1 << 20));
    }

    private static long bit(boolean value, int number) {
        return value ? 1L << number : 0;
    }
}
