// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.IommuType;
import iommu.api.NamedAttribute;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import iommu.api.Windows;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.function.Function;
import java.util.stream.Collectors;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.TranslationUnit;
import machine.api.Wire;
import vfio.container.dma.Members;

/** Driver and unit in one: tables are sorted maps. Windowed by the PAMU's rules, or paged as VT-d. */
final class FakeIommu implements Iommu, TranslationUnit {
    static final long PAGE = 0x1000;

    /** Piece of a table: a page or a window. */
    record Entry(long length, long physical, int access) {
    }

    final Trip trip;
    final Map<Integer, List<ReservedRegion>> own = new HashMap<>();
    final List<Wire> wires = new ArrayList<>();
    final List<Violation> violations = new ArrayList<>();
    final ConcurrentSkipListMap<Requester, Domain> domains = new ConcurrentSkipListMap<>(Members.ORDER);
    final Set<Domain> opened = ConcurrentHashMap.newKeySet();
    /** Paths of the nodes it drives. */
    Set<String> serves = Set.of("/iommu");
    int maxWindows = 256;
    /** Its smallest page, as it says. */
    long page = PAGE;
    /** What it gets wrong: added to each physical address it maps; -1 refuses to map. */
    long lie;
    /** Added to each bank's address. */
    long doorbellLie;
    /** What happens when a domain has been closed. */
    Runnable closed = () -> {
    };
    private final boolean windowed;
    private final Bus bus;

    FakeIommu(boolean windowed, Bus bus, Trip trip) {
        this.windowed = windowed;
        this.bus = bus;
        this.trip = trip;
    }

    /** The class of an attribute of its own, null for none, and how it makes one of data. */
    Class<? extends DomainAttribute> attribute;
    Function<NamedAttribute, DomainAttribute> made = Iommu.super::attribute;

    @Override
    public DomainAttribute attribute(NamedAttribute data) {
        return made.apply(data);
    }

    /** What a paged one is driven as. */
    List<IommuType> types = List.of(IommuType.TYPE1V2, IommuType.TYPE1);

    @Override
    public IommuCapabilities capabilities() {
        return windowed ? IommuCapabilities.windowed("pamu", page, maxWindows, true, 0, 0xf_ffff_ffffL)
            : new IommuCapabilities(new IommuCapabilities.Paged(), page, 0, 0xffff_ffff_ffffL,
                List.of(new ReservedRegion(0xfee00000L, 0xfeefffffL, ReservedRegion.Kind.MSI)), types);
    }

    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        List<ReservedRegion> all = new ArrayList<>(capabilities().reserved());
        all.addAll(own.getOrDefault(requester.id(), List.of()));
        return all;
    }

    @Override
    public boolean serves(Requester requester) {
        return serves.contains(requester.unit());
    }

    @Override
    public IommuDomain open() {
        trip.step("open");
        Domain domain = new Domain();
        opened.add(domain);
        return domain;
    }

    @Override
    public List<Wire> violationWires() {
        return wires;
    }

    @Override
    public List<Violation> violations() {
        List<Violation> taken = List.copyOf(violations);
        violations.clear();
        return taken;
    }

    /** {@return the ids of who is attached} */
    Set<Integer> attached() {
        return domains.keySet().stream().map(Requester::id).collect(Collectors.toSet());
    }

    /** The hardware at a node: knows the requesters behind that. */
    TranslationUnit unit(String path) {
        return (requester, iova, length, access) -> {
            Domain domain = domains.get(new Requester(requester, path, 0));
            return domain == null ? Refusal.NO_REQUESTER : domain.reach(iova, access);
        };
    }

    @Override
    public long translate(int requester, long iova, int length, int access) {
        Map.Entry<Requester, Domain> found = domains.ceilingEntry(new Requester(requester, "", 0));
        return found == null || found.getKey().id() != requester ? Refusal.NO_REQUESTER
            : found.getValue().reach(iova, access);
    }

    /** What all domains hold together, for "as before". */
    String state() {
        StringBuilder text = new StringBuilder();
        domains.forEach((requester, domain) -> text.append(requester.id()).append(": ").append(domain.state())
            .append('\n'));
        return text.append(opened.size()).append(" open").toString();
    }

    /** One table. */
    final class Domain implements IommuDomain {
        private final TreeMap<Long, Entry> table = new TreeMap<>(Long::compareUnsigned);
        private final Set<Requester> members = new TreeSet<>(Members.ORDER);
        private Geometry geometry = new Geometry(0, 0);
        private int windows;
        private DomainAttribute mine;
        private boolean enabled = true;

        synchronized String state() {
            return members.stream().map(Requester::id).toList() + " " + geometry + " " + windows + " " + enabled + " "
                + table;
        }

        @Override
        public synchronized void attach(Requester requester) {
            trip.step("attach");
            if (domains.putIfAbsent(requester, this) != null) {
                throw new ErrnoException(Errno.EBUSY, "requester 0x%x is attached", requester.id());
            }
            members.add(requester);
        }

        @Override
        public void detach(Requester requester) {
            synchronized (this) {
                trip.step("detach");
                if (!members.remove(requester)) {
                    throw new ErrnoException(Errno.ENOENT, "requester 0x%x is not attached", requester.id());
                }
                domains.remove(requester);
            }
            bus.sync(Set.of(requester.id()));
        }

        @Override
        public synchronized void map(long iova, DmaBuffer buffer, long offset, long length, int access) {
            trip.step("map");
            if (lie < 0) {
                throw new ErrnoException(Errno.EIO, "it does not map any more");
            }
            TreeMap<Long, Entry> fresh = new TreeMap<>(Long::compareUnsigned);
            long step = windowed ? Math.min(window(iova, length), length) : PAGE;
            for (long at = 0; at < length; at += step) {
                DmaBuffer.Extent extent = buffer.at(offset + at);
                if (extent.length() < step) {
                    throw new ErrnoException(Errno.EFAULT, "memory behind iova 0x%x is not contiguous", iova + at);
                }
                fresh.put(iova + at, new Entry(step, extent.physical() + lie, access));
            }
            put(fresh);
        }

        @Override
        public synchronized void mapDoorbell(long iova, long physical, long length) {
            trip.step("mapDoorbell");
            if (windowed) {
                window(iova, length);
            }
            if (((iova | physical | length) & page - 1) != 0) {
                throw new ErrnoException(Errno.EINVAL, "doorbell 0x%x+0x%x at iova 0x%x: give multiples of 0x%x",
                    physical, length, iova, page);
            }
            TreeMap<Long, Entry> fresh = new TreeMap<>(Long::compareUnsigned);
            fresh.put(iova, new Entry(length, physical + doorbellLie, Access.WRITE));
            put(fresh);
        }

        private Set<Integer> ids() {
            return members.stream().map(Requester::id).collect(Collectors.toSet());
        }

        private long window(long iova, long length) {
            if (windows == 0) {
                throw new ErrnoException(Errno.EINVAL, "set the geometry, then the windows");
            }
            long size = geometry.size() / windows;
            if (!geometry.contains(iova) || !geometry.contains(iova + length - 1)
                || (iova - geometry.start()) % size != 0
                    || length > size && length % size != 0) {
                throw new ErrnoException(Errno.EINVAL, "iova 0x%x+0x%x does not fit windows of 0x%x", iova, length,
                    size);
            }
            return size;
        }

        private void put(TreeMap<Long, Entry> fresh) {
            for (Map.Entry<Long, Entry> entry : fresh.entrySet()) {
                if (!touching(entry.getKey(), entry.getValue().length()).isEmpty()) {
                    throw new ErrnoException(Errno.EEXIST, "iova 0x%x is mapped", entry.getKey());
                }
            }
            table.putAll(fresh);
        }

        private List<Long> touching(long iova, long length) {
            List<Long> found = new ArrayList<>();
            Map.Entry<Long, Entry> below = table.lowerEntry(iova);
            if (below != null && Long.compareUnsigned(below.getKey() + below.getValue().length() - 1, iova) >= 0) {
                found.add(below.getKey());
            }
            found.addAll(table.subMap(iova, true, iova + length - 1, true).keySet());
            return found;
        }

        @Override
        public long unmap(long iova, long length) {
            long bytes = 0;
            Set<Integer> devices;
            synchronized (this) {
                trip.step("unmap");
                devices = ids();
                List<Long> gone = touching(iova, length);
                for (long start : gone) {
                    long end = start + table.get(start).length() - 1;
                    if (Long.compareUnsigned(start, iova) < 0 || Long.compareUnsigned(end, iova + length - 1) > 0) {
                        throw new ErrnoException(Errno.EINVAL, "iova 0x%x cannot be cut", start);
                    }
                }
                for (long start : gone) {
                    bytes += table.remove(start).length();
                }
            }
            bus.sync(devices);
            return bytes;
        }

        /** What a device reaches. */
        synchronized long reach(long iova, int access) {
            return enabled ? lookup(iova, access) : Refusal.UNMAPPED;
        }

        @Override
        public synchronized long lookup(long iova, int access) {
            Map.Entry<Long, Entry> below = table.floorEntry(iova);
            if (below == null || Long.compareUnsigned(iova, below.getKey() + below.getValue().length() - 1) > 0) {
                return Refusal.UNMAPPED;
            }
            return (below.getValue().access() & access) == 0 ? Refusal.DENIED
                : below.getValue().physical() + iova - below.getKey();
        }

        @Override
        public synchronized void set(DomainAttribute attribute) {
            trip.step("set");
            if (windowed && attribute instanceof Geometry wanted) {
                idle();
                if (!wanted.equals(geometry)) {
                    windows = 0;
                }
                geometry = wanted;
            } else if (windowed && attribute instanceof Windows wanted) {
                idle();
                if (geometry.size() == 0 || Integer.bitCount(wanted.count()) != 1 || wanted.count() > maxWindows) {
                    throw new ErrnoException(Errno.EINVAL, "%d windows of at most %d; set the geometry first",
                        wanted.count(), maxWindows);
                }
                windows = wanted.count();
            } else if (attribute instanceof Enable wanted) {
                enabled = wanted.on();
            } else if (FakeIommu.this.attribute != null && FakeIommu.this.attribute.isInstance(attribute)) {
                mine = attribute;
            } else {
                throw new ErrnoException(Errno.ENOTTY, "no attribute %s", attribute);
            }
        }

        private void idle() {
            if (!table.isEmpty()) {
                throw new ErrnoException(Errno.EBUSY, "something is mapped");
            }
        }

        @Override
        public synchronized <A extends DomainAttribute> A get(Class<A> attribute) {
            if (windowed && attribute == Geometry.class) {
                return attribute.cast(geometry);
            }
            if (windowed && attribute == Windows.class) {
                return attribute.cast(new Windows(windows));
            }
            if (attribute == Enable.class) {
                return attribute.cast(new Enable(enabled));
            }
            if (attribute == FakeIommu.this.attribute) {
                return attribute.cast(mine);
            }
            throw new ErrnoException(Errno.ENOTTY, "no attribute %s", attribute);
        }

        @Override
        public void close() {
            Set<Integer> devices;
            synchronized (this) {
                if (!opened.contains(this)) {
                    return;
                }
                trip.step("close");
                devices = ids();
                opened.remove(this);
                members.forEach(domains::remove);
                members.clear();
                table.clear();
            }
            bus.sync(devices);
            closed.run();
        }
    }
}
