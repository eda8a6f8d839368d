// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.DomainAttribute;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Predicate;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;

/**
 * What the user of a container asked for, and the only truth: an IOMMU's tables are made from it and can be made
 * again. Owns one hold of the buffer behind each mapping. Guarded by the container's lock, but for {@link #places}, which
 * other containers ask.
 */
final class Ledger {
    private final Map<Class<?>, DomainAttribute> attributes = new LinkedHashMap<>();
    private final TreeMap<Long, Mapping> mappings = new TreeMap<>(Long::compareUnsigned);
    private final ConcurrentSkipListMap<Long, MsiPlacement> placements = new ConcurrentSkipListMap<>(Long::compareUnsigned);

    /** A later value takes the earlier one's place: what was set before what depends on it stays before it. */
    void set(DomainAttribute attribute) {
        attributes.put(attribute.getClass(), attribute);
    }

    /** Forgets values that setting another has undone (PAMU: a new geometry unsets the window count). */
    void forgetAttributes(Predicate<DomainAttribute> undone) {
        attributes.values().removeIf(undone);
    }

    /** {@return the attributes in the order of replay} */
    List<DomainAttribute> attributes() {
        return List.copyOf(attributes.values());
    }

    /** {@return the attribute as it was set, or else that value} */
    <A extends DomainAttribute> A attribute(Class<A> kind, A otherwise) {
        return kind.cast(attributes.getOrDefault(kind, otherwise));
    }

    /** Takes over the hold of the buffer that the caller has taken. */
    void add(Mapping mapping) {
        mappings.put(mapping.iova(), mapping);
    }

    int size() {
        return mappings.size();
    }

    List<Mapping> mappings() {
        return List.copyOf(mappings.values());
    }

    /** {@return the mapping that holds the address, or null} */
    Mapping at(long iova) {
        Map.Entry<Long, Mapping> below = mappings.floorEntry(iova);
        return below != null && Long.compareUnsigned(iova, below.getValue().end()) <= 0 ? below.getValue() : null;
    }

    /** {@return the mappings that touch the range, by ascending iova} */
    List<Mapping> touching(long iova, long end) {
        List<Mapping> found = new ArrayList<>();
        Mapping first = at(iova);
        if (first != null) {
            found.add(first);
        }
        for (Mapping next : mappings.tailMap(iova, first == null).values()) {
            if (Long.compareUnsigned(next.iova(), end) > 0) {
                break;
            }
            found.add(next);
        }
        return found;
    }

    /** Takes a range out of one mapping; what is left of it on either side stays. */
    void cut(Mapping mapping, long iova, long length) {
        mappings.remove(mapping.iova());
        long before = iova - mapping.iova();
        if (before > 0) {
            mapping.buffer().retain();
            add(new Mapping(mapping.iova(), mapping.buffer(), mapping.offset(), before, mapping.access()));
        }
        long after = mapping.length() - before - length;
        if (after > 0) {
            mapping.buffer().retain();
            add(new Mapping(iova + length, mapping.buffer(), mapping.offset() + before + length, after, mapping.access()));
        }
        mapping.buffer().release();
    }

    void place(MsiPlacement placement) {
        placements.put(placement.iova(), placement);
    }

    void remove(MsiPlacement placement) {
        placements.remove(placement.iova());
    }

    List<MsiPlacement> placements() {
        return List.copyOf(placements.values());
    }

    /** Whether that bank is placed. Any thread. */
    boolean places(int bank) {
        return placements.values().stream().anyMatch(placement -> placement.bank() == bank);
    }

    /** Forgets everything and lets the memory go. */
    void clear() {
        mappings.values().forEach(mapping -> mapping.buffer().release());
        mappings.clear();
        placements.clear();
        attributes.clear();
    }
}
