// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdCapabilities;
import iommu.vtd.VtdRegisters;
import java.lang.invoke.VarHandle;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicReferenceArray;
import machine.api.Bus;

/**
 * From source id to context entry, through root and context table, cached per source id.
 *
 * <p>A slot counts its invalidations; a context read before one is not valid after it, so a read under way when an
 * invalidation completes leaves nothing behind. Readers are lock-free.
 */
final class ContextCache {
    /** One source id's place. Made when it first speaks, kept for good. */
    static final class Slot {
        volatile Context context;
        volatile long version;

        synchronized void invalidate() {
            version++;
            context = null;
        }
    }

    private static final long PRESENT = 1;

    private final Bus bus;
    private final VtdCapabilities capabilities;
    private final long beyondHost;
    private final AtomicReferenceArray<Slot> slots = new AtomicReferenceArray<>(1 << 16);
    private final ConcurrentHashMap<Integer, DomainTag> domains = new ConcurrentHashMap<>();
    private volatile long rootTable;

    ContextCache(Bus bus, VtdSettings settings) {
        this.bus = bus;
        this.capabilities = settings.capabilities();
        this.beyondHost = -1L << settings.hostWidth();
    }

    /** {@return the valid cached context; null if there is none} */
    Context find(int source) {
        Slot slot = slots.getAcquire(source);
        if (slot == null) {
            return null;
        }
        Context context = slot.context;
        return context != null && context.version == slot.version ? context : null;
    }

    /** Reads the tables and caches what may be cached: faults only in caching mode. */
    Context fetch(int source) {
        Slot slot = slots.get(source);
        if (slot == null) {
            slots.compareAndSet(source, null, new Slot());
            slot = slots.get(source);
        }
        long version = slot.version;
        Context context = read(source, version);
        if (context.fault == 0 || capabilities.cachingMode()) {
            slot.context = context;
        }
        return context;
    }

    /** {@return whether the context has not been invalidated since it was read} */
    boolean valid(int source, Context context) {
        return slots.getAcquire(source).version == context.version;
    }

    /** SRTP: the root table address takes effect. */
    void rootTable(long rtaddr) {
        rootTable = rtaddr;
    }

    /** {@return the tag of a domain id, if any context ever had it} */
    DomainTag domain(int id) {
        return domains.get(id);
    }

    void invalidateDomains() {
        domains.values().forEach(DomainTag::invalidate);
    }

    void invalidateAll() {
        VarHandle.fullFence();
        for (int source = 0; source < slots.length(); source++) {
            Slot slot = slots.get(source);
            if (slot != null) {
                slot.invalidate();
            }
        }
    }

    /** @param functionMask FM: 0 the whole source id, 1 to 3 ignore that many upper bits of the function number */
    void invalidate(int source, int functionMask) {
        VarHandle.fullFence();
        int ignored = 8 - (8 >> functionMask);
        for (int function = 0; function < 8; function++) {
            if (((source ^ function) & 7 & ~ignored) == 0) {
                Slot slot = slots.get(source & ~7 | function);
                if (slot != null) {
                    slot.invalidate();
                }
            }
        }
    }

    private Context read(int source, long version) {
        long root = rootTable;
        if ((root >>> 10 & 3) != 0) {
            return new Context(version, Reason.ROOT_TABLE_ACCESS, false);
        }
        long rootEntry = (root & -VtdRegisters.SIZE) + (source >>> 8) * 16L;
        long low = bus.read(rootEntry, 8);
        long high = bus.read(rootEntry + 8, 8);
        if (low == -1) {
            return new Context(version, Reason.ROOT_TABLE_ACCESS, false);
        }
        if ((low & PRESENT) == 0) {
            return new Context(version, Reason.ROOT_NOT_PRESENT, false);
        }
        if ((low & 0xffe | low & beyondHost | high) != 0) {
            return new Context(version, Reason.ROOT_RESERVED, false);
        }
        return entry((low & -VtdRegisters.SIZE) + (source & 0xff) * 16L, version);
    }

    private Context entry(long address, long version) {
        long low;
        long high;
        do {
            // The chip reads the 16 bytes at once.
            low = bus.read(address, 8);
            high = bus.read(address + 8, 8);
        } while (bus.read(address, 8) != low);
        if (low == -1) {
            return new Context(version, Reason.CONTEXT_TABLE_ACCESS, false);
        }
        boolean silenced = (low & 2) != 0;
        if ((low & PRESENT) == 0) {
            return new Context(version, Reason.CONTEXT_NOT_PRESENT, silenced);
        }
        int domain = (int) (high >>> 8 & 0xffff);
        if ((low & 0xff0 | low & beyondHost | high & 0xffff_ffff_ff00_0080L) != 0 || domain >= capabilities.domains()) {
            return new Context(version, Reason.CONTEXT_RESERVED, silenced);
        }
        int levels = (int) (high & 7) + 2;
        int type = (int) (low >>> 2 & 3);
        boolean possible = type == 0 || type == 1 && capabilities.deviceTlb()
            || type == 2 && capabilities.passThrough();
        if (!capabilities.walks(levels) || !possible) {
            return new Context(version, Reason.CONTEXT_INVALID, silenced);
        }
        // No tables, so AW limits nothing there.
        int width = type == 2 ? capabilities.addressWidth() : Math.min(capabilities.addressWidth(), 12 + 9 * levels);
        return new Context(version, silenced, type == 2, domains.computeIfAbsent(domain, DomainTag::new),
            low & -VtdRegisters.SIZE, levels, width);
    }
}
