// SPDX-License-Identifier: Apache-2.0
package iommu.type1.unit;

import iommu.type1.VtdCapabilities;
import iommu.type1.VtdRegisters;

/**
 * How one VT-d unit is built.
 *
 * @param capabilities what CAP and ECAP say; the unit behaves so
 * @param hostWidth bits of a physical address, 32..52; an entry that points beyond is malformed
 * @param compressFaults a second fault of a source whose first is still recorded is dropped
 * @param blockUntilEnabled while GCMD.TE is 0 DMA is refused; false is what the chip does: it passes untranslated
 * @param iotlbEntries to how many entries the cache of 4 KiB translations may grow, a power of two, 64 to 2^20
 */
public record VtdSettings(VtdCapabilities capabilities, int hostWidth, boolean compressFaults, boolean blockUntilEnabled,
        int iotlbEntries) {
    /** Like a modern client: 48 bits in 4 levels, 2 MiB and 1 GiB pages, 8 fault records, queue, interrupt remapping, no caching mode. */
    public static final VtdSettings DEFAULT =
        new VtdSettings(new VtdCapabilities(0x00d2_078c_226f_0406L, 0x00f0_0fdbL), 46, true, true, 1 << 17);

    /** @throws IllegalArgumentException if such a unit cannot be built; the message says why */
    public VtdSettings {
        int widths = capabilities.widths();
        if ((widths & 0xe) == 0 || (widths & ~0xe) != 0) {
            throw new IllegalArgumentException(String.format("SAGAW 0x%x: 3, 4 and 5 levels can be walked (0x2, 0x4, 0x8)", widths));
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
            throw new IllegalArgumentException("IOTLB of " + iotlbEntries + " entries: a power of two from 64 to 1048576");
        }
    }

    static VtdSettings of(VtdUnitComponent.Config config) {
        int widths = 0;
        for (int levels : config.levels()) {
            if (levels < 3 || levels > 5) {
                throw new IllegalArgumentException("levels " + levels + ": 3, 4 or 5");
            }
            widths |= 1 << levels - 2;
        }
        within("address.width", config.address_width(), 30, 57);
        within("fault.records", config.fault_records(), 1, 222);
        within("domain.bits", config.domain_bits(), 4, 16);
        within("maximum.mask", config.maximum_mask(), 0, 45);
        if ((config.domain_bits() & 1) != 0) {
            throw new IllegalArgumentException("domain.bits " + config.domain_bits() + ": an even number");
        }
        long cap = (config.domain_bits() - 4) / 2
            | bit(config.write_buffer_flush(), 4)
            | bit(config.caching_mode(), 7)
            | (long) widths << 8
            | config.address_width() - 1L << 16
            | bit(true, 22)
            | 0x22L << 24
            | bit(config.pages_2m(), 34) | bit(config.pages_1g(), 35)
            | bit(config.page_selective(), 39)
            | config.fault_records() - 1L << 40
            | (long) config.maximum_mask() << 48
            | bit(true, 54) | bit(true, 55);
        long ecap = bit(true, 0)
            | bit(config.queued_invalidation(), 1)
            | bit(config.interrupt_remapping(), 3)
            | bit(config.interrupt_remapping() && config.extended_interrupts(), 4)
            | bit(config.pass_through(), 6)
            | bit(config.snoop_control(), 7)
            | 0xfL << 8
            | 0xfL << 20;
        return new VtdSettings(new VtdCapabilities(cap, ecap), config.host_width(), config.fault_compression(),
            config.block_until_enabled(), config.iotlb_entries());
    }

    private static long bit(boolean value, int number) {
        return value ? 1L << number : 0;
    }

    private static void within(String property, int value, int least, int most) {
        if (value < least || value > most) {
            throw new IllegalArgumentException(property + " " + value + ": " + least + " to " + most);
        }
    }
}
