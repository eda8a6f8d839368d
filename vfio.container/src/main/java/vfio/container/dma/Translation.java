// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import iommu.api.DomainAttribute;
import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.IommuType;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Consumer;
import machine.api.Access;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Requester;
import vfio.api.Mapping;
import vfio.api.msi.MsiPlacement;
import vfio.container.host.Host;
import vfio.container.host.IommuProvider;
import vfio.container.host.ProviderCalls;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;

/**
 * The domain that is made from the ledger, and its attached requesters. There is none before an IOMMU is set and while
 * its provider is away; the IOMMU's capabilities are kept until another provider has taken over. Guarded by the
 * container's lock, but for {@link #provider}.
 */
public final class Translation {
    private final Host host;
    private final String name;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final Members members;
    private final Doorbells doorbells;
    private final IovaSpace space = new IovaSpace(this::capabilities, this::reserved);
    private final Set<Requester> attached = new TreeSet<>(Members.ORDER);

    // Null while there is none.
    private IommuCapabilities capabilities;
    private IommuType rules;
    private volatile IommuProvider provider;
    private GuardedDomain domain;
    /** The provider that was given up on because it hung: it may do yet what it was asked to. */
    private Iommu suspect;
    /** A domain that could not be closed when its provider left: the hardware may still translate by it. */
    private IommuDomain unclosed;

    /** @param name the container's, for messages */
    public Translation(Host host, String name, ContainerStatus status, Ledger ledger, Members members,
            Doorbells doorbells) {
        this.host = host;
        this.name = name;
        this.status = status;
        this.ledger = ledger;
        this.members = members;
        this.doorbells = doorbells;
    }

    /** Whether there is a domain. */
    public boolean present() {
        return domain != null;
    }

    /** {@return the domain; null while there is none} */
    public GuardedDomain domain() {
        return domain;
    }

    /** {@return who provides the domain; null while there is none. Any thread} */
    public IommuProvider provider() {
        return provider;
    }

    /** {@return what the IOMMU can do, or could when it was last there; null before one is set} */
    public IommuCapabilities capabilities() {
        return capabilities;
    }

    /** {@return where may be mapped} */
    public IovaSpace space() {
        return space;
    }

    /** {@return what is reserved for the requesters that are attached; while the provider is away, for any} */
    public List<ReservedRegion> reserved() {
        return provider == null ? capabilities.reserved() : reserved(attached);
    }

    private List<ReservedRegion> reserved(Set<Requester> requesters) {
        return IovaRanges.reserved(capabilities, requesters, members.relaxed(), provider.iommu());
    }

    /** {@return where an access leads, or a negative constant of {@link Refusal}} */
    public long lookup(long iova, int access) {
        boolean shut = domain == null || attached.isEmpty()
            || !ledger.attribute(Enable.class, new Enable(true)).on();
        return shut ? Refusal.BLOCKED : domain.lookup(iova, access);
    }

    /** {@return the rules of the type that is set; every provider that took over has it} */
    public IommuType rules() {
        return rules;
    }

    /** {@return what an unmap takes away, by the type that is set} */
    public UnmapRule unmapRule() {
        return switch (rules().unmap()) {
            case FIRST_ADDRESS -> new UnmapRule.FirstAddress();
            case WHOLE_MAPPINGS -> new UnmapRule.Whole();
            case WHOLE_WINDOWS -> {
                Geometry geometry = domain.get(Geometry.class);
                int windows = domain.get(Windows.class).count();
                long size = windows == 0 ? geometry.size() : geometry.size() / windows;
                yield new UnmapRule.ByWindow(geometry.start(), size);
            }
        };
    }

    /** Sets an attribute, and forgets those that this has undone. */
    public void set(DomainAttribute attribute) {
        domain.set(attribute);
        domain.noted(() -> ledger.set(attribute));
        ledger.forgetAttributes(known -> !known.name().equals(attribute.name()) && undone(known));
    }

    /** Whether the domain has another value by now. */
    private boolean undone(DomainAttribute known) {
        DomainAttribute value = RestorePlan.own(provider.iommu(), known);
        return !value.equals(domain.get(value.getClass()));
    }

    /**
     * {@return a windowed IOMMU's attribute, which the ledger knows while there is no domain; that value for a paged
     *     one}
     */
    public <A extends DomainAttribute> A ask(Class<A> attribute, A otherwise) {
        if (!capabilities.windowed()) {
            return otherwise;
        }
        return domain == null ? ledger.attribute(attribute, otherwise) : domain.get(attribute);
    }

    /**
     * Makes a mapping that has been checked; holds its memory from before a device can reach it, as its owner may close
     * it at any time.
     */
    public void map(Mapping mapping) {
        mapping.buffer().retain();
        try {
            domain.map(mapping.iova(), mapping.buffer(), mapping.offset(), mapping.length(), mapping.access());
        } catch (RuntimeException | Error e) {
            mapping.buffer().release();
            throw e;
        }
        domain.noted(() -> ledger.add(mapping));
    }

    /** Takes all the pieces away, or none. */
    public void unmap(List<UnmapRule.Piece> pieces) {
        new PieceRemoval(domain, ledger).remove(pieces);
    }

    // Doorbells: windows that lead to pages which are no memory.

    /** Makes a bank reachable. */
    public void place(MsiPlacement placement) {
        domain.mapDoorbell(placement.iova(), doorbells.block(placement.bank(), placement.length()),
            placement.length());
        domain.noted(() -> ledger.place(placement));
    }

    /** Makes a bank unreachable; while there is no domain it is only forgotten. */
    public void displace(MsiPlacement placement) {
        if (domain == null) {
            ledger.remove(placement);
        } else {
            domain.unmap(placement.iova(), placement.length());
            domain.noted(() -> ledger.remove(placement));
        }
    }

    /** Closes the window of a placement, which stays in the ledger: the bank behind it is gone. */
    public void shutWindow(MsiPlacement placement) {
        domain.unmap(placement.iova(), placement.length());
    }

    /** Makes banks reachable where the ledger has them and they are not; while there are none, the placements wait. */
    public void restorePlacements() {
        if (!doorbells.present()) {
            return;
        }
        for (MsiPlacement placement : ledger.placements()) {
            long block = doorbells.block(placement.bank(), placement.length());
            if (domain.lookup(placement.iova(), Access.WRITE) != block) {
                domain.mapDoorbell(placement.iova(), block, placement.length());
            }
            RestorePlan.verify(domain, placement.iova(), Access.WRITE, block);
        }
    }

    // Who is attached.

    /**
     * Attaches the requesters that are not attached; none, unless all mappings and placements are valid for each of
     * them, and some address is left.
     */
    public void attachAll() {
        if (domain == null) {
            return;
        }
        Iommu iommu = provider.iommu();
        // All, not only who joins: a device that has come may speak by the id of one that is attached.
        IovaRanges.checkServed(members.requesters(), iommu);
        Set<Requester> all = Members.distinct(members.requesters());
        Set<Requester> joining = Members.distinct(all);
        joining.removeAll(attached);
        Set<Requester> relaxed = members.relaxed();
        all.forEach(requester -> IovaRanges.checkEligible(IovaRanges.own(requester, relaxed, iommu),
            requester));
        joining.forEach(requester -> IovaRanges.checkReserved(IovaRanges.own(requester, relaxed, iommu), requester,
            ledger::first, ledger.placements()));
        if (!joining.isEmpty()) {
            all.addAll(attached);
            IovaRanges.checkSomeLeft(capabilities, reserved(all), all);
        }
        allOrNone(joining, this::attach, this::detach);
    }

    /** Blocks the attached requesters that are not to stay. */
    public void detachAbsent(Set<Requester> staying) {
        Set<Requester> absent = Members.distinct(attached);
        absent.removeAll(Members.distinct(staying));
        allOrNone(absent, this::detach, this::attach);
    }

    private void allOrNone(Set<Requester> requesters, Consumer<Requester> step, Consumer<Requester> back) {
        List<Requester> done = new ArrayList<>();
        try {
            for (Requester requester : requesters) {
                step.accept(requester);
                done.add(requester);
            }
        } catch (RuntimeException | Error e) {
            done.forEach(requester -> undo(requester, back, e));
            throw e;
        }
    }

    private void undo(Requester requester, Consumer<Requester> back, Throwable why) {
        try {
            back.accept(requester);
        } catch (RuntimeException | Error again) {
            why.addSuppressed(again);
            domain.doubt(String.format("requester 0x%x could not be put back: %s", requester.id(), again));
        }
    }

    private void attach(Requester requester) {
        domain.attach(requester);
        domain.noted(() -> attached.add(requester));
        space.forget();
    }

    private void detach(Requester requester) {
        domain.detach(requester);
        domain.noted(() -> attached.remove(requester));
        space.forget();
    }

    // The domain comes and goes.

    /** {@return the ledger as a provider has to replay it now, by that type} */
    public RestorePlan plan(String type) {
        List<RestorePlan.Doorbell> placed = new ArrayList<>();
        if (doorbells.present()) {
            ledger.placements().forEach(placement -> placed.add(new RestorePlan.Doorbell(placement,
                doorbells.block(placement.bank(), placement.length()))));
        }
        return new RestorePlan(type, ledger.attributes(), ledger.mappings(), placed, members.requesters(),
            members.relaxed());
    }

    /**
     * Has a provider replay the ledger, and goes on with the domain that comes of it.
     *
     * @param type which of its types
     * @return the first thing that does not fit, and why; null if all does
     */
    public ErrnoException replayOn(IommuProvider newcomer, String type) {
        Iommu on = newcomer.iommu();
        try {
            RestorePlan plan = plan(type);
            RestorePlan.Restored restored = host.calls().call(on, "a domain", progress -> plan.replay(on, progress),
                late -> late.domain().close());
            domain = new GuardedDomain(restored.domain(), newcomer.label());
            capabilities = restored.capabilities();
            rules = RestorePlan.type(capabilities, type);
            provider = newcomer;
            unclosed = null;
            suspect = suspect != null && host.calls().hangs(suspect) ? suspect : null;
            attached.addAll(plan.requesters());
            space.forget();
            return null;
        } catch (ErrnoException e) {
            if (e.errno() == Errno.ETIMEDOUT) {
                suspect = on;
            }
            return e;
        } catch (RuntimeException e) {
            return new ErrnoException(Errno.EIO, e, "%s", e);
        }
    }

    /** {@return how many attributes a provider with its IOMMU's capabilities replays} */
    public int replayedAttributes() {
        return RestorePlan.replayed(ledger.attributes(), capabilities).size();
    }

    /**
     * While the hardware may still let a device reach what the ledger holds, or a provider that hangs may yet let it,
     * nobody is let through or let go, and no memory given back.
     *
     * @throws ErrnoException EBUSY then
     */
    public void requireBlocked() {
        if (suspect != null && host.calls().hangs(suspect)) {
            throw new ErrnoException(Errno.EBUSY, "container %s: a call of its IOMMU's provider has not returned; "
                + "stop that bundle first", name);
        }
        if (unclosed != null) {
            try {
                IommuDomain left = unclosed;
                host.calls().run(left, ProviderCalls.CLOSING, left::close);
                unclosed = null;
            } catch (RuntimeException e) {
                throw new ErrnoException(Errno.EBUSY, e, "container %s: the domain of the provider that left cannot be "
                    + "closed: %s; start a bundle that provides %s and try again", name, e.getMessage(), status.type());
            }
        }
    }

    /**
     * Closes the domain and forgets it. If that throws, it is not forgotten: what holds then, {@link #hangs} and
     * {@link #intact} say.
     *
     * @throws RuntimeException what the provider has thrown; ETIMEDOUT if it hangs
     */
    public void close() {
        IommuDomain old = domain;
        host.calls().run(provider.iommu(), ProviderCalls.CLOSING, old::close);
        forget();
    }

    /** Whether a call that was given up is still inside the provider. */
    public boolean hangs() {
        return host.calls().hangs(provider.iommu());
    }

    /** Whether a domain whose close has thrown is as it was: it still answers, and as the ledger says. */
    public boolean intact() {
        List<Mapping> mappings = ledger.mappings();
        IommuDomain left = domain;
        try {
            host.calls().run(provider.iommu(), "reading its domain back", () -> {
                left.lookup(0, Access.READ);
                mappings.forEach(mapping -> RestorePlan.verify(left, mapping));
            });
            return true;
        } catch (RuntimeException e) {
            return false;
        }
    }

    /** Forgets a domain that has not closed: the hardware may still translate by it. */
    public void orphan() {
        IommuDomain old = domain;
        forget();
        unclosed = old;
    }

    /** As {@link #orphan}, and its provider may yet do what it was asked to. */
    public void orphanOfSuspect() {
        Iommu its = provider.iommu();
        orphan();
        suspect = its;
    }

    /**
     * Forgets the domain, and closes it whatever comes of that.
     *
     * @return what went wrong, for people; empty if nothing did
     */
    public String letGo() {
        Iommu its = provider.iommu();
        IommuDomain old = domain;
        forget();
        try {
            host.calls().run(its, ProviderCalls.CLOSING, old::close);
            return "";
        } catch (RuntimeException e) {
            unclosed = old;
            suspect = its;
            return "; its domain did not close: " + e.getMessage();
        }
    }

    /** Gives up a domain that could not be made ready. */
    public void abandon(Throwable why) {
        IommuDomain half = domain;
        forget();
        if (half != null) {
            try {
                half.close();
            } catch (RuntimeException | Error again) {
                why.addSuppressed(again);
            }
        }
    }

    /** With no domain: what the IOMMU could do is forgotten, too. */
    public void unset() {
        capabilities = null;
        rules = null;
    }

    private void forget() {
        domain = null;
        provider = null;
        attached.clear();
        space.forget();
    }
}
