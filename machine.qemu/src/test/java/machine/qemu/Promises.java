// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.HashMap;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.IntFunction;
import java.util.function.LongUnaryOperator;

/**
 * Where VT-d promises what a translation gives. After a table has changed and until the invalidations that belong to
 * the change are done, a unit may use the old entry, the new one, or now this and now that; what it does there is not
 * compared.
 *
 * <p>VT-d: an entry of a page table wants an invalidation of the pages it leads to, for a superpage with a mask that
 * covers it; a context entry one of the context, and then one of the translations of the domain it had; a root table
 * both of everything. Without caching mode an entry that was not present wants nothing.
 */
final class Promises {
    /** A context entry's tables. */
    private record Tables(int levels, long base) {
    }

    private record Page(int domain, long iova) {
    }

    /** A walk's end: the entries it reads, the address it leads to or -1, the size of the page as a shift. */
    record Walk(Set<Long> entries, long physical, int shift) {
    }

    private static final long ADDRESS = 0x000f_ffff_ffff_f000L;
    private static final int NO_DOMAIN = -1;

    private final LongUnaryOperator memory;
    private final Set<Long> pages;
    private final boolean cachingMode;
    private final Map<Integer, Tables> domains = new HashMap<>();
    /** Pages that are in doubt, with the smallest mask that takes the doubt away. */
    private final Map<Page, Integer> doubtful = new HashMap<>();
    private final Map<Integer, Integer> domainOf = new HashMap<>();
    private final Map<Integer, Set<Integer>> domainsBefore = new HashMap<>();
    private final Map<Integer, Set<Integer>> domainsToInvalidate = new HashMap<>();
    private final Set<Integer> contexts = new HashSet<>();
    private boolean everyContext;
    private boolean everyTranslation;

    /**
     * @param memory reads 8 bytes
     * @param pages the pages that devices may access
     */
    Promises(LongUnaryOperator memory, Set<Long> pages, boolean cachingMode, int... sources) {
        this.memory = memory;
        this.pages = pages;
        this.cachingMode = cachingMode;
        for (int source : sources) {
            domainOf.put(source, NO_DOMAIN);
            domainsBefore.put(source, new TreeSet<>());
            domainsToInvalidate.put(source, new TreeSet<>());
        }
    }

    /** {@return whether it is certain what an access of the device to the page gives} */
    boolean certain(int source, long iova) {
        return !everyContext && !everyTranslation && !contexts.contains(source)
            && domainsToInvalidate.get(source).isEmpty()
            && !doubtful.containsKey(new Page(domainOf.get(source), iova & -4096));
    }

    /** {@return where the device's access goes by the tables; null if it is not by tables} */
    Walk walk(int source, long iova) {
        Tables tables = domains.get(domainOf.get(source));
        return tables == null ? null : walk(tables, iova);
    }

    /** A page table is written. */
    void entry(long address, Runnable write) {
        boolean present = (memory.applyAsLong(address) & 3) != 0;
        doubt(address, present || cachingMode);
        write.run();
        doubt(address, present || cachingMode);
    }

    private void doubt(long address, boolean cached) {
        if (!cached) {
            return;
        }
        domains.forEach((domain, tables) -> pages.forEach(page -> {
            Walk walk = walk(tables, page);
            if (walk.entries.contains(address)) {
                doubtful.merge(new Page(domain, page), walk.shift - 12, Math::max);
            }
        }));
    }

    /** A context entry or the way to it is written. */
    void context(int source, LongUnaryOperator entry, Runnable write) {
        boolean present = (entry.applyAsLong(0) & 1) != 0;
        domainsBefore.get(source).add(domainOf.get(source));
        domainsBefore.get(source).add(domain(entry));
        write.run();
        if (present || cachingMode) {
            contexts.add(source);
        } else if (!contexts.contains(source)) {
            read(source, entry);
        }
        learn(entry);
    }

    /** A device's context will be read anew. */
    private void read(int source, LongUnaryOperator entry) {
        contexts.remove(source);
        domainsToInvalidate.get(source).addAll(domainsBefore.get(source));
        domainsToInvalidate.get(source).remove(NO_DOMAIN);
        domainsBefore.get(source).clear();
        domainOf.put(source, domain(entry));
        learn(entry);
    }

    private void learn(LongUnaryOperator entry) {
        int domain = domain(entry);
        if (domain != NO_DOMAIN) {
            domains.put(domain, new Tables((int) (entry.applyAsLong(8) & 7) + 2, entry.applyAsLong(0) & ADDRESS));
        }
    }

    private static int domain(LongUnaryOperator entry) {
        long low = entry.applyAsLong(0);
        long high = entry.applyAsLong(8);
        // By page tables, of a depth that is walked.
        boolean walks = (low & 1) != 0 && low != -1 && (low & 8) == 0 && (high & 7) >= 1 && (high & 7) <= 3;
        return walks ? (int) (high >>> 8 & 0xffff) : NO_DOMAIN;
    }

    /** Another root table. */
    void rootTable() {
        everyContext = true;
        everyTranslation = true;
    }

    /** @param entries finds a device's context entry */
    void contextsInvalidated(int granularity, int device, int mask, IntFunction<LongUnaryOperator> entries) {
        int ignored = 8 - (8 >> mask);
        for (int source : domainOf.keySet()) {
            if (granularity != 3 || ((source ^ device) & 0xffff & ~ignored) == 0) {
                Set<Integer> left = domainsToInvalidate.get(source);
                boolean unchanged = left.isEmpty() && !contexts.contains(source) && domainsBefore.get(source).isEmpty();
                domainsBefore.get(source).add(domainOf.get(source));
                read(source, entries.apply(source));
                if (unchanged && left.equals(Set.of(domainOf.get(source)))) {
                    // Still the same entry. One of the same domain that was written wants its translations invalidated,
                    // too: until then they may be used though the entry is malformed by now.
                    left.clear();
                }
            }
        }
        everyContext &= granularity != 1;
    }

    void translationsInvalidated(int granularity, int domain, long address, int mask) {
        switch (granularity) {
            case 1 -> {
                doubtful.clear();
                domainsToInvalidate.forEach((source, left) -> {
                    if (!contexts.contains(source)) {
                        left.clear();
                    }
                });
                everyTranslation &= everyContext;
            }
            case 2 -> {
                doubtful.keySet().removeIf(page -> page.domain == domain);
                domainsToInvalidate.forEach((source, left) -> {
                    if (!contexts.contains(source)) {
                        left.remove(domain);
                    }
                });
            }
            default -> doubtful.entrySet().removeIf(each -> each.getKey().domain == domain && each.getValue() <= mask
                && (each.getKey().iova ^ address) >>> 12 >>> mask == 0);
        }
    }

    private Walk walk(Tables tables, long iova) {
        Set<Long> entries = new HashSet<>();
        long table = tables.base;
        int largest = 12;
        for (int level = tables.levels; level > 0; level--) {
            int shift = 3 + 9 * level;
            if (level == tables.levels && iova >>> shift + 9 != 0) {
                return new Walk(entries, -1, largest);
            }
            long at = table + (iova >>> shift & 0x1ff) * 8;
            entries.add(at);
            long entry = memory.applyAsLong(at);
            if (entry == -1 || (entry & 3) == 0) {
                return new Walk(entries, -1, largest);
            }
            if (level == 1 || (entry & 0x80) != 0) {
                long mask = (1L << shift) - 1;
                return new Walk(entries, entry & ADDRESS & ~mask | iova & mask, Math.min(shift, 30));
            }
            table = entry & ADDRESS;
        }
        throw new AssertionError();
    }
}
