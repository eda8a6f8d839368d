// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import iommu.api.DomainAttribute;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.NamedAttribute;
import iommu.api.ReservedRegion;
import iommu.api.Violation;
import irq.api.InterruptRemapping;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Wire;

/**
 * The driver of all VT-d units of a machine. Reaches them through the bus alone; everything about them is read from
 * CAP and ECAP. Thread-safe.
 *
 * <p>The units may differ: capabilities are what all have, so that a domain made of them can be attached behind each.
 */
public final class VtdDriver implements Iommu, AutoCloseable {
    private static final System.Logger LOG = System.getLogger("iommu.vtd");
    /** {@code compatible} of the node of a DRHD. */
    static final String DRHD = "intel,vt-d";
    /**
     * {@code compatible} of the node of an RMRR: its register range is the region, its property "requesters" the source
     * ids.
     */
    private static final String RMRR = "intel,rmrr";
    private static final ReservedRegion INTERRUPTS =
        new ReservedRegion(VtdRegisters.INTERRUPTS, VtdRegisters.INTERRUPTS_END, ReservedRegion.Kind.MSI);

    private final Machine machine;
    private volatile VtdDriverSettings settings;
    private final Map<String, Drhd> units = new LinkedHashMap<>();
    private final int levels;
    private final IommuCapabilities capabilities;
    private final VtdRemapping remapping;
    private final Map<Source, VtdDomain> owners = new ConcurrentHashMap<>();
    private final Set<VtdDomain> domains = ConcurrentHashMap.newKeySet();
    /** Guarded by this. */
    private boolean closed;

    /**
     * Takes the units over: from here on they refuse what no domain allows. Interrupt remapping is switched on if all
     * have it.
     *
     * @param nodes the nodes of all DRHDs, at least one
     * @throws ErrnoException ENODEV if a unit does not answer; EOPNOTSUPP if they have no table depth in common or not
     *     the one that is wanted; ETIMEDOUT if a unit hangs; ENOMEM
     */
    public VtdDriver(Machine machine, List<Node> nodes, VtdDriverSettings settings) {
        if (nodes.isEmpty()) {
            throw new IllegalArgumentException("no DRHD node");
        }
        this.machine = machine;
        this.settings = settings;
        try {
            for (Node node : nodes) {
                units.put(node.path(), new Drhd(machine, node, settings));
            }
            levels = levels();
            long sizes = units.values().stream().mapToLong(unit -> unit.capabilities().pageSizes()).reduce(-1,
                (a, b) -> a & b);
            int width = units.values().stream().mapToInt(unit -> unit.capabilities().addressWidth()).min().getAsInt();
            long last = (1L << Math.min(width, 12 + 9 * levels)) - 1;
            capabilities = IommuCapabilities.paged(sizes, 0, last, List.of(INTERRUPTS));
            boolean remaps = settings.remapping() && units.values().stream().allMatch(Drhd::remaps);
            remapping = remaps ? new VtdRemapping(machine, List.copyOf(units.values()), settings.remappingEntries())
                : null;
            if (!remaps) {
                units.values().forEach(Drhd::passInterrupts);
            }
        } catch (Throwable e) {
            closeUnits(e);
            throw e;
        }
    }

    /**
     * Uses the hardware otherwise: the timeout from the next wait on, superpages for domains opened from now on.
     * Tables, remapping and drains stay as they are.
     */
    public void change(VtdDriverSettings next) {
        settings = next;
        units.values().forEach(unit -> unit.timeout(next.timeoutMillis()));
    }

    /** {@return interrupt remapping; empty if some unit lacks it or it is switched off} */
    public Optional<InterruptRemapping> remapping() {
        return Optional.ofNullable(remapping);
    }

    @Override
    public IommuCapabilities capabilities() {
        return capabilities;
    }

    @Override
    public DomainAttribute attribute(NamedAttribute data) {
        return data.name().equals(Superpages.NAME) ? Superpages.of(data) : Iommu.super.attribute(data);
    }

    /** {@inheritDoc} An RMRR names its requesters by the source ids of its PCI segment. */
    @Override
    public List<ReservedRegion> reservedRegions(Requester requester) {
        List<ReservedRegion> regions = new ArrayList<>(capabilities.reserved());
        int segment = units.containsKey(requester.unit()) ? units.get(requester.unit()).segment() : 0;
        for (Node node : machine.nodes()) {
            if (node.compatibleWith(RMRR) && Drhd.segment(node) == segment
                    && IntStream.of(node.cells("requesters")).anyMatch(source -> source == requester.id())) {
                for (Node.Range range : node.registers()) {
                    regions.add(new ReservedRegion(range.physical(), range.physical() + range.size() - 1,
                        ReservedRegion.Kind.DIRECT));
                }
            }
        }
        regions.sort(Comparator.comparingLong(ReservedRegion::start));
        return List.copyOf(regions);
    }

    @Override
    public boolean serves(Requester requester) {
        return units.containsKey(requester.unit());
    }

    /** @throws ErrnoException ENODEV if the driver was closed; ENOMEM */
    @Override
    public IommuDomain open() {
        for (VtdDomain domain : domains) {
            if (domain.unconfirmedEnd()) {
                try {
                    domain.close();
                } catch (RuntimeException e) {
                    // As who closed it was told. Its memory is kept, and the new domain does not need it.
                    LOG.log(System.Logger.Level.DEBUG, "the end of a domain is still not confirmed", e);
                }
            }
        }
        return fresh();
    }

    private synchronized IommuDomain fresh() {
        if (closed) {
            throw new ErrnoException(Errno.ENODEV, "this driver was closed; use the service that is there now");
        }
        PageTables tables = new PageTables(machine.bus(), machine.memory(), levels, capabilities.pageSizes());
        VtdDomain domain = new VtdDomain(this, machine, tables, capabilities.apertureEnd(), settings.superpages());
        domains.add(domain);
        return domain;
    }

    /** {@return none: faults are reported by message, and the fault event stays masked} */
    @Override
    public List<Wire> violationWires() {
        return List.of();
    }

    /** {@inheritDoc} A record of a requester that was then under another domain, or none, says so behind its reason. */
    @Override
    public List<Violation> violations() {
        List<Violation> found = new ArrayList<>();
        units.values().forEach(unit -> unit.violations(found));
        return found;
    }

    /**
     * Closes every domain, gives all tables back. Translation stays on and refuses everything. Idempotent.
     *
     * @throws ErrnoException of the first unit that could not be closed; the others have been
     */
    @Override
    public void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        Throwable failure = closeDomains(null);
        Throwable units = closeUnits(null);
        if (units != null) {
            Failures.end(failure == null ? units : Failures.add(failure, units));
        }
        if (failure != null) {
            // Now that the units have confirmed that they forgot everything, it may go.
            Failures.end(closeDomains(null));
        }
        if (remapping != null) {
            remapping.close();
        }
    }

    private Throwable closeDomains(Throwable failure) {
        for (VtdDomain domain : List.copyOf(domains)) {
            try {
                domain.close();
            } catch (Throwable e) {
                failure = Failures.add(failure, e);
            }
        }
        return failure;
    }

    /**
     * {@return what the hardware knows a requester by}
     *
     * @throws ErrnoException EINVAL if that is no unit of this driver, or has no entry for such an id
     */
    Source source(Requester requester) {
        Drhd unit = units.get(requester.unit());
        if (unit == null) {
            throw new ErrnoException(Errno.EINVAL, "requester 0x%x sits behind %s, which is none of the units %s; "
                + "attach it to a domain of the driver of that one", requester.id(), requester.unit(), units.keySet());
        }
        if (requester.id() >>> 16 != 0) {
            throw new ErrnoException(Errno.EINVAL, "requester 0x%x: a source id has 16 bits", requester.id());
        }
        return new Source(unit, requester.id());
    }

    void claim(Source source, VtdDomain domain) {
        VtdDomain owner = owners.putIfAbsent(source, domain);
        if (owner == domain) {
            throw new ErrnoException(Errno.EEXIST, "requester %s is attached to this domain already", source);
        }
        if (owner != null) {
            throw new ErrnoException(Errno.EBUSY, "requester %s is attached to another domain; detach it there",
                source);
        }
    }

    void release(Source source) {
        owners.remove(source);
    }

    void closed(VtdDomain domain) {
        domains.remove(domain);
    }

    private int levels() {
        for (int depth = 5; depth >= 3; depth--) {
            int wanted = depth;
            if ((settings.levels() == 0 || settings.levels() == depth)
                    && units.values().stream().allMatch(unit -> unit.capabilities().walks(wanted))) {
                return depth;
            }
        }
        List<String> walked = units.values().stream()
            .map(unit -> String.format("%s SAGAW 0x%x", unit.path(), unit.capabilities().widths())).toList();
        throw new ErrnoException(Errno.EOPNOTSUPP,
            "no table depth suits: wanted %s, units %s; configure levels that all walk",
            settings.levels() == 0 ? "any" : settings.levels() + " levels", walked);
    }

    private Throwable closeUnits(Throwable failure) {
        for (Drhd unit : units.values()) {
            try {
                unit.close();
            } catch (Throwable e) {
                failure = Failures.add(failure, e);
            }
        }
        return failure;
    }
}
