// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.DomainAttribute;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.IommuCapabilities;
import iommu.api.IommuDomain;
import iommu.api.IommuType;
import iommu.api.ReservedRegion;
import iommu.api.Windows;
import irq.api.InterruptController;
import irq.api.MsiBank;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.IntConsumer;
import java.util.stream.Stream;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import machine.api.Requester;
import vfio.api.Container;
import vfio.api.ContainerInfo;
import vfio.api.ContainerInfo.IovaRange;
import vfio.api.ContainerInfo.Migration;
import vfio.api.ContainerState;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Group;
import vfio.api.Mapping;
import vfio.api.MsiChoice;
import vfio.api.MsiRoute;
import vfio.api.Swap;
import vfio.api.VectorPolicy;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiEnvironment;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiSession;
import vfio.api.msi.MsiStrategy;
import vfio.container.dma.DirtyTracking;
import vfio.container.dma.GuardedDomain;
import vfio.container.dma.IovaRanges;
import vfio.container.dma.RestorePlan;
import vfio.container.dma.UnmapRule;
import vfio.container.dma.VaddrUpdates;
import vfio.container.host.Cleanup;
import vfio.container.host.ContainerLimits;
import vfio.container.host.IommuProvider;
import vfio.container.irq.Relay;
import vfio.container.state.Ledger;
import vfio.container.state.Quiescence;

/**
 * One container: a ledger, the domain made from it, and the MSI strategy at work. The lock serialises its users; no device
 * access and no interrupt takes it.
 */
final class VfioContainer implements Container {
    private static final Duration LONGEST_STALL = Duration.ofHours(1);
    private final VfioService service;
    private final String name;
    private final ReentrantLock lock = new ReentrantLock();
    private final Ledger ledger;
    private final CopyOnWriteArrayList<VfioGroup> groups = new CopyOnWriteArrayList<>();
    private final Set<Integer> attached = new TreeSet<>();
    private final DirtyTracking dirty = new DirtyTracking();
    private final Interrupts interrupts;
    private final Quiescence quiescence;
    /** Comings and goings that wait for the lock: a provider may hang in a call that holds it. */
    private final Queue<Runnable> later = new ConcurrentLinkedQueue<>();
    /** An IOMMU has come while the lock could not be had. Not in the queue: who enters takes from that, and only a leaver can be told of IOMMUs. */
    private volatile boolean unheard;
    private volatile ContainerState state = ContainerState.UNSET;
    private volatile String reason = "";
    /** Why a backend was not replaced, of what reports call what; empty if the latest was. Nothing that keeps anybody from working. */
    private volatile String notReplaced = "";
    private volatile String type;

    // Guarded by the lock; null while there is none. What the IOMMU can do outlives its provider until another has taken over.
    private IommuCapabilities capabilities;
    private volatile IommuProvider provider;
    private GuardedDomain domain;
    /** What was there before, for the reports. */
    private String leftIommu = "";
    private String leftController = "";
    private String leftStrategy = "";
    /** Whether another interrupt controller, or strategy, has come while the IOMMU was away: reported when devices are let through again. */
    private boolean owesController;
    private boolean owesStrategy;
    /** The provider that was given up on because it hung: it may do yet what it was asked to. */
    private Iommu suspect;
    /** A domain that could not be closed when its provider left: the hardware may still translate by it. */
    private IommuDomain unclosed;
    private MsiStrategy strategy;
    private MsiSession session;
    private Environment environment;
    private String preferred = "";
    /** Which strategy has left and is expected back; null if none is. */
    private Away away;
    /** Where the user may map, for the requesters that are attached; null until somebody asks. */
    private List<IovaRange> valid;
    /** The same without what the session keeps, and what that was. */
    private List<IovaRange> mappable;
    private List<ReservedRegion> kept;

    VfioContainer(VfioService service, String name) {
        this(service, name, new Ledger());
    }

    VfioContainer(VfioService service, String name, Ledger ledger) {
        this.service = service;
        this.name = name;
        this.ledger = ledger;
        this.interrupts = new Interrupts(service, this);
        this.quiescence = new Quiescence(service.machine(), interrupts::keep, service.settings().stallBound());
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public ContainerState state() {
        return state;
    }

    @Override
    public String reason() {
        String now = reason;
        String last = notReplaced;
        return now.isEmpty() ? last : last.isEmpty() ? now : now + "; " + last;
    }

    @Override
    public List<Group> groups() {
        return List.copyOf(groups);
    }

    @Override
    public Optional<String> iommu() {
        return Optional.ofNullable(type);
    }

    @Override
    public Optional<String> iommuKind() {
        return Optional.ofNullable(provider).map(IommuProvider::kind);
    }

    @Override
    public boolean checkExtension(String wanted) {
        if (wanted.equals(UNMAP_ALL) || wanted.equals(UPDATE_VADDR)) {
            return offersFlag(wanted);
        }
        String set = type;
        return set == null ? !find(wanted).isEmpty() : set.equals(wanted);
    }

    /** Whether the type that is set, or else any, has the flag of {@link DmaFlags} that an extension stands for. */
    private boolean offersFlag(String wanted) {
        enter();
        try {
            boolean all = wanted.equals(UNMAP_ALL);
            return (type == null ? service.iommus().stream().flatMap(one -> one.iommu().capabilities().types().stream())
                : Stream.of(rules())).anyMatch(one -> all ? one.unmapAll() : one.vaddrUpdates());
        } finally {
            leave();
        }
    }

    @Override
    public void addGroup(Group group) {
        enterBoth();
        try {
            requireOpen();
            if (type != null) {
                requireActive();
            }
            VfioGroup joining = mine(group);
            if (ledger.invalidVaddrs() > 0) {
                throw new ErrnoException(Errno.EBUSY, "the vaddr of %d mappings of container %s is invalid; give them another first",
                    ledger.invalidVaddrs(), name);
            }
            if (joining.owner() == this) {
                throw new ErrnoException(Errno.EINVAL, "%s is in container %s already", joining, name);
            }
            if (joining.owner() != null) {
                throw new ErrnoException(Errno.EBUSY, "%s is in container %s; take it out there first", joining,
                    joining.owner().name);
            }
            groups.add(joining);
            joining.owner(this);
            try {
                if (type != null) {
                    requireSafeInterrupts(capabilities);
                }
                attachAll(capabilities);
                holdBack();
            } catch (RuntimeException | Error e) {
                groups.remove(joining);
                joining.owner(null);
                throw e;
            }
        } finally {
            leaveBoth();
        }
    }

    @Override
    public void removeGroup(Group group) {
        enterBoth();
        try {
            VfioGroup leaving = mine(group);
            if (leaving.owner() != this) {
                throw new ErrnoException(Errno.EINVAL, "%s is not in container %s", leaving, name);
            }
            if (!leaving.openDevices().isEmpty()) {
                throw new ErrnoException(Errno.EBUSY, "device %s of %s is open; close it first",
                    leaving.openDevices().get(0).name(), leaving);
            }
            requireBlocked();
            if (groups.size() > 1) {
                detachAbsent(leaving);
            } else {
                closeDomain();
            }
            groups.remove(leaving);
            leaving.owner(null);
            holdBack();
            service.forgetEmptyGroups();
            if (groups.isEmpty()) {
                release();
            }
        } finally {
            leaveBoth();
        }
    }

    @Override
    public void setIommu(String wanted) {
        enterBoth();
        try {
            requireOpen();
            if (groups.isEmpty()) {
                throw new ErrnoException(Errno.EINVAL, "container %s has no group; add one before the IOMMU is set", name);
            }
            if (type != null) {
                throw new ErrnoException(Errno.EINVAL, "container %s uses %s; it cannot be set twice", name, type);
            }
            IommuProvider found = serving(require(wanted));
            requireBlocked();
            requireSafeInterrupts(found.iommu().capabilities());
            ErrnoException obstacle = replayOn(found, wanted);
            if (obstacle != null) {
                throw obstacle;
            }
            type = wanted;
            state = ContainerState.ACTIVE;
            try {
                holdBack();
                resolve();
            } catch (RuntimeException | Error e) {
                abandon(e);
                release();
                throw e;
            }
        } finally {
            leaveBoth();
        }
    }

    @Override
    public ContainerInfo info() {
        enter();
        try {
            requireActive();
            // A windowed mapping that is cut becomes two without asking for an entry.
            int available = Math.max(0, service.settings().entryLimit() - ledger.size());
            return new ContainerInfo(capabilities, mappable(), available, capabilities.types().stream().noneMatch(IommuType::dirtyPages)
                ? Optional.empty() : Optional.of(new Migration(0, capabilities.smallestPage(), Migration.MAX_DIRTY_BITMAP_SIZE)));
        } finally {
            leave();
        }
    }

    @Override
    public void set(DomainAttribute attribute) {
        enter();
        try {
            requireActive();
            domain.set(attribute);
            domain.noted(() -> ledger.set(attribute));
            ledger.forgetAttributes(known -> known != attribute && !known.equals(domain.get(known.getClass())));
            resolveAgain();
        } finally {
            leave();
        }
    }

    @Override
    public <A extends DomainAttribute> A get(Class<A> attribute) {
        enter();
        try {
            requireActive();
            return domain.get(attribute);
        } finally {
            leave();
        }
    }

    @Override
    public void map(long iova, DmaBuffer buffer, long offset, long length, int flags) {
        enter();
        try {
            requireActive();
            if (!rules().vaddrUpdates() && (flags & DmaFlags.MAP_VADDR) != 0) {
                throw new ErrnoException(Errno.EINVAL, "type %s has no flag VADDR", type);
            }
            IovaRanges.check(iova, offset, length, flags, capabilities.smallestPage());
            Mapping there = ledger.first(iova, iova + length - 1);
            if ((flags & DmaFlags.MAP_VADDR) != 0) {
                VaddrUpdates.update(ledger, there, new Mapping(iova, buffer, offset, length, there == null ? 0 : there.access()));
                return;
            }
            if (there != null) {
                throw new ErrnoException(Errno.EEXIST, "iova 0x%x+0x%x overlaps the mapping 0x%x+0x%x; unmap that first", iova,
                    length, there.iova(), there.length());
            }
            ContainerLimits allowed = service.settings();
            if (ledger.size() >= allowed.entryLimit()) {
                throw new ErrnoException(Errno.ENOSPC, "container %s holds %d mappings, the most there may be; unmap some", name,
                    ledger.size());
            }
            IovaRanges.checkInside(iova, length, valid());
            if (allowed.lockedMemoryLimit() != ContainerLimits.UNLIMITED
                    && Long.compareUnsigned(length, allowed.lockedMemoryLimit() - ledger.bytes()) > 0) {
                throw new ErrnoException(Errno.ENOMEM,
                    "container %s has 0x%x bytes mapped of 0x%x it may have, 0x%x are too many; unmap some or raise locked.memory.limit",
                    name, ledger.bytes(), allowed.lockedMemoryLimit(), length);
            }
            IovaRanges.checkMemory(offset, length, buffer);
            if (session != null) {
                session.mapping(iova, length);
                IovaRanges.checkInside(iova, length, mappable());
            }
            Mapping mapping = new Mapping(iova, buffer, offset, length, flags);
            // Held before a device can reach it: its owner may close it at any time.
            buffer.retain();
            try {
                domain.map(iova, buffer, offset, length, flags);
            } catch (RuntimeException | Error e) {
                buffer.release();
                throw e;
            }
            domain.noted(() -> ledger.add(mapping));
        } finally {
            leave();
        }
    }

    @Override
    public long unmap(long iova, long length) {
        return unmap(iova, length, 0, null);
    }

    @Override
    public long unmap(long iova, long length, int flags, DirtyBitmap bitmap) {
        enter();
        try {
            requireActive();
            long page = capabilities.smallestPage();
            UnmapRule.checkFlags(flags, rules());
            boolean all = (flags & DmaFlags.UNMAP_ALL) != 0;
            if (!all) {
                IovaRanges.checkRange(iova, length, page);
            } else if (iova != 0 || length != 0) {
                throw new ErrnoException(Errno.EINVAL, "iova 0x%x, length 0x%x: to unmap ALL both must be 0", iova, length);
            }
            DirtyTracking.Report report = (flags & DmaFlags.UNMAP_GET_DIRTY_BITMAP) == 0 ? null
                : dirty.report(iova, length, bitmap, page);
            List<UnmapRule.Piece> pieces = all ? UnmapRule.all(ledger) : rule().pieces(ledger, iova, length);
            if ((flags & DmaFlags.UNMAP_VADDR) != 0) {
                VaddrUpdates.invalidate(ledger, pieces);
            } else if (report == null) {
                remove(pieces);
                resolveAgain();
            } else {
                removeReported(pieces, report);
                resolveAgain();
            }
            return pieces.stream().mapToLong(UnmapRule.Piece::length).sum();
        } finally {
            leave();
        }
    }

    @Override
    public void dirtyPages(int flags, long iova, long length, DirtyBitmap bitmap) {
        enter();
        try {
            requireActive();
            if (!rules().dirtyPages()) {
                throw capabilities.types().stream().filter(IommuType::dirtyPages).findFirst()
                    .map(other -> new ErrnoException(Errno.EACCES, "type %s does not track dirty pages; set %s instead", type, other.name()))
                    .orElseGet(() -> new ErrnoException(Errno.ENOTTY, "type %s does not track dirty pages", type));
            }
            dirty.operate(flags, iova, length, bitmap, ledger, capabilities.smallestPage());
        } finally {
            leave();
        }
    }

    @Override
    public List<Mapping> mappings() {
        enter();
        try {
            return ledger.mappings();
        } finally {
            leave();
        }
    }

    @Override
    public List<ReservedRegion> reserved() {
        enter();
        try {
            if (provider == null) {
                return List.of();
            }
            List<ReservedRegion> own = kept();
            if (own.isEmpty()) {
                return reserved(capabilities, attached);
            }
            List<ReservedRegion> all = new ArrayList<>(reserved(capabilities, attached));
            all.addAll(own);
            all.sort(Comparator.comparing(ReservedRegion::start, Long::compareUnsigned));
            return List.copyOf(all);
        } finally {
            leave();
        }
    }

    @Override
    public long msi(String operation, long... arguments) {
        enter();
        try {
            requireActive();
            resolveAgain();
            long result = session().call(operation, arguments);
            // Whose orders the user gives is the user's choice: nobody else is expected any more.
            away = null;
            route();
            return result;
        } finally {
            leave();
        }
    }

    @Override
    public Optional<String> msiStrategy() {
        enter();
        try {
            return Optional.ofNullable(strategy).map(MsiStrategy::name);
        } finally {
            leave();
        }
    }

    @Override
    public List<MsiPlacement> msiPlacements() {
        enter();
        try {
            return ledger.placements();
        } finally {
            leave();
        }
    }

    @Override
    public List<MsiRoute> msiRoutes() {
        enter();
        try {
            return interrupts.list();
        } finally {
            leave();
        }
    }

    @Override
    public void vectorPolicy(VectorPolicy policy) {
        enter();
        try {
            interrupts.policy(policy);
            service.vectorFree();
        } finally {
            leave();
        }
    }

    @Override
    public VectorPolicy vectorPolicy() {
        return interrupts.policy();
    }

    @Override
    public long lookup(long iova, int access) {
        enter();
        try {
            return domain == null || attached.isEmpty() ? Refusal.BLOCKED : domain.lookup(iova, access);
        } finally {
            leave();
        }
    }

    @Override
    public void msiStrategy(String wanted) {
        enter();
        try {
            requireOpen();
            List<MsiStrategy> strategies = service.strategies();
            if (!wanted.isEmpty() && strategies.stream().noneMatch(candidate -> candidate.name().equals(wanted))) {
                throw new ErrnoException(Errno.ENOENT, "there is no MSI strategy %s; there are %s", wanted,
                    strategies.stream().map(MsiStrategy::name).toList());
            }
            if (type == null) {
                preferred = wanted;
                return;
            }
            requireActive();
            MsiStrategy next = null;
            for (MsiStrategy candidate : strategies) {
                if (wanted.isEmpty() || candidate.name().equals(wanted)) {
                    MsiAssessment assessment = assess(candidate);
                    if (assessment.feasible()) {
                        next = candidate;
                        break;
                    }
                    if (!wanted.isEmpty()) {
                        throw new ErrnoException(Errno.EINVAL, "MSI strategy %s does not work here: %s", wanted, assessment.reason());
                    }
                }
            }
            if (next != null && next != strategy) {
                move(next);
            }
            preferred = wanted;
            away = null;
            route();
        } finally {
            leave();
        }
    }

    @Override
    public List<MsiChoice> explainMsi() {
        enter();
        try {
            requireOpen();
            requireIommu();
            return service.rankedStrategies().stream().map(ranked -> new MsiChoice(ranked.strategy().name(), ranked.ranking(),
                assess(ranked.strategy()), ranked.strategy() == strategy, ranked.strategy().name().equals(preferred))).toList();
        } finally {
            leave();
        }
    }

    /** If the domain cannot be closed, devices may still reach memory, and all stays as it is. */
    @Override
    public void close() {
        Cleanup steps = new Cleanup();
        List<Runnable> left = new ArrayList<>();
        enterBoth();
        try {
            if (state == ContainerState.CLOSED) {
                return;
            }
            requireBlocked();
            closeDomain();
            devices().forEach(device -> {
                Cleanup its = device.detach();
                if (its != null) {
                    left.add(() -> device.settle(its));
                }
            });
            groups.forEach(group -> group.owner(null));
            groups.clear();
            steps.take(this::release);
            quiescence.close();
            state = ContainerState.CLOSED;
            service.closed(this);
        } finally {
            leaveBoth();
        }
        // The device models are waited for with no lock held.
        left.forEach(steps::take);
        steps.end();
    }

    @Override
    public String toString() {
        return "container " + name;
    }

    // Swaps.

    @Override
    public void stallBound(Duration bound) {
        if (bound.isNegative() || bound.compareTo(LONGEST_STALL) > 0) {
            throw new IllegalArgumentException("a stall bound of " + bound + "; from nothing to an hour is possible");
        }
        quiescence.bound(bound);
    }

    @Override
    public Duration stallBound() {
        return quiescence.bound();
    }

    @Override
    public Swap swap(String wanted) {
        enterBoth();
        try {
            requireActive();
            List<IommuProvider> candidates = require(wanted);
            // The present one last: it builds everything anew if there is no other.
            candidates.sort(Comparator.comparing(one -> one.iommu() == provider.iommu()));
            IommuProvider next = serving(candidates);
            RestorePlan plan = plan(wanted);
            service.patience().run(next.iommu(), "looking at what it can do", () -> plan.checkFits(next.iommu()));
            requireSafeInterrupts(next.iommu().capabilities());
            return swap(wanted, next);
        } finally {
            leaveBoth();
        }
    }

    private Swap swap(String wanted, IommuProvider next) {
        IommuProvider before = provider;
        leftIommu = before.label();
        state = ContainerState.QUIESCING;
        shut();
        IommuDomain old = domain;
        try {
            service.patience().run(before.iommu(), "closing the domain", old::close);
        } catch (RuntimeException e) {
            if (service.patience().hangs(before.iommu())) {
                // It may close the domain yet: what it translates is not known any more.
                forgetDomain();
                unclosed = old;
                suspect = before.iommu();
                block(before.label() + " hangs while it closes its domain: " + e.getMessage());
                report(Swap.Backend.IOMMU, leftIommu, "", reason);
                throw e;
            }
            if (intact(before, old)) {
                state = ContainerState.ACTIVE;
                route();
                throw e;
            }
            // Against the contract it has changed something. If it still keeps devices from others, nobody can take over.
            unclosed = old;
        }
        forgetDomain();
        state = ContainerState.RESTORING;
        ErrnoException obstacle = replayOn(next, wanted);
        if (obstacle != null) {
            ErrnoException again = replayOn(before, type);
            if (again == null) {
                state = ContainerState.ACTIVE;
                route();
                report(Swap.Backend.IOMMU, leftIommu, before.label(), obstacle.getMessage());
                throw new ErrnoException(obstacle.errno(), obstacle, "container %s stays with %s; %s could not take over: %s", name,
                    before.label(), next.label(), obstacle.reason());
            }
            block("neither could " + next.label() + " take over: " + obstacle.getMessage() + ", nor " + before.label() + " go on: "
                + again.getMessage());
            report(Swap.Backend.IOMMU, leftIommu, "", reason);
            obstacle.addSuppressed(again);
            throw new ErrnoException(obstacle.errno(), obstacle, "container %s is BLOCKED: %s", name, reason);
        }
        boolean other = !next.kind().equals(before.kind());
        type = wanted;
        if (!rules().dirtyPages()) {
            dirty.reset();
        }
        state = ContainerState.ACTIVE;
        Cleanup steps = new Cleanup();
        steps.take(other ? this::resolveOnOther : this::resolveOrReturn);
        route();
        Swap report = report(Swap.Backend.IOMMU, leftIommu, next.label(), "");
        steps.end();
        return report;
    }

    /** Another kind of IOMMU may ask for another strategy. */
    private void resolveOnOther() {
        if (session != null && !assess(strategy).feasible()) {
            Cleanup steps = new Cleanup();
            steps.take(interrupts::strategyLeaving);
            steps.take(this::unbind);
            steps.end();
        }
        if (session == null) {
            resolve();
        }
    }

    @Override
    public void retry() {
        enterBoth();
        try {
            requireOpen();
            requireIommu();
            if (state == ContainerState.BLOCKED) {
                retryRestore();
            } else {
                resolveOrReturn();
                route();
            }
            if (!reason.isEmpty()) {
                throw new ErrnoException(Errno.EAGAIN, "container %s: %s", name, reason);
            }
            notReplaced = "";
        } finally {
            leaveBoth();
        }
    }

    private void retryRestore() {
        List<IommuProvider> candidates = find(type);
        if (candidates.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "container %s waits for an IOMMU of type %s, and there is none; start a "
                + "bundle that provides it", name, type);
        }
        ErrnoException obstacle = null;
        ErrnoException elsewhere = null;
        for (IommuProvider candidate : candidates) {
            ErrnoException unserved = unserved(candidate);
            if (unserved != null) {
                elsewhere = unserved;
                continue;
            }
            obstacle = take(candidate);
            if (obstacle == null) {
                return;
            }
        }
        throw obstacle != null ? obstacle : elsewhere;
    }

    // What the service tells. Called with the topology lock held.

    /** A provider is there; if this container waits for one of its kind, it is restored on it. */
    void iommuArrived(IommuProvider newcomer) {
        if (!enterInTime()) {
            unheard = true;
            // Who has the lock now sees that there is news when it lets it go; if nobody has it any more, this is who hears.
            if (!lock.tryLock()) {
                return;
            }
            hearLate();
        }
        try {
            if (state == ContainerState.BLOCKED && newcomer.types().contains(type)) {
                ErrnoException unserved = unserved(newcomer);
                if (unserved == null) {
                    take(newcomer);
                } else if (!reason.contains(unserved.reason())) {
                    reason += "; " + unserved.reason();
                }
            }
        } finally {
            leave();
        }
    }

    /** {@return what was in the way; null if the container works again} */
    private ErrnoException take(IommuProvider newcomer) {
        state = ContainerState.RESTORING;
        ErrnoException obstacle = replayOn(newcomer, type);
        if (obstacle != null) {
            block("the new " + newcomer.kind() + " could not take over: " + obstacle.getMessage());
            report(Swap.Backend.IOMMU, leftIommu, "", reason);
            return obstacle;
        }
        state = ContainerState.ACTIVE;
        Cleanup steps = new Cleanup();
        steps.take(this::resolveOrReturn);
        route();
        report(Swap.Backend.IOMMU, leftIommu, newcomer.label(), "");
        reportOwed();
        steps.end();
        return null;
    }

    /** What else was swapped while the IOMMU was away. */
    private void reportOwed() {
        if (owesController && service.controller() != null) {
            owesController = false;
            report(Swap.Backend.CONTROLLER, leftController, service.controllerLabel(), reason);
        }
        if (owesStrategy) {
            owesStrategy = false;
            report(Swap.Backend.STRATEGY, leftStrategy, strategy == null ? "" : strategy.name(), reason);
        }
    }

    /** The provider is about to go: devices are held back, blocked, and what was in flight has left when this returns. */
    void iommuLeaving(Iommu leaving) {
        IommuProvider present = provider;
        if (present != null && present.iommu() == leaving) {
            departing();
            if (!hears(() -> iommuGone(leaving))) {
                block("the provider of " + type + " is leaving while a call into it has not returned; everything is blocked");
            }
        }
    }

    /** Holds its devices back before the lock is had: whoever has it cannot let them go. */
    private void departing() {
        interrupts.hold();
        quiescence.departing();
    }

    /** {@return whether the news has been dealt with; if not, it will be as soon as the lock is free} */
    private boolean hears(Runnable news) {
        later.add(news);
        if (!lockInTime()) {
            return false;
        }
        try {
            hear().end();
        } finally {
            leave();
        }
        return true;
    }

    private void iommuGone(Iommu leaving) {
        quiescence.departed();
        if (provider == null || provider.iommu() != leaving) {
            route();
            return;
        }
        block("the provider of " + type + " is gone; everything is blocked until there is another" + letGo());
    }

    /** Nobody knows what the domain's tables say: what is in the ledger needs another one. */
    private void giveUp(String doubt) {
        shut();
        block("the tables are in doubt: " + doubt + letGo());
    }

    /** Closes the domain whatever comes of it. {@return what went wrong, for people; empty if nothing did} */
    private String letGo() {
        state = ContainerState.QUIESCING;
        leftIommu = provider.label();
        Iommu its = provider.iommu();
        IommuDomain old = domain;
        forgetDomain();
        try {
            service.patience().run(its, "closing the domain", old::close);
            return "";
        } catch (RuntimeException e) {
            unclosed = old;
            suspect = its;
            return "; its domain did not close: " + e.getMessage();
        }
    }

    private void block(String why) {
        reason = why;
        state = ContainerState.BLOCKED;
    }

    /** There is an interrupt controller: its banks come to where the ledger has them, and what waits for vectors gets them. */
    void controllerArrived(InterruptController controller) {
        hears(() -> controllerHere(controller));
    }

    private void controllerHere(InterruptController controller) {
        if (service.controller() != controller) {
            return;
        }
        Cleanup steps = new Cleanup();
        boolean concerned = interrupts.enabled() || !ledger.placements().isEmpty();
        if (state != ContainerState.ACTIVE) {
            owesController |= concerned;
        } else {
            if (interrupts.waiting() > 0) {
                shut();
            }
            steps.take(this::resolveOrReturn);
            // New messages first, then the windows: an old one never meets the new controller.
            interrupts.connect();
            steps.take(this::restorePlacements);
            route();
            if (concerned || !ledger.placements().isEmpty()) {
                report(Swap.Backend.CONTROLLER, leftController, service.controllerLabel(), reason);
            }
        }
        devices().forEach(device -> steps.take(() -> device.restore(controller)));
        steps.end();
    }

    /** The controller is about to be forgotten: what devices have sent has reached it when this returns, and nothing follows. */
    void controllerQuiesce() {
        departing();
    }

    /**
     * The controller is about to go and has been forgotten: its vectors go back, its banks are out of reach.
     *
     * @param served whether all that had reached it has been served
     */
    void controllerLeaving(String label, boolean served) {
        hears(() -> controllerGone(label, served));
    }

    private void controllerGone(String label, boolean served) {
        if (!owesController) {
            leftController = label;
        }
        if (!served) {
            interrupts.presume();
        }
        Cleanup steps = new Cleanup();
        steps.take(interrupts::controllerLeaving);
        devices().forEach(device -> steps.take(device::suspend));
        if (domain != null) {
            ledger.placements().forEach(placement -> steps.take(() -> domain.unmap(placement.iova(), placement.length())));
        }
        quiescence.departed();
        route();
        if (state == ContainerState.ACTIVE) {
            reason = interrupts.enabled() ? "the interrupt controller is gone; MSIs wait for another" : "";
        }
        steps.end();
    }

    void strategyArrived() {
        hears(this::strategyHere);
    }

    private void strategyHere() {
        if (state == ContainerState.ACTIVE) {
            MsiStrategy before = strategy;
            Cleanup steps = new Cleanup();
            steps.take(this::resolveOrReturn);
            route();
            if (strategy != before && strategy != null && interrupts.enabled()) {
                report(Swap.Backend.STRATEGY, leftStrategy, strategy.name(), reason);
            }
            steps.end();
        }
    }

    void strategyLeaving(MsiStrategy leaving) {
        hears(() -> strategyGone(leaving));
    }

    private void strategyGone(MsiStrategy leaving) {
        if (strategy == leaving) {
            if (!owesStrategy) {
                leftStrategy = leaving.name();
            }
            Cleanup steps = new Cleanup();
            steps.take(this::part);
            if (state == ContainerState.ACTIVE) {
                steps.take(this::resolve);
                route();
                if (interrupts.enabled()) {
                    report(Swap.Backend.STRATEGY, leftStrategy, strategy == null ? "" : strategy.name(), reason);
                }
            } else {
                owesStrategy |= interrupts.enabled();
            }
            steps.end();
        }
    }

    /**
     * The strategy at work goes. Is something placed, it is expected back, and that stays where it is. A stand-in is not expected: what it
     * has placed for itself goes with it.
     */
    private void part() {
        Cleanup steps = new Cleanup();
        if (interrupts.enabled()) {
            shut();
            if (!service.served()) {
                interrupts.presume();
            }
        }
        steps.take(interrupts::strategyLeaving);
        if (away == null && !ledger.placements().isEmpty()) {
            away = new Away(strategy.name(), null);
        }
        environment.retired = away != null && !away.elsewhere();
        steps.take(this::unbind);
        steps.end();
    }

    /** Somebody has tried to replace a backend and failed: said and reported here if this container uses one, or waits for one. */
    void notReplaced(Swap.Backend backend, Set<String> types, String cause) {
        hears(() -> {
            boolean concerned = type != null && switch (backend) {
                case IOMMU -> types.contains(type);
                case CONTROLLER -> interrupts.enabled() || !ledger.placements().isEmpty();
                case STRATEGY -> session != null || interrupts.enabled();
            };
            if (concerned) {
                notReplaced = cause;
                String present = switch (backend) {
                    case IOMMU -> provider == null ? "" : provider.label();
                    case CONTROLLER -> service.controllerLabel();
                    case STRATEGY -> strategy == null ? "" : strategy.name();
                };
                String left = switch (backend) {
                    case IOMMU -> leftIommu;
                    case CONTROLLER -> leftController;
                    case STRATEGY -> leftStrategy;
                };
                report(backend, present.isEmpty() ? left : present, present, cause);
            }
        });
    }

    /**
     * What waits for a vector gets one, if there is one now. For a thread that holds no lock of ours.
     *
     * @return false if somebody hangs in a call that holds the lock, so that this has to be called again
     */
    boolean vectorFree() {
        if (interrupts.waiting() == 0) {
            return true;
        }
        if (!enterInTime()) {
            return false;
        }
        try {
            if (service.controller() != null && interrupts.waiting() > 0) {
                route();
            }
        } finally {
            leave();
        }
        return true;
    }

    /** A device has come to or gone from one of the groups. */
    void requestersChanged() {
        enter();
        try {
            if (domain != null) {
                detachAbsent(null);
                attachAll(capabilities);
            }
            holdBack();
        } finally {
            leave();
        }
    }

    /** Whether a device of this container could ring that bank, or has a vector of it. Any thread. */
    boolean reaches(int bank) {
        return interrupts.uses(bank) || ledger.places(bank);
    }

    // For devices and interrupts of this container; the caller holds the lock.

    /** Takes the lock; before anything else, departures that waited for it are dealt with. */
    void enter() {
        lock.lock();
        hearLate();
    }

    /** As {@link #enter}, if nobody else has the lock. */
    boolean tryEnter() {
        boolean locked = lock.tryLock();
        if (locked) {
            hearLate();
        }
        return locked;
    }

    /**
     * Takes the topology lock and then this one, and waits for this one without that one: a provider may hang in a call of this container's
     * user, and that is nobody else's concern.
     */
    private void enterBoth() {
        service.enter();
        while (!tryEnter()) {
            service.leave();
            enter();
            leave();
            service.enter();
        }
    }

    private void leaveBoth() {
        try {
            leave();
        } finally {
            service.leave();
        }
    }

    /** Takes the lock, but does not wait for a provider that hangs in a call of the container's user. */
    private boolean lockInTime() {
        boolean interrupted = Thread.interrupted();
        try {
            long end = System.nanoTime() + service.patience().limit().toNanos();
            while (true) {
                try {
                    return lock.tryLock(end - System.nanoTime(), TimeUnit.NANOSECONDS);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    /** As {@link #enter}, but gives up as {@link #lockInTime} does. */
    private boolean enterInTime() {
        boolean locked = lockInTime();
        if (locked) {
            hearLate();
        }
        return locked;
    }

    /** Deals with what was missed, if the lock can be had; every IOMMU is announced again after this. */
    void missedNews() {
        unheard = false;
        if (enterInTime()) {
            leave();
        }
    }

    private void hearLate() {
        try {
            hear().end();
        } catch (Throwable e) {
            // Whatever it is: whoever enters has no way to let the lock go again if this throws.
            reason += "; a departure did not end well: " + e;
        }
    }

    private Cleanup hear() {
        Cleanup steps = new Cleanup();
        if (lock.getHoldCount() == 1) {
            for (Runnable news = later.poll(); news != null; news = later.poll()) {
                steps.take(news);
            }
        }
        return steps;
    }

    /**
     * Lets the lock go. Who was kept from it by a hanging call is heard now, and tables that a call has left in doubt are made anew from
     * the ledger: before that, nobody gets through.
     */
    void leave() {
        boolean anew = lock.getHoldCount() == 1 && domain != null && domain.doubt() != null;
        if (anew) {
            giveUp(domain.doubt());
        }
        lock.unlock();
        if (!lock.isHeldByCurrentThread()) {
            if (anew || unheard || !later.isEmpty()) {
                service.catchUp(this);
            }
            service.announce();
        }
    }

    Quiescence quiescence() {
        return quiescence;
    }

    Interrupts interrupts() {
        return interrupts;
    }

    /** Gives a device its interrupt. While others wait, messages are held back, which its own must not be. */
    Interrupts.Route enable(VfioDevice device, Relay relay) {
        resolveAgain();
        Interrupts.Route route = interrupts.enable(device, relay);
        if (quiescence.holds()) {
            route();
        }
        return route;
    }

    /** Takes an interrupt away; if it was the last that waited, its device is not held back any more. */
    void disable(Interrupts.Route route) {
        Cleanup steps = new Cleanup();
        steps.take(() -> interrupts.disable(route));
        steps.take(this::route);
        steps.end();
    }

    MsiSession session() {
        if (session == null) {
            throw new ErrnoException(Errno.ENOTTY, "container %s has no MSI strategy: %s", name, refusals());
        }
        return session;
    }

    InterruptController controller() {
        return service.controller();
    }

    boolean hasSession() {
        return session != null;
    }

    void requireActive() {
        requireOpen();
        requireIommu();
        if (state != ContainerState.ACTIVE) {
            throw new ErrnoException(Errno.EAGAIN, "container %s is %s: %s", name, state, reason);
        }
    }

    // Below: the caller holds the lock.

    private void requireIommu() {
        if (type == null) {
            throw new ErrnoException(Errno.EINVAL, "container %s has no IOMMU set; add a group and set one first", name);
        }
    }

    private void requireOpen() {
        if (state == ContainerState.CLOSED) {
            throw new ErrnoException(Errno.EINVAL, "container %s is closed", name);
        }
    }

    private List<VfioDevice> devices() {
        return groups.stream().flatMap(group -> group.openDevices().stream()).toList();
    }

    private VfioGroup mine(Group group) {
        if (group instanceof VfioGroup known) {
            return known;
        }
        throw new IllegalArgumentException(group + " is not a group of this VFIO service");
    }

    /** {@return the rules of the type that is set; every provider that took over has it} */
    private IommuType rules() {
        return RestorePlan.type(capabilities, type);
    }

    /** {@return the providers of that type in the order they are considered} */
    private List<IommuProvider> find(String wanted) {
        List<IommuProvider> found = new ArrayList<>(service.iommus());
        found.removeIf(one -> !one.types().contains(wanted));
        return found;
    }

    private List<IommuProvider> require(String wanted) {
        List<IommuProvider> found = find(wanted);
        if (found.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "no IOMMU of type %s on this machine; there are %s", wanted,
                service.iommuTypes());
        }
        return found;
    }

    /**
     * {@return the first of some providers whose hardware is what all requesters sit behind: a board may have two IOMMUs of a type, each
     *     with a driver of its own}
     *
     * @throws ErrnoException EINVAL if none is, naming whom the first does not serve
     */
    private IommuProvider serving(List<IommuProvider> candidates) {
        ErrnoException obstacle = null;
        for (IommuProvider candidate : candidates) {
            ErrnoException next = unserved(candidate);
            if (next == null) {
                return candidate;
            }
            obstacle = obstacle == null ? next : obstacle;
        }
        throw obstacle;
    }

    /** {@return whom a provider does not serve, as an error; null if it serves all, or cannot say: then the replay says why} */
    private ErrnoException unserved(IommuProvider candidate) {
        Set<Requester> members = members();
        try {
            Requester stranger = service.patience().call(candidate.iommu(), "looking at whom it serves",
                progress -> IovaRanges.stranger(members, candidate.iommu()), nobody -> {
                });
            if (stranger == null) {
                return null;
            }
            ErrnoException unserved = IovaRanges.unserved(stranger);
            return new ErrnoException(unserved.errno(), unserved, "%s: %s", candidate.label(), unserved.reason());
        } catch (RuntimeException e) {
            return null;
        }
    }

    private UnmapRule rule() {
        return switch (rules().unmap()) {
            case FIRST_ADDRESS -> new UnmapRule.FirstAddress();
            case WHOLE_MAPPINGS -> new UnmapRule.Whole();
            case WHOLE_WINDOWS -> {
                Geometry geometry = domain.get(Geometry.class);
                int windows = domain.get(Windows.class).count();
                yield new UnmapRule.ByWindow(geometry.start(), windows == 0 ? geometry.size() : geometry.size() / windows);
            }
        };
    }

    /** Where the doorbells lie outside translation, what keeps a device from ringing another's vector is that they look who rings. */
    private void requireSafeInterrupts(IommuCapabilities offered) {
        InterruptController controller = service.controller();
        boolean outside = offered.reserved().stream().anyMatch(region -> region.kind() == ReservedRegion.Kind.MSI);
        if (!outside || service.settings().allowUnsafeInterrupts() || controller != null && controller.doorbells().verifiesSource()) {
            return;
        }
        throw new ErrnoException(Errno.EPERM, "MSIs pass this IOMMU untranslated and %s: a device of container %s could ring any "
            + "vector. Use a machine with interrupt remapping, or set allow.unsafe.interrupts to true in the configuration "
            + "vfio.container", controller == null ? "there is no interrupt controller" : "the interrupt controller does not verify "
            + "who sent them", name);
    }

    /** {@return the ledger as a provider has to replay it now} */
    private RestorePlan plan(String wanted) {
        List<RestorePlan.Doorbell> doorbells = new ArrayList<>();
        if (service.controller() != null) {
            ledger.placements().forEach(placement -> doorbells.add(new RestorePlan.Doorbell(placement, bank(placement.bank()).page())));
        }
        return new RestorePlan(wanted, ledger.attributes(), ledger.mappings(), doorbells, members(), relaxed());
    }

    /** {@return who of all groups can do without what firmware wants mapped for it} */
    private Set<Integer> relaxed() {
        Set<Integer> relaxed = new TreeSet<>();
        groups.forEach(group -> relaxed.addAll(group.relaxedRequesters()));
        return relaxed;
    }

    /** {@return who speaks on the bus of all groups} */
    private Set<Requester> members() {
        Set<Requester> members = new LinkedHashSet<>();
        groups.forEach(group -> members.addAll(group.members()));
        return members;
    }

    /** {@return the requester ids of all groups} */
    private Set<Integer> requesters() {
        return IovaRanges.ids(members());
    }

    /** Holds its devices back, and keeps what they send. */
    private void shut() {
        interrupts.hold();
        quiescence.shut();
    }

    /** Whose accesses are held back when something is swapped. */
    private void holdBack() {
        quiescence.requesters(type == null ? Set.of() : requesters());
    }

    /**
     * Has a provider replay the ledger, and goes on with the domain that comes of it.
     *
     * @return the first thing that does not fit, and why; null if all does
     */
    private ErrnoException replayOn(IommuProvider newcomer, String wanted) {
        Iommu on = newcomer.iommu();
        try {
            RestorePlan plan = plan(wanted);
            RestorePlan.Restored restored = service.patience().call(on, "a domain", progress -> plan.replay(on, progress),
                late -> late.domain().close());
            domain = new GuardedDomain(restored.domain(), newcomer.label());
            capabilities = restored.capabilities();
            provider = newcomer;
            unclosed = null;
            suspect = suspect != null && service.patience().hangs(suspect) ? suspect : null;
            attached.addAll(plan.requesters());
            valid = null;
            mappable = null;
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

    /**
     * While the hardware may still let a device reach what the ledger holds, or a provider that hangs may yet let it, nobody is let
     * through or let go, and no memory given back.
     */
    private void requireBlocked() {
        if (suspect != null && service.patience().hangs(suspect)) {
            throw new ErrnoException(Errno.EBUSY, "container %s: a call of its IOMMU's provider has not returned; stop that bundle first", name);
        }
        if (unclosed != null) {
            try {
                IommuDomain left = unclosed;
                service.patience().run(left, "closing the domain", left::close);
                unclosed = null;
            } catch (RuntimeException e) {
                throw new ErrnoException(Errno.EBUSY, e, "container %s: the domain of the provider that left cannot be closed: %s; start a "
                    + "bundle that provides %s and try again", name, e.getMessage(), type);
            }
        }
    }

    private Swap report(Swap.Backend backend, String from, String to, String failure) {
        Quiescence.Tally tally = quiescence.tally();
        boolean replayed = backend == Swap.Backend.IOMMU && domain != null;
        Swap report = new Swap(Instant.now(), name, backend, from, to,
            replayed ? RestorePlan.replayed(ledger.attributes(), capabilities).size() : 0, replayed ? ledger.size() : 0, ledger.placements().size(),
            interrupts.list().size(), tally.blockedNanos(), tally.stalled(), tally.refused(), tally.carried(), failure);
        if (report.done()) {
            notReplaced = "";
        }
        service.report(report);
        return report;
    }

    /** Gives up a domain that could not be made ready. */
    private void abandon(Throwable why) {
        IommuDomain half = domain;
        forgetDomain();
        if (half != null) {
            try {
                half.close();
            } catch (RuntimeException | Error again) {
                why.addSuppressed(again);
            }
        }
    }

    /** Makes the banks reachable where the ledger has them and they are not; without an interrupt controller they wait for one. */
    private void restorePlacements() {
        if (service.controller() == null) {
            return;
        }
        for (MsiPlacement placement : ledger.placements()) {
            long page = bank(placement.bank()).page();
            if (domain.lookup(placement.iova(), Access.WRITE) != page) {
                domain.mapDoorbell(placement.iova(), page, placement.length());
            }
            RestorePlan.verify(domain, placement.iova(), Access.WRITE, page);
        }
    }

    /**
     * As {@link #remove}, with a report that is written before anything is taken away, as Linux does: a user's memory may turn out not to be
     * there, and what is unmapped cannot be asked again.
     */
    private void removeReported(List<UnmapRule.Piece> pieces, DirtyTracking.Report report) {
        report.remember();
        try {
            report.write(pieces.stream().map(UnmapRule.Piece::mapping).toList());
            remove(pieces);
        } catch (RuntimeException | Error e) {
            try {
                report.takeBack();
            } catch (RuntimeException | Error again) {
                e.addSuppressed(again);
            }
            throw e;
        }
    }

    /** Takes all the pieces away, or none. */
    private void remove(List<UnmapRule.Piece> pieces) {
        int done = 0;
        try {
            for (; done < pieces.size(); done++) {
                domain.unmap(pieces.get(done).iova(), pieces.get(done).length());
            }
        } catch (RuntimeException | Error e) {
            // Tables that are in doubt are made anew, with all the pieces.
            if (domain.doubt() == null) {
                pieces.subList(0, done).forEach(piece -> putBack(piece, e));
                putUp(pieces.get(done), e);
            }
            throw e;
        }
        domain.noted(() -> pieces.forEach(piece -> ledger.cut(piece.mapping(), piece.iova(), piece.length())));
    }

    /** Maps again what an unmap that failed later had taken away; if that fails, too, all tables are made anew. */
    private void putBack(UnmapRule.Piece piece, Throwable why) {
        Mapping mapping = piece.mapping();
        try {
            domain.map(piece.iova(), mapping.buffer(), mapping.offset() + piece.iova() - mapping.iova(), piece.length(),
                mapping.access());
        } catch (RuntimeException | Error again) {
            why.addSuppressed(again);
            domain.doubt(String.format("iova 0x%x+0x%x could not be put back: %s", piece.iova(), piece.length(), again));
        }
    }

    /**
     * An unmap that has thrown may have taken the piece away all the same: what is still in flight there has not ended, or the hardware has
     * not confirmed. Its memory is held, so it stays in the ledger, and is mapped again for the next unmap to find.
     */
    private void putUp(UnmapRule.Piece piece, Throwable why) {
        int access = (piece.mapping().access() & Access.READ) != 0 ? Access.READ : Access.WRITE;
        try {
            if (domain.lookup(piece.iova(), access) >= 0) {
                return;
            }
        } catch (RuntimeException again) {
            why.addSuppressed(again);
            domain.doubt(String.format("iova 0x%x+0x%x could not be read back: %s", piece.iova(), piece.length(), again));
            return;
        }
        putBack(piece, why);
    }

    /** Attaches whoever is not; nobody, unless all that is mapped or placed may be, for each of them, and some address is left. */
    private void attachAll(IommuCapabilities offered) {
        if (domain == null) {
            return;
        }
        Iommu iommu = provider.iommu();
        Set<Requester> members = members();
        // All, not only who joins: a device that has come may speak by the id of one that is attached.
        IovaRanges.checkServed(members, iommu);
        Set<Integer> joining = requesters();
        joining.removeAll(attached);
        Set<Integer> relaxed = relaxed();
        requesters().forEach(requester -> IovaRanges.checkEligible(IovaRanges.own(requester, relaxed, iommu), requester));
        joining.forEach(requester -> IovaRanges.checkReserved(IovaRanges.own(requester, relaxed, iommu), requester, ledger::first,
            ledger.placements()));
        if (!joining.isEmpty()) {
            Set<Integer> all = new TreeSet<>(attached);
            all.addAll(joining);
            IovaRanges.checkSomeLeft(offered, reserved(offered, all), all);
        }
        List<Integer> done = new ArrayList<>();
        try {
            for (int requester : joining) {
                attach(requester);
                done.add(requester);
            }
        } catch (RuntimeException | Error e) {
            undo(done, this::detach, e);
            throw e;
        }
    }

    private List<ReservedRegion> reserved(IommuCapabilities offered, Set<Integer> requesters) {
        return IovaRanges.reserved(offered, requesters, relaxed(), provider.iommu());
    }

    /** What the session keeps from the user. */
    private List<ReservedRegion> kept() {
        return session == null ? List.of() : session.reserved();
    }

    /** Where the user may map. */
    private List<IovaRange> mappable() {
        List<ReservedRegion> now = kept();
        if (now.isEmpty()) {
            return valid();
        }
        if (mappable == null || !now.equals(kept)) {
            List<ReservedRegion> all = new ArrayList<>(reserved());
            mappable = IovaRanges.valid(capabilities, all);
            kept = now;
        }
        return mappable;
    }

    private List<IovaRange> valid() {
        if (valid == null) {
            valid = IovaRanges.valid(capabilities, reserved(capabilities, attached));
        }
        return valid;
    }

    /** Blocks whoever is in none of the groups any more, or only in the one that is leaving. */
    private void detachAbsent(VfioGroup leaving) {
        Set<Integer> absent = new TreeSet<>(attached);
        groups.stream().filter(group -> group != leaving).forEach(group -> absent.removeAll(group.requesters()));
        List<Integer> done = new ArrayList<>();
        try {
            for (int requester : absent) {
                detach(requester);
                done.add(requester);
            }
        } catch (RuntimeException | Error e) {
            undo(done, this::attach, e);
            throw e;
        }
    }

    private void attach(int requester) {
        domain.attach(requester);
        domain.noted(() -> attached.add(requester));
        valid = null;
        mappable = null;
    }

    private void detach(int requester) {
        domain.detach(requester);
        domain.noted(() -> attached.remove(requester));
        valid = null;
        mappable = null;
    }

    private void undo(List<Integer> requesters, IntConsumer step, Throwable why) {
        for (int requester : requesters) {
            try {
                step.accept(requester);
            } catch (RuntimeException | Error again) {
                why.addSuppressed(again);
                domain.doubt(String.format("requester 0x%x could not be put back: %s", requester, again));
            }
        }
    }

    /** Blocks every device; if that fails nothing has changed, or the container is BLOCKED and the domain to be closed once more. */
    private void closeDomain() {
        if (domain != null) {
            IommuDomain old = domain;
            IommuProvider its = provider;
            try {
                service.patience().run(its.iommu(), "closing the domain", old::close);
            } catch (RuntimeException e) {
                if (!service.patience().hangs(its.iommu()) && !intact(its, old)) {
                    shut();
                    forgetDomain();
                    unclosed = old;
                    block("the domain of " + its.label() + " did not close: " + e.getMessage());
                }
                throw e;
            }
            forgetDomain();
        }
    }

    /** Whether a domain whose close has thrown is as it was: it still answers, and as the ledger says. */
    private boolean intact(IommuProvider its, IommuDomain left) {
        List<Mapping> mappings = ledger.mappings();
        try {
            service.patience().run(its.iommu(), "reading its domain back", () -> {
                left.lookup(0, Access.READ);
                mappings.forEach(mapping -> RestorePlan.verify(left, mapping));
            });
            return true;
        } catch (RuntimeException e) {
            return false;
        }
    }

    private void forgetDomain() {
        domain = null;
        provider = null;
        attached.clear();
        valid = null;
        mappable = null;
    }

    /** With the domain closed: lets go of the memory and forgets everything. */
    private void release() {
        try {
            unbind();
        } finally {
            ledger.clear();
            away = null;
            dirty.reset();
            capabilities = null;
            type = null;
            reason = "";
            notReplaced = "";
            owesController = false;
            owesStrategy = false;
            state = ContainerState.UNSET;
            quiescence.open();
            quiescence.requesters(Set.of());
        }
    }

    private MsiBank bank(int index) {
        InterruptController controller = service.controller();
        if (controller == null || index < 0 || index >= controller.doorbells().banks().size()) {
            throw new ErrnoException(Errno.ENODEV, "the interrupt controller has no MSI bank %d", index);
        }
        return controller.doorbells().banks().get(index);
    }

    /** With a strategy at work that stands in for one that has come back, lets that one return; with none, chooses one. */
    private void resolveOrReturn() {
        if (session != null && away != null && service.strategies().stream().anyMatch(this::returns)) {
            leftStrategy = strategy.name();
            Cleanup steps = new Cleanup();
            steps.take(this::part);
            steps.take(this::resolve);
            steps.end();
        } else if (session == null) {
            resolve();
        }
    }

    /** Whether it is the strategy that is expected back, and works here. */
    private boolean returns(MsiStrategy candidate) {
        return away != null && away.strategy.equals(candidate.name()) && assess(candidate).feasible();
    }

    /**
     * Chooses a strategy: the one that is expected back if it is there, else the preferred one if there is a preference, else the best
     * ranked of those that work here.
     */
    private void resolve() {
        List<MsiStrategy> candidates = new ArrayList<>(service.strategies());
        candidates.sort(Comparator.comparing(candidate -> away == null || !away.strategy.equals(candidate.name())));
        for (MsiStrategy candidate : candidates) {
            if ((preferred.isEmpty() || preferred.equals(candidate.name())) && assess(candidate).feasible()) {
                bind(candidate);
                return;
            }
        }
    }

    /** With no session: binds one, which takes over what is placed, or it is taken away. */
    private void bind(MsiStrategy candidate) {
        boolean back = away != null && away.strategy.equals(candidate.name());
        if (back && away.elsewhere()) {
            away.placements.stream().filter(this::fits).forEach(ledger::place);
            away = new Away(candidate.name(), null);
        }
        Environment fresh = new Environment();
        MsiSession next = candidate.bind(fresh);
        List<MsiPlacement> there = ledger.placements();
        if (!there.isEmpty() && !(back ? next.resume(there) : next.adopt(there))) {
            if (!back && away != null && !away.elsewhere()) {
                away = new Away(away.strategy, there);
            }
            there.forEach(placement -> fresh.remove(placement.iova()));
        }
        session = next;
        strategy = candidate;
        environment = fresh;
        if (back) {
            away = null;
        }
    }

    /** Whether a bank can still be where it was: nothing has been mapped there, and nobody keeps the bank from this container. */
    private boolean fits(MsiPlacement placement) {
        return ledger.first(placement.iova(), placement.iova() + placement.length() - 1) == null
            && !interrupts.forbidden(placement.bank()) && IovaRanges.inside(placement.iova(), placement.length(), valid());
    }

    /** What stood in the way of every strategy may have gone. The operation that did it has succeeded, whatever comes of this. */
    private void resolveAgain() {
        if (session == null || away != null) {
            try {
                MsiSession before = session;
                resolveOrReturn();
                if (session != before) {
                    route();
                }
            } catch (Throwable e) {
                reason = "no MSI strategy: " + e.getMessage();
            }
        }
    }

    /**
     * Puts another strategy in the place of the active one, if there is one, under vectors that are enabled. Devices keep their
     * vectors. If the newcomer does not take over the banks where they are, the order is: old windows closed, all banks placed in the
     * ledger, all devices given their new messages, new windows opened. So an old message never rings a bank in its new window; it
     * is refused, and remembered.
     */
    private void move(MsiStrategy target) {
        List<MsiPlacement> before = ledger.placements();
        List<Interrupts.Address> addresses = interrupts.addresses();
        Environment fresh = new Environment();
        MsiSession next = target.bind(fresh);
        List<Integer> enabled = new ArrayList<>();
        try {
            boolean adopted = !before.isEmpty() && next.adopt(before);
            if (!adopted) {
                shut();
                before.forEach(placement -> fresh.remove(placement.iova()));
                if (!addresses.isEmpty()) {
                    // What the user has to do first, this says best.
                    next.reachable();
                }
                fresh.staged = true;
            }
            interrupts.moveTo(next, enabled);
            if (!adopted) {
                fresh.staged = false;
                restorePlacements();
            }
        } catch (RuntimeException e) {
            undo(next, fresh, enabled, before, addresses, e);
            throw addresses.isEmpty() ? e : new ErrnoException(Errno.EBUSY, e, "container %s has %d vectors enabled, and MSI strategy %s "
                + "cannot make their banks reachable: %s. Make room, or disable them before the strategy changes", name,
                addresses.size(), target.name(), e.getMessage());
        }
        MsiSession old = session;
        MsiStrategy left = strategy;
        if (environment != null) {
            environment.retired = true;
        }
        session = next;
        strategy = target;
        environment = fresh;
        away = null;
        route();
        report(Swap.Backend.STRATEGY, left == null ? "" : left.name(), target.name(), "");
        if (old != null) {
            Cleanup steps = new Cleanup();
            steps.take(() -> interrupts.moved(old));
            steps.take(old::close);
            try {
                steps.end();
            } catch (RuntimeException e) {
                // The move is done all the same.
                reason = "MSI strategy " + left.name() + " did not end well: " + e.getMessage();
            }
        }
    }

    /** All as it was before a move that failed. */
    private void undo(MsiSession next, Environment fresh, List<Integer> enabled, List<MsiPlacement> before,
            List<Interrupts.Address> addresses, RuntimeException why) {
        Cleanup steps = new Cleanup();
        ledger.placements().stream().filter(placement -> !before.contains(placement)).forEach(placement -> steps.take(() -> {
            domain.unmap(placement.iova(), placement.length());
            domain.noted(() -> ledger.remove(placement));
        }));
        fresh.retired = true;
        enabled.forEach(bank -> steps.take(() -> next.disable(bank)));
        steps.take(next::close);
        steps.take(() -> interrupts.moveBack(addresses));
        before.forEach(ledger::place);
        steps.take(this::restorePlacements);
        steps.take(this::route);
        try {
            steps.end();
        } catch (RuntimeException again) {
            why.addSuppressed(again);
        }
    }

    /** A strategy that cannot even say whether it works does not. */
    private MsiAssessment assess(MsiStrategy candidate) {
        try {
            return candidate.assess(new Environment());
        } catch (Throwable e) {
            return MsiAssessment.refused("it failed: " + e);
        }
    }

    /** Takes the strategy's session away, and whatever that leaves placed, unless what is placed is not its own any more. */
    private void unbind() {
        if (session != null) {
            MsiSession old = session;
            boolean owns = !environment.retired;
            session = null;
            strategy = null;
            environment = null;
            Cleanup steps = new Cleanup();
            steps.take(old::close);
            if (owns) {
                ledger.placements().forEach(placement -> steps.take(() -> new Environment().remove(placement.iova())));
            }
            steps.end();
        }
    }

    /**
     * Gives vectors to what waits for them, lets devices through as far as that went well, and delivers what was kept. What still waits
     * is the reason that {@link #reason} gives.
     */
    private void route() {
        if (state == ContainerState.ACTIVE) {
            reason = interrupts.connect();
            try {
                // A controller that has just come may be at work before its arrival has been told here.
                restorePlacements();
            } catch (RuntimeException e) {
                reason = reason.isEmpty() ? "a bank cannot be reached: " + e.getMessage() : reason;
            }
            long[] waiting = interrupts.waitingPages();
            if (waiting.length > 0) {
                quiescence.keepMessages(waiting);
                interrupts.pass();
                // Who looked before they may pass has kept its message when this returns.
                quiescence.keepMessages(waiting);
            } else {
                quiescence.open();
            }
            interrupts.deliver();
        }
    }

    private String refusals() {
        List<String> refusals = service.strategies().stream()
            .map(candidate -> candidate.name() + ": " + assess(candidate).reason()).toList();
        return refusals.isEmpty() ? "no bundle provides one" : String.join("; ", refusals);
    }

    /**
     * A strategy that has left and is expected back.
     *
     * @param placements what was taken away for the sake of the one that stands in for it; null if what it has placed is where it was
     */
    private record Away(String strategy, List<MsiPlacement> placements) {
        boolean elsewhere() {
            return placements != null;
        }
    }

    /** What the strategy sees. Used under the lock only. */
    private final class Environment implements MsiEnvironment {
        /** During a move: what is placed is only written down, and opened when every device has its new message. */
        private boolean staged;
        /** Another session has taken over, or the strategy has left: what it has placed is not its own any more. */
        private boolean retired;

        @Override
        public IommuCapabilities capabilities() {
            return capabilities;
        }

        @Override
        public Geometry geometry() {
            return ask(Geometry.class, new Geometry(0, 0));
        }

        @Override
        public int windows() {
            return geometry().size() > 0 ? ask(Windows.class, new Windows(0)).count() : 0;
        }

        @Override
        public List<Bank> banks() {
            return interrupts.banks();
        }

        @Override
        public List<Mapping> mappings() {
            return ledger.view();
        }

        @Override
        public List<ReservedRegion> reserved() {
            return provider == null ? capabilities.reserved() : VfioContainer.this.reserved(capabilities, attached);
        }

        @Override
        public List<MsiPlacement> placements() {
            return retired ? List.of() : ledger.placements();
        }

        @Override
        public void place(int index, long iova) {
            requireActive();
            if (retired) {
                throw new ErrnoException(Errno.EINVAL, "another MSI strategy has taken over in container %s", name);
            }
            MsiBank bank = bank(index);
            IovaRanges.checkRange(iova, bank.length(), capabilities.smallestPage());
            Mapping there = ledger.first(iova, iova + bank.length() - 1);
            if (there != null) {
                throw new ErrnoException(Errno.EEXIST, "iova 0x%x of MSI bank %d is inside the mapping 0x%x+0x%x; unmap it first",
                    iova, index, there.iova(), there.length());
            }
            IovaRanges.checkInside(iova, bank.length(), valid());
            try {
                interrupts.reserve(() -> {
                    if (interrupts.forbidden(index)) {
                        throw new ErrnoException(Errno.EBUSY,
                            "MSI bank %d is reachable in another container and isolation is asked for; place another bank", index);
                    }
                    return List.of(index);
                });
                MsiPlacement placement = new MsiPlacement(index, iova, bank.length());
                if (!staged) {
                    domain.mapDoorbell(iova, bank.page(), bank.length());
                    domain.noted(() -> ledger.place(placement));
                } else {
                    ledger.place(placement);
                }
            } finally {
                interrupts.settle();
            }
        }

        @Override
        public void move(int index, long iova) {
            MsiPlacement old = ledger.placements().stream().filter(one -> one.bank() == index).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "MSI bank %d is not placed", index));
            place(index, iova);
            // While an address is programmed in halves a message may go to neither window: it is kept.
            shut();
            List<Interrupts.Address> before = interrupts.addresses();
            try {
                interrupts.shift(index, iova - old.iova());
            } catch (RuntimeException e) {
                Cleanup steps = new Cleanup();
                steps.take(() -> {
                    throw e;
                });
                steps.take(() -> interrupts.moveBack(before));
                steps.take(() -> remove(iova));
                steps.take(VfioContainer.this::route);
                steps.end();
            }
            remove(old.iova());
            route();
        }

        @Override
        public void remove(long iova) {
            if (retired) {
                return;
            }
            MsiPlacement placement = ledger.placements().stream().filter(one -> one.iova() == iova).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "no MSI bank is placed at iova 0x%x", iova));
            if (domain == null) {
                ledger.remove(placement);
            } else {
                domain.unmap(iova, placement.length());
                domain.noted(() -> ledger.remove(placement));
            }
            service.bankFree();
        }

        /** An attribute of a windowed IOMMU: while there is no domain the ledger knows it. */
        private <A extends DomainAttribute> A ask(Class<A> attribute, A otherwise) {
            if (!capabilities.windowed()) {
                return otherwise;
            }
            return domain == null ? ledger.attribute(attribute, otherwise) : domain.get(attribute);
        }
    }
}
