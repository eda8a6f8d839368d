// SPDX-License-Identifier: Apache-2.0
package vfio.container.state;

import iommu.api.DomainAttribute;
import iommu.api.NamedAttribute;
import java.util.AbstractList;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Predicate;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.container.host.Cleanup;

/**
 * The record of the requests of a container's user, and the only truth: an IOMMU's tables are made from it and can be
 * rebuilt. Owns one hold of the buffer behind each mapping. Guarded by the container's lock, but for {@link #places},
 * which other containers ask.
 */
public final class Ledger {
    private final Map<String, DomainAttribute> attributes = new LinkedHashMap<>();
    private final TreeMap<Long, Mapping> mappings;
    private final ConcurrentSkipListMap<Long, MsiPlacement> placements =
        new ConcurrentSkipListMap<>(Long::compareUnsigned);
    private long bytes;
    private int invalidVaddrs;

    public Ledger() {
        this(Long::compareUnsigned);
    }

    /** With that comparison of device addresses, which must be the unsigned one: for tests that count comparisons. */
    public Ledger(Comparator<Long> unsigned) {
        mappings = new TreeMap<>(unsigned);
    }

    /**
     * A later value takes the earlier one's place: what was set before what depends on it stays before it. A bundle's
     * own is kept as data: its class may be gone when it is replayed.
     */
    public void set(DomainAttribute attribute) {
        boolean known = attribute.getClass().getClassLoader() == DomainAttribute.class.getClassLoader();
        attributes.put(attribute.name(), known ? attribute : NamedAttribute.of(attribute));
    }

    /** Forgets values that setting another has undone (PAMU: a new geometry unsets the window count). */
    public void forgetAttributes(Predicate<DomainAttribute> undone) {
        attributes.values().removeIf(undone);
    }

    /** {@return the attributes in the order of replay} */
    public List<DomainAttribute> attributes() {
        return List.copyOf(attributes.values());
    }

    /** {@return the attribute as it was set, or else that value} */
    public <A extends DomainAttribute> A attribute(Class<A> kind, A otherwise) {
        return attributes.values().stream().filter(kind::isInstance).map(kind::cast).findFirst().orElse(otherwise);
    }

    /** Takes over the hold of the buffer that the caller has taken. */
    public void add(Mapping mapping) {
        mappings.put(mapping.iova(), mapping);
        count(mapping, 1);
    }

    /** One mapping for another of the same iova and length; the hold of the old one's buffer stays with the caller. */
    public void replace(Mapping old, Mapping mapping) {
        count(old, -1);
        add(mapping);
    }

    private void count(Mapping mapping, int sign) {
        bytes += sign * mapping.length();
        invalidVaddrs += mapping.vaddrValid() ? 0 : sign;
    }

    public int size() {
        return mappings.size();
    }

    /** {@return the bytes of all mappings} */
    public long bytes() {
        return bytes;
    }

    /** {@return how many mappings have an invalid vaddr} */
    public int invalidVaddrs() {
        return invalidVaddrs;
    }

    /** {@return a copy} */
    public List<Mapping> mappings() {
        return List.copyOf(mappings.values());
    }

    /** {@return a view, no copy: for a holder of the lock that iterates} */
    public List<Mapping> view() {
        return new AbstractList<>() {
            @Override
            public Iterator<Mapping> iterator() {
                return Collections.unmodifiableCollection(mappings.values()).iterator();
            }

            @Override
            public Mapping get(int index) {
                Objects.checkIndex(index, size());
                Iterator<Mapping> all = iterator();
                for (int i = 0; i < index; i++) {
                    all.next();
                }
                return all.next();
            }

            @Override
            public int size() {
                return mappings.size();
            }
        };
    }

    /** {@return the mapping that holds the address, or null} */
    public Mapping at(long iova) {
        Map.Entry<Long, Mapping> below = mappings.floorEntry(iova);
        return below != null && Long.compareUnsigned(iova, below.getValue().end()) <= 0 ? below.getValue() : null;
    }

    /** {@return the first mapping that touches the range, or null} */
    public Mapping first(long iova, long end) {
        Map.Entry<Long, Mapping> below = mappings.floorEntry(end);
        if (below == null || Long.compareUnsigned(below.getValue().end(), iova) < 0) {
            return null;
        }
        Mapping there = at(iova);
        return there != null ? there : mappings.higherEntry(iova).getValue();
    }

    /** {@return the mappings that touch the range, by ascending iova} */
    public List<Mapping> touching(long iova, long end) {
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
    public void cut(Mapping mapping, long iova, long length) {
        mappings.remove(mapping.iova());
        count(mapping, -1);
        long before = iova - mapping.iova();
        if (before > 0) {
            mapping.buffer().retain();
            add(new Mapping(mapping.iova(), mapping.buffer(), mapping.offset(), before, mapping.access(),
                mapping.vaddrValid()));
        }
        long after = mapping.length() - before - length;
        if (after > 0) {
            mapping.buffer().retain();
            add(new Mapping(iova + length, mapping.buffer(), mapping.offset() + before + length, after,
                    mapping.access(),
                mapping.vaddrValid()));
        }
        mapping.buffer().release();
    }

    public void place(MsiPlacement placement) {
        placements.put(placement.iova(), placement);
    }

    public void remove(MsiPlacement placement) {
        placements.remove(placement.iova());
    }

    public List<MsiPlacement> placements() {
        return List.copyOf(placements.values());
    }

    /** Whether that bank is placed. Any thread. */
    public boolean places(int bank) {
        return placements.values().stream().anyMatch(placement -> placement.bank() == bank);
    }

    /** Lets the memory go, all of it even if some throws, and forgets everything. */
    public void clear() {
        Cleanup steps = new Cleanup();
        mappings.values().forEach(mapping -> steps.take(mapping.buffer()::release));
        mappings.clear();
        bytes = 0;
        invalidVaddrs = 0;
        placements.clear();
        attributes.clear();
        steps.end();
    }
}
