// SPDX-License-Identifier: Apache-2.0
package iommu.vtd.unit;

import iommu.vtd.VtdRegisters;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.Bus;
import machine.api.InterruptInputs;
import machine.api.Refusal;
import machine.api.TranslationUnit;
import machine.api.Unit;

/**
 * One VT-d unit in legacy mode: the hardware of one DRHD. Stop 2 of the road; before it
 * {@link machine.api.DmaPort#write}, after it memory, for an MSI {@link InterruptRemapper}. Lock-free for devices;
 * allocates where nothing is cached yet and where an access is refused.
 *
 * <p>It is controlled through its registers and its tables in memory alone.
 */
public final class VtdUnit implements TranslationUnit {
    /** Start of the private windows of interrupt remapping: above everything that RAM and table entries can reach. */
    private static final long PRIVATE = 1L << 60;
    /** No refusal: to be looked up from the beginning. */
    private static final long AGAIN = Long.MIN_VALUE;

    private final int hostWidth;
    /** The bits of a device address that are recorded: those below MGAW. */
    private final long recordedAddress;
    private final boolean cachingMode;
    private final boolean blockUntilEnabled;
    private final FaultRecorder faults;
    private final ContextCache contexts;
    private final TranslationCaches caches;
    private final RecentPages recent;
    private final Iotlb small;
    private final Iotlb large;
    private final Iotlb huge;
    private final PageWalk pages;
    private final InterruptRemapper interrupts;
    private final RegisterBlock registers;
    private final long base;
    private volatile boolean translating;

    /**
     * @param bus where its tables are read and its messages written
     * @param base physical address of its register page, below 2^46
     */
    public VtdUnit(Bus bus, VtdSettings settings, long base) {
        if (base < 0 || base >= 1L << 46 || (base & VtdRegisters.SIZE - 1) != 0) {
            throw new IllegalArgumentException(
                String.format("registers at 0x%x: a 4 KiB page below 2^46 is needed", base));
        }
        this.base = base;
        hostWidth = settings.hostWidth();
        recordedAddress = (1L << settings.capabilities().addressWidth()) - 1;
        cachingMode = settings.capabilities().cachingMode();
        blockUntilEnabled = settings.blockUntilEnabled();
        faults = new FaultRecorder(bus, settings);
        contexts = new ContextCache(bus, settings);
        caches = new TranslationCaches(contexts, settings);
        recent = caches.recent;
        small = caches.small;
        large = caches.large;
        huge = caches.huge;
        pages = new PageWalk(bus, settings);
        interrupts = new InterruptRemapper(bus, settings, faults, window());
        registers = new RegisterBlock(this, bus, settings, faults, caches, interrupts,
            new InvalidationQueue(bus, settings, caches, interrupts, faults));
    }

    /**
     * {@return what plugs it into the machine: its registers, its private window, its translation}
     *
     * @param path of the DRHD's node
     */
    public Unit plug(String path) {
        return new Unit(
            List.of(new Unit.Window(base, VtdRegisters.SIZE, registers),
                new Unit.Window(window(), InterruptRemapper.RANGE, interrupts)),
            Map.of(path, this), InterruptInputs.NONE);
    }

    @Override
    public long translate(int requester, long iova, int length, int access) {
        long physical = recent.find(requester, iova, access);
        return physical >= 0 ? physical : lookUp(requester, iova, length, access);
    }

    /**
     * Not the recent page. One long method on purpose: the compiler leaves it where it is, and {@link #translate} stays
     * short enough to become part of its callers.
     */
    private long lookUp(int requester, long iova, int length, int access) {
        // Before all else: what is found counts for as long as nothing is invalidated after this.
        long generation = recent.generation();
        if (iova >>> 20 == VtdRegisters.INTERRUPTS >>> 20) {
            // With neither TE nor IRE nobody has set this unit up yet: a message could ring any vector.
            return blockUntilEnabled && !translating && !interrupts.enabled() ? Refusal.BLOCKED
                : interrupts.target(iova, length, access);
        }
        if (!translating) {
            return blockUntilEnabled ? Refusal.BLOCKED : iova >>> hostWidth != 0 ? Refusal.OUTSIDE : iova;
        }
        if (requester >>> 16 != 0) {
            return Refusal.NO_REQUESTER;
        }
        Context context = contexts.find(requester);
        if (context == null) {
            context = contexts.fetch(requester);
        }
        if (context.domain == null || context.passThrough || iova >>> context.width != 0) {
            return rare(context, requester, iova, access);
        }
        int shift = 12;
        long found = small.find(iova >>> 12, context.domain);
        if (found < 0) {
            shift = 21;
            found = large.find(iova >>> 21, context.domain);
        }
        if (found < 0) {
            shift = 30;
            found = huge.find(iova >>> 30, context.domain);
        }
        if (found < 0) {
            found = walk(requester, iova, access);
            if (found < 0) {
                return found == AGAIN ? lookUp(requester, iova, length, access) : found;
            }
            shift = PageWalk.shift(found);
        }
        if ((found & access) == 0) {
            return refuse(context, requester, iova, access, access == Access.WRITE ? Reason.WRITE : Reason.READ,
                (found & 3) != 0);
        }
        long physical = (found & -VtdRegisters.SIZE) + (iova & (1L << shift) - 1);
        if (physical >>> 20 == VtdRegisters.INTERRUPTS >>> 20) {
            return refuse(context, requester, iova, access, Reason.INTO_INTERRUPTS, true);
        }
        // Neither this page nor where it leads is in the interrupt range, which is whole pages: it may be served
        // without a look.
        recent.used(requester, iova, access, physical - iova, generation);
        return physical;
    }

    /** SRTP */
    void rootTable(long rtaddr) {
        contexts.rootTable(rtaddr);
    }

    /** TE */
    void translate(boolean on) {
        translating = on;
        recent.nextGeneration();
    }

    private long window() {
        return PRIVATE + (base << 8);
    }

    /** A context that does not look at pages. */
    private long rare(Context context, int requester, long iova, int access) {
        if (context.fault != 0) {
            return refuse(context, requester, iova, access, context.fault, false);
        }
        if (iova >>> context.width != 0 || iova >>> hostWidth != 0) {
            return refuse(context, requester, iova, access, Reason.BEYOND_WIDTH, false);
        }
        return iova;
    }

    /**
     * Counters first, then the context, then the tables: whatever was read before an invalidation is either not cached
     * or not served.
     *
     * @return as {@link PageWalk#walk}, if it is a page; a refusal; {@link #AGAIN} if the context has become one
     *     without pages
     */
    private long walk(int requester, long iova, int access) {
        Context context;
        long epoch;
        long cuts;
        do {
            context = contexts.find(requester);
            if (context == null) {
                context = contexts.fetch(requester);
            }
            if (context.domain == null || context.passThrough || iova >>> context.width != 0) {
                return AGAIN;
            }
            epoch = context.domain.epoch;
            cuts = context.domain.cuts;
        } while (!contexts.valid(requester, context));
        long found = pages.walk(context, iova, access);
        if (found >= 0) {
            int shift = PageWalk.shift(found);
            long value = found & (-VtdRegisters.SIZE | 3);
            (shift == 12 ? small : shift == 21 ? large : huge).put(iova >>> shift, context.domain, value, epoch, cuts);
            return found;
        }
        if (cachingMode && !PageWalk.mapped(found) && PageWalk.reason(found) <= Reason.READ
            && PageWalk.reason(found) >= Reason.WRITE) {
            small.put(iova >>> 12, context.domain, 0, epoch, cuts);
        }
        return refuse(context, requester, iova, access, PageWalk.reason(found), PageWalk.mapped(found));
    }

    private int refuse(Context context, int requester, long iova, int access, int reason, boolean mapped) {
        if (!context.faultsSilenced || !Reason.qualified(reason)) {
            faults.record(requester, iova & recordedAddress, reason, access == Access.READ);
        }
        return Reason.refusal(reason, mapped);
    }
}
