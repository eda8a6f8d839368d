// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import java.lang.invoke.VarHandle;

/**
 * The caches of the unit: contexts, and translations by page size, with their invalidation. Looking up is lock-free and
 * belongs to the road; the core that writes the register performs the invalidation.
 */
final class TranslationCaches {
    /** Above this many pages an invalidation takes the whole domain: the chip may, and it is faster. */
    private static final int MOST_PAGES_BITS = 12;

    final RecentPages recent = new RecentPages();
    final ContextCache contexts;
    final Iotlb small;
    final Iotlb large;
    final Iotlb huge;
    private final VtdCapabilities capabilities;

    TranslationCaches(ContextCache contexts, VtdSettings settings) {
        this.contexts = contexts;
        this.capabilities = settings.capabilities();
        small = new Iotlb(settings.iotlbEntries());
        large = new Iotlb(Math.max(64, settings.iotlbEntries() >> 3));
        huge = new Iotlb(Math.max(64, settings.iotlbEntries() >> 7));
    }

    /**
     * A domain's contexts are not indexed by domain: that request takes all of them, as the chip may.
     *
     * @return the granularity performed, 0 for a reserved one
     */
    int invalidateContexts(int granularity, int source, int functionMask) {
        int performed = contexts(granularity, source, functionMask);
        recent.nextGeneration();
        return performed;
    }

    private int contexts(int granularity, int source, int functionMask) {
        switch (granularity) {
            case VtdRegisters.GLOBAL, VtdRegisters.DOMAIN -> contexts.invalidateAll();
            case VtdRegisters.DEVICE -> {
                contexts.invalidate(source, functionMask);
                return VtdRegisters.DEVICE;
            }
            default -> {
                return 0;
            }
        }
        return VtdRegisters.GLOBAL;
    }

    /**
     * @param address of the first page; bits below the mask are ignored
     * @param mask AM: 2^mask pages of 4 KiB
     * @return the granularity performed, 0 for a reserved one and for a mask above MAMV, which are ignored (VT-d:
     *     IOTLB_REG.IAIG)
     */
    int invalidateTranslations(int granularity, int domain, long address, int mask) {
        VarHandle.fullFence();
        int performed = translations(granularity, domain, address, mask);
        recent.nextGeneration();
        return performed;
    }

    private int translations(int granularity, int domain, long address, int mask) {
        switch (granularity) {
            case VtdRegisters.GLOBAL -> {
                contexts.invalidateDomains();
                return VtdRegisters.GLOBAL;
            }
            case VtdRegisters.DOMAIN -> {
                return wholeDomain(domain);
            }
            case VtdRegisters.PAGE -> {
                if (capabilities.pageSelective() && mask > capabilities.maximumMask()) {
                    return 0;
                }
                if (!capabilities.pageSelective() || mask > MOST_PAGES_BITS) {
                    return wholeDomain(domain);
                }
                pages(domain, address >>> 12 & -1L << mask, 1L << mask);
                return VtdRegisters.PAGE;
            }
            default -> {
                return 0;
            }
        }
    }

    private int wholeDomain(int domain) {
        DomainTag tag = contexts.domain(domain);
        if (tag != null) {
            tag.invalidate();
        }
        return VtdRegisters.DOMAIN;
    }

    private void pages(int domain, long first, long count) {
        DomainTag tag = contexts.domain(domain);
        if (tag == null) {
            return;
        }
        tag.cut();
        long last = first + count - 1;
        for (long page = first; page <= last; page++) {
            small.remove(page, domain);
        }
        for (long page = first >>> 9; page <= last >>> 9; page++) {
            large.remove(page, domain);
        }
        for (long page = first >>> 18; page <= last >>> 18; page++) {
            huge.remove(page, domain);
        }
    }
}
