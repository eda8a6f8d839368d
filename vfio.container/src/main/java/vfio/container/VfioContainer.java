// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.DomainAttribute;
import iommu.api.IommuType;
import iommu.api.ReservedRegion;
import irq.api.InterruptController;
import java.util.List;
import java.util.Optional;
import java.util.function.Supplier;
import java.util.stream.Stream;
import machine.api.DmaBuffer;
import vfio.api.Container;
import vfio.api.ContainerInfo;
import vfio.api.ContainerState;
import vfio.api.DirtyBitmap;
import vfio.api.DmaFlags;
import vfio.api.Extension;
import vfio.api.Group;
import vfio.api.Mapping;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.container.device.JoinedGroups;
import vfio.container.device.Owner;
import vfio.container.dma.DirtyTracking;
import vfio.container.dma.MapRule;
import vfio.container.dma.ProviderChoice;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.Host;
import vfio.container.host.IommuProvider;
import vfio.container.host.TopologyLock;
import vfio.container.irq.MsiBanks;
import vfio.container.irq.MsiBinding;
import vfio.container.irq.MsiSender;
import vfio.container.irq.Relay;
import vfio.container.irq.Route;
import vfio.container.irq.SharedBanks;
import vfio.container.state.ContainerLock;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;
import vfio.container.state.Quiescence;
import vfio.container.swap.ContainerParts;
import vfio.container.swap.ControllerEvents;
import vfio.container.swap.HotSwap;
import vfio.container.swap.IommuEvents;
import vfio.container.swap.StrategyEvents;
import vfio.container.swap.SwapReports;

/**
 * One container: a method for each of VFIO's ioctls, each under its lock, and the extensions, {@link ContainerMsis} and
 * {@link ContainerBackends}. The parts do the work, and none of them knows this class: {@link Membership}, {@link
 * MemoryCalls}, {@link MsiBinding}, {@link HotSwap}. Arrivals and departures go to {@link #iommus}, {@link
 * #controllers} and {@link #strategies}.
 */
final class VfioContainer implements Owner {
    /** The host, with what only a container as a whole asks of it. */
    interface Parent extends Host {
        TopologyLock topology();

        /** {@return the MSI banks, which all containers share} */
        SharedBanks banks();

        /** A group has left a container. The caller holds the topology lock. */
        void forgetEmptyGroups();

        /** A container is closed. The caller holds the topology lock. */
        void closed(VfioContainer container);

        /**
         * A container has missed what was announced to all, or needs its IOMMU anew. The caller holds no container's
         * lock.
         */
        void catchUp(VfioContainer container);

        /** A container's lock has been released. */
        void announce();
    }

    private final Parent parent;
    private final String name;
    private final ContainerLock lock;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final JoinedGroups groups = new JoinedGroups();
    private final Quiescence gate;
    private final Translation translation;
    private final ProviderChoice providers;
    private final MsiBinding msi;
    private final SwapReports reports;
    private final HotSwap swap;
    private final Membership membership;
    private final MemoryCalls memory;
    private final IommuEvents iommus;
    private final ControllerEvents controllers;
    private final StrategyEvents strategies;
    private final Msis msis;
    private final Backends backends;

    VfioContainer(Parent parent, String name) {
        this(parent, name, new Ledger());
    }

    VfioContainer(Parent parent, String name, Ledger ledger) {
        this.parent = parent;
        this.name = name;
        this.ledger = ledger;
        status = new ContainerStatus(name);
        lock = new ContainerLock(parent.calls(), new Releases());
        gate = new Quiescence(parent.machine(), this::keep, parent.limits().stallBound());
        MsiBanks banks = new MsiBanks(parent);
        providers = new ProviderChoice(parent, groups);
        translation = new Translation(parent, name, status, ledger, groups, banks);
        msi = new MsiBinding(parent, name, status, ledger, translation, banks, parent.banks(), gate,
            this::strategyMoved);
        ContainerParts parts = new ContainerParts(name, parent, lock, status, ledger, gate, translation, providers,
            new DirtyTracking(), banks, msi, groups::pins);
        reports = new SwapReports(parts);
        swap = new HotSwap(parts, reports);
        membership = new Membership(this, parts, groups, swap, reports);
        memory = new MemoryCalls(parts);
        iommus = new IommuEvents(parts, swap);
        controllers = new ControllerEvents(parts, reports);
        strategies = new StrategyEvents(parts, reports);
        msis = new ContainerMsis(parts);
        backends = new ContainerBackends(parts, parent.topology(), swap);
    }

    private boolean keep(int requester, long iova, int data) {
        return msi.routes().keep(requester, iova, data);
    }

    private void strategyMoved(String from, String to) {
        reports.moved(from, to);
    }

    /** Runs when the lock is released: handles the events that a hanging call had delayed. */
    private final class Releases implements ContainerLock.Owner {
        /** Tables that a call has left in doubt are made anew from the ledger: before that, nobody gets through. */
        @Override
        public boolean releasing() {
            boolean doubt = translation.present() && translation.domain().doubt() != null;
            if (doubt) {
                swap.giveUp(translation.domain().doubt());
            }
            return doubt;
        }

        @Override
        public void missed() {
            parent.catchUp(VfioContainer.this);
        }

        @Override
        public void released() {
            parent.announce();
        }

        @Override
        public void deferredFailed(Throwable thrown) {
            status.addReason("a departure did not end well: " + thrown);
        }
    }

    private <T> T both(Supplier<T> work) {
        return ContainerLock.callBoth(parent.topology(), () -> lock, work);
    }

    private void both(Runnable work) {
        ContainerLock.runBoth(parent.topology(), () -> lock, work);
    }

    // What it is. Any thread, no lock.

    @Override
    public String name() {
        return name;
    }

    @Override
    public ContainerState state() {
        return status.state();
    }

    @Override
    public String reason() {
        return status.reasons();
    }

    @Override
    public List<Group> groups() {
        return groups.list();
    }

    @Override
    public Optional<String> iommu() {
        return Optional.ofNullable(status.type());
    }

    @Override
    public Optional<String> iommuKind() {
        return Optional.ofNullable(translation.provider()).map(IommuProvider::kind);
    }

    @Override
    public String toString() {
        return "container " + name;
    }

    // Groups and the IOMMU's type: VFIO_GROUP_SET_CONTAINER, VFIO_CHECK_EXTENSION, VFIO_SET_IOMMU.

    @Override
    public boolean checkExtension(String wanted) {
        if (wanted.equals(UNMAP_ALL) || wanted.equals(UPDATE_VADDR)) {
            return lock.call(() -> offersFlag(wanted));
        }
        String set = status.type();
        return set == null ? !providers.find(wanted).isEmpty() : set.equals(wanted);
    }

    /** Whether the type that is set, or else any, has the flag of {@link DmaFlags} that an extension stands for. */
    private boolean offersFlag(String wanted) {
        boolean all = wanted.equals(UNMAP_ALL);
        Stream<IommuType> types = status.type() != null ? Stream.of(translation.rules())
            : parent.iommus().stream().flatMap(one -> one.iommu().capabilities().types().stream());
        return types.anyMatch(type -> all ? type.unmapAll() : type.vaddrUpdates());
    }

    @Override
    public void addGroup(Group group) {
        both(() -> membership.add(group));
    }

    @Override
    public void removeGroup(Group group) {
        both(() -> {
            try {
                membership.remove(group);
            } finally {
                parent.forgetEmptyGroups();
            }
        });
    }

    @Override
    public void setIommu(String wanted) {
        both(() -> membership.set(wanted));
    }

    // Memory: VFIO_IOMMU_GET_INFO, VFIO_IOMMU_MAP_DMA, VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_DIRTY_PAGES, and PAMU's
    // attributes.

    @Override
    public ContainerInfo info() {
        return lock.call(memory::info);
    }

    @Override
    public void set(DomainAttribute attribute) {
        lock.run(() -> memory.set(attribute));
    }

    @Override
    public <A extends DomainAttribute> A get(Class<A> attribute) {
        return lock.call(() -> memory.get(attribute));
    }

    @Override
    public void map(long iova, DmaBuffer buffer, long offset, long length, int flags) {
        MapRule wanted = new MapRule(iova, buffer, offset, length, flags);
        lock.run(() -> memory.map(wanted));
    }

    @Override
    public long unmap(long iova, long length) {
        return unmap(iova, length, 0, null);
    }

    @Override
    public long unmap(long iova, long length, int flags, DirtyBitmap bitmap) {
        return lock.call(() -> memory.unmap(iova, length, flags, bitmap));
    }

    @Override
    public void dirtyPages(int flags, long iova, long length, DirtyBitmap bitmap) {
        lock.run(() -> memory.dirtyPages(flags, iova, length, bitmap));
    }

    @Override
    public List<Mapping> mappings() {
        return lock.call(ledger::mappings);
    }

    @Override
    public List<ReservedRegion> reserved() {
        return lock.call(memory::reserved);
    }

    @Override
    public long lookup(long iova, int access) {
        return lock.call(() -> translation.lookup(iova, access));
    }

    // What Linux's containers do not have.

    @Override
    public <E extends Extension<Container>> Optional<E> extension(Class<E> extension) {
        return Stream.of(msis, backends).filter(extension::isInstance).map(extension::cast).findFirst();
    }

    // The end.

    /** If the domain cannot be closed, devices may still reach memory, and all stays as it is. */
    @Override
    public void close() {
        Cleanup steps = new Cleanup();
        List<Runnable> left = both(() -> {
            if (status.state() == ContainerState.CLOSED) {
                return List.of();
            }
            List<Runnable> models = membership.close(steps);
            parent.closed(this);
            return models;
        });
        // The device models are waited for with no lock held.
        left.forEach(steps::take);
        steps.end();
    }

    // For its devices.

    @Override
    public ContainerLock lock() {
        return lock;
    }

    @Override
    public void requestersChanged() {
        lock.run(membership::changed);
    }

    @Override
    public void requireActive() {
        status.requireActive();
    }

    @Override
    public InterruptController controller() {
        return parent.controller();
    }

    @Override
    public Route enable(MsiSender device, Relay relay) {
        return msi.enable(device, relay);
    }

    @Override
    public void disable(Route route) {
        msi.disable(route);
    }

    // For the host, which tells it what comes and goes.

    IommuEvents iommus() {
        return iommus;
    }

    ControllerEvents controllers() {
        return controllers;
    }

    StrategyEvents strategies() {
        return strategies;
    }

    SwapReports reports() {
        return reports;
    }

    /** {@return its use of the banks that all containers share. Any thread} */
    SharedBanks.User bankUse() {
        return msi.routes().choice();
    }

    /** Whether a route of its waits for a vector. Any thread. */
    boolean waits() {
        return msi.routes().waiting() > 0;
    }

    /** Deals with what was missed, if the lock can be had; every IOMMU is announced again after this. */
    void catchUp() {
        lock.drainDeferred();
    }
}
