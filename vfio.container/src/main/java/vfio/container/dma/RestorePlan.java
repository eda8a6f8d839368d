// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.DomainAttribute;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.IommuType;
import iommu.api.NamedAttribute;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import java.util.List;
import java.util.Set;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Requester;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.container.host.ProviderCalls;

/**
 * The plan that a provider replays: a snapshot of a ledger, so that it can be worked through without the container's
 * lock. Immutable.
 *
 * @param type what its user has set
 * @param attributes in the order of replay
 * @param mappings by ascending iova
 * @param doorbells the placements that can be made now, with what they lead to
 * @param members who is attached, when all else is verified
 * @param relaxed those of them that can do without what firmware wants mapped for them
 */
public record RestorePlan(String type, List<DomainAttribute> attributes, List<Mapping> mappings,
        List<Doorbell> doorbells, Set<Requester> members, Set<Requester> relaxed) {
    /**
     * A placement, with where its bank is now.
     *
     * @param block physical address of the bank's page, or of the larger block around it
     */
    public record Doorbell(MsiPlacement placement, long block) {
    }

    /** The result: a domain that translates as the ledger says, for all requesters. */
    public record Restored(IommuDomain domain, IommuCapabilities capabilities) {
    }

    /**
     * Attributes that say how a windowed type's tables are laid out, not what they translate: a paged type has no use
     * for them.
     */
    private static boolean layout(DomainAttribute attribute) {
        return attribute instanceof Geometry || attribute instanceof Windows;
    }

    /**
     * {@return the rules of a type}
     *
     * @throws ErrnoException EINVAL if these capabilities do not have it
     */
    public static IommuType type(IommuCapabilities offered, String wanted) {
        return offered.types().stream().filter(one -> one.name().equals(wanted)).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.EINVAL, "its capabilities have no type %s but %s; the service "
            + "property %s must say the "
            + "same", wanted, offered.types().stream().map(IommuType::name).toList(), Iommu.TYPE));
    }

    /** {@return what a provider with these capabilities replays of the attributes} */
    public static List<DomainAttribute> replayed(List<DomainAttribute> attributes, IommuCapabilities offered) {
        return offered.windowed() ? attributes : attributes.stream().filter(attribute -> !layout(attribute)).toList();
    }

    /** {@return an attribute as a provider knows it: its own value, where only the data is kept} */
    public static DomainAttribute own(Iommu provider, DomainAttribute attribute) {
        return attribute instanceof NamedAttribute data ? provider.attribute(data) : attribute;
    }

    /** {@return its members as an IOMMU tells them apart} */
    public Set<Requester> requesters() {
        return Members.distinct(members);
    }

    /**
     * Whether a provider could hold it, as far as its capabilities tell.
     *
     * @throws ErrnoException EINVAL with the first thing that does not fit and what would have to change; EPERM for a
     *     requester that must not be attached
     */
    public void checkFits(Iommu provider) {
        IovaRanges.checkServed(members, provider);
        requesters().forEach(requester -> IovaRanges.checkEligible(IovaRanges.own(requester, relaxed, provider),
            requester));
        IommuCapabilities offered = provider.capabilities();
        IommuType rules = type(offered, type);
        long page = offered.smallestPage();
        List<ReservedRegion> reserved = reserved(provider, offered);
        List<IovaRange> valid = IovaRanges.valid(offered, reserved);
        if (offered.windowed() && !mappings.isEmpty() && attributes.stream().noneMatch(Geometry.class::isInstance)) {
            throw unfit(mappings.get(0), "a windowed type needs an aperture first; unmap it, swap, set the geometry, "
                + "map it again");
        }
        for (DomainAttribute attribute : attributes) {
            if (attribute instanceof Windows windows && offered.windowed() && windows.count() > offered.maxWindows()) {
                throw new ErrnoException(Errno.EINVAL, "%s does not fit: it has at most %d windows; set fewer",
                    attribute, offered.maxWindows());
            }
        }
        for (Doorbell doorbell : doorbells) {
            MsiPlacement placement = doorbell.placement();
            if (((placement.iova() | placement.length()) & page - 1) != 0) {
                throw new ErrnoException(Errno.EINVAL, "MSI bank %d at iova 0x%x+0x%x does not fit: it maps multiples "
                    + "of 0x%x; disable the MSIs that use it, and take it away, then swap", placement.bank(),
                    placement.iova(), placement.length(), page);
            }
        }
        for (Mapping mapping : mappings) {
            if (!rules.vaddrUpdates() && !mapping.vaddrValid()) {
                // Nobody could give it another there, nor add a group.
                throw unfit(mapping, "its vaddr is invalid, and type " + type
                    + " has no flag VADDR; map it with VADDR, or unmap it, then swap");
            }
            if (((mapping.iova() | mapping.offset() | mapping.length()) & page - 1) != 0) {
                throw unfit(mapping, String.format("it maps multiples of 0x%x; unmap it, or map it by such", page));
            }
            if (valid.stream().noneMatch(range -> Long.compareUnsigned(mapping.iova(), range.start()) >= 0
                    && Long.compareUnsigned(mapping.end(), range.end()) <= 0)) {
                throw unfit(mapping, String.format("it may map %s; unmap it, or map it there",
                    valid.stream().map(range -> String.format("0x%x..0x%x", range.start(), range.end())).toList()));
            }
        }
    }

    private static ErrnoException unfit(Mapping mapping, String why) {
        return new ErrnoException(Errno.EINVAL, "the mapping 0x%x..0x%x does not fit: %s", mapping.iova(),
            mapping.end(), why);
    }

    /**
     * Has a provider replay it. Requesters are attached last, so nothing passes before all is verified; if a step
     * fails, no domain is left.
     *
     * @throws RuntimeException what the provider threw, with the step in front where the container reports it; EIO if
     *     it reads back something else
     */
    public Restored replay(Iommu provider, ProviderCalls.Progress progress) {
        progress.step("a domain");
        IommuCapabilities offered = provider.capabilities();
        type(offered, type);
        IommuDomain domain = provider.open();
        Object[] at = {"a domain"};
        try {
            for (DomainAttribute attribute : replayed(attributes, offered)) {
                step(progress, at, attribute);
                domain.set(own(provider, attribute));
            }
            for (Mapping mapping : mappings) {
                step(progress, at, mapping);
                domain.map(mapping.iova(), mapping.buffer(), mapping.offset(), mapping.length(), mapping.access());
                verify(domain, mapping);
            }
            for (Doorbell doorbell : doorbells) {
                step(progress, at, doorbell.placement());
                domain.mapDoorbell(doorbell.placement().iova(), doorbell.block(), doorbell.placement().length());
                verify(domain, doorbell.placement().iova(), Access.WRITE, doorbell.block());
            }
            step(progress, at, "its devices");
            checkRequesters(provider, offered);
            for (Requester requester : requesters()) {
                progress.step("its devices");
                domain.attach(requester);
            }
            progress.step("its devices");
            return new Restored(domain, offered);
        } catch (RuntimeException | Error e) {
            try {
                domain.close();
            } catch (RuntimeException | Error again) {
                e.addSuppressed(again);
            }
            throw e instanceof ErrnoException known ? new ErrnoException(known.errno(), known, "%s: %s", name(at[0]),
                known.reason()) : new ErrnoException(Errno.EIO, e, "%s: %s", name(at[0]), e);
        }
    }

    private static void step(ProviderCalls.Progress progress, Object[] at, Object next) {
        at[0] = next;
        progress.step(next, RestorePlan::name);
    }

    /** {@return how a step is called in messages} */
    private static String name(Object step) {
        if (step instanceof Mapping mapping) {
            return String.format("the mapping 0x%x..0x%x", mapping.iova(), mapping.end());
        }
        if (step instanceof MsiPlacement placement) {
            return String.format("MSI bank %d at iova 0x%x", placement.bank(), placement.iova());
        }
        return step.toString();
    }

    /**
     * Attaches no requester unless all mappings and placements are valid for each of them, and some address is left.
     */
    private void checkRequesters(Iommu provider, IommuCapabilities offered) {
        IovaRanges.checkServed(members, provider);
        Set<Requester> requesters = requesters();
        List<MsiPlacement> placements = doorbells.stream().map(Doorbell::placement).toList();
        requesters.forEach(requester -> IovaRanges.checkReserved(IovaRanges.own(requester, relaxed, provider),
            requester, this::first, placements));
        IovaRanges.checkSomeLeft(offered, reserved(provider, offered), requesters);
    }

    private Mapping first(long iova, long end) {
        return mappings.stream().filter(mapping -> Long.compareUnsigned(mapping.iova(), end) <= 0
            && Long.compareUnsigned(mapping.end(), iova) >= 0).findFirst().orElse(null);
    }

    private List<ReservedRegion> reserved(Iommu provider, IommuCapabilities offered) {
        return IovaRanges.reserved(offered, requesters(), relaxed, provider);
    }

    /**
     * Reads a mapping back: each extent's first byte, and the last of all.
     *
     * @throws ErrnoException EIO if an access reaches something else
     */
    public static void verify(IommuDomain domain, Mapping mapping) {
        DmaBuffer buffer = mapping.buffer();
        for (int access : new int[] {Access.READ, Access.WRITE}) {
            boolean allowed = (mapping.access() & access) != 0;
            for (long at = 0; at < mapping.length(); ) {
                DmaBuffer.Extent extent = buffer.at(mapping.offset() + at);
                verify(domain, mapping.iova() + at, access, allowed ? extent.physical() : Refusal.DENIED);
                at += extent.length();
            }
            verify(domain, mapping.end(), access, allowed ? buffer.physical(mapping.offset() + mapping.length() - 1)
                : Refusal.DENIED);
        }
    }

    /** @throws ErrnoException EIO if an access reaches something else */
    public static void verify(IommuDomain domain, long iova, int access, long expected) {
        long found = domain.lookup(iova, access);
        if (found != expected && (found >= 0 || expected >= 0)) {
            throw new ErrnoException(Errno.EIO, "a %s at iova 0x%x was restored to %s, not to %s", Access.name(access),
                iova, physical(found), physical(expected));
        }
    }

    private static String physical(long found) {
        return found < 0 ? Refusal.name(found) : String.format("0x%x", found);
    }
}
