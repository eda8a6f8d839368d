// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.Iommu;
import iommu.api.IommuType;
import iommu.api.Violation;
import irq.api.InterruptController;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.Consumer;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.PciFunction;
import vfio.api.Container;
import vfio.api.EventFd;
import vfio.api.Extension;
import vfio.api.Group;
import vfio.api.Vfio;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.Swap;
import vfio.api.swap.SwapListener;
import vfio.api.swap.Swaps;
import vfio.container.host.Cleanup;
import vfio.container.host.ContainerLimits;
import vfio.container.host.IommuProvider;
import vfio.container.host.ProviderCalls;
import vfio.container.host.RankedStrategy;
import vfio.container.host.RecentLog;
import vfio.container.host.RelaxableClasses;
import vfio.container.host.TopologyLock;
import vfio.container.irq.LocalEventFd;
import vfio.container.irq.SharedBanks;

/**
 * The VFIO service: it reports arrivals and departures to the containers. The backends are in the {@link Registry}, the
 * devices in the {@link Topology}.
 *
 * <p>One lock guards the topology: what is in which group, which group in which container, which provider is there. A
 * container's own lock is taken after it, never before; the lock of the {@link SharedBanks} last. Mapping and
 * interrupts take the container's lock and perhaps the last, never the first. No user's call waits for a container's
 * lock with the topology lock held, since a provider may hang in a call of that container; what is told to containers
 * of providers waits no longer than a provider is given. Listeners and device models are called with none of these
 * held.
 */
public final class VfioService implements Vfio, AutoCloseable {
    /** The time that pending interrupts have to be served before a controller's vectors are given back. */
    private static final long SERVING_NANOS = 1_000_000_000L;

    private final Machine machine;
    private final ProviderCalls calls;
    private final Attachment faultSubscription;
    private final RecentLog<Fault> faults = new RecentLog<>();
    private final ViolationLog violations = new ViolationLog();
    private final SwapLog swaps = new SwapLog();
    private final TopologyLock lock = new TopologyLock(this::announce);
    private final Topology topology = new Topology(lock);
    private final Registry registry = new Registry();
    // Written under the topology lock, read at any time.
    private final CopyOnWriteArrayList<VfioContainer> containers = new CopyOnWriteArrayList<>();
    private final FreeVectors freeVectors = new FreeVectors(containers);
    private final ForContainers host = new ForContainers();
    private final Swaps reported = new Reported();
    private volatile ContainerLimits limits;

    /** Starts with nothing but a machine, and allows what Linux does. */
    public VfioService(Machine machine) {
        this(machine, ContainerLimits.DEFAULT);
    }

    /** Starts with nothing but a machine. */
    public VfioService(Machine machine, ContainerLimits limits) {
        this.machine = machine;
        this.limits = limits;
        this.calls = new ProviderCalls(limits.providerTimeout());
        this.faultSubscription = machine.onFault(faults::add);
    }

    /**
     * Allows something else from now on. No container is closed: what one holds beyond a new limit stays, and only
     * further maps are refused. The stall bound is for new containers, the relaxable classes for functions that come; a
     * call of a provider that is under way keeps its timeout.
     */
    public void change(ContainerLimits next) {
        limits = next;
        calls.limit(next.providerTimeout());
    }

    // Arrivals and departures. Every container is notified, whatever another one's providers throw; the first exception
    // is
    // then thrown, and what was announced is nevertheless there, or gone.

    /** As the next, called by its kind. */
    public void addIommu(Iommu iommu, String kind) {
        addIommu(iommu, kind, kind, 0);
    }

    /** As the next, of the types that its capabilities have. */
    public void addIommu(Iommu iommu, String kind, String label, int ranking) {
        addIommu(iommu, kind, iommu.capabilities().types().stream().map(IommuType::name).toList(), label, ranking);
    }

    /**
     * An IOMMU is there: containers that wait for one of its types are restored.
     *
     * @param kind its property {@link Iommu#KIND}
     * @param types its property {@link Iommu#TYPE}, the preferred one first
     * @param label what reports call it
     * @param ranking of several of a type the highest is considered first
     * @throws IllegalArgumentException without a kind or a type
     */
    public void addIommu(Iommu iommu, String kind, List<String> types, String label, int ranking) {
        if (kind == null || kind.isEmpty() || types.isEmpty()) {
            throw new IllegalArgumentException("an IOMMU provider needs the service properties " + Iommu.KIND + " and "
                + Iommu.TYPE);
        }
        event(steps -> {
            IommuProvider provider = new IommuProvider(iommu, kind, List.copyOf(types), label, ranking);
            registry.add(provider);
            steps.take(this::listen);
            tell(steps, container -> container.iommus().arrived(provider));
        });
    }

    /** Changes the ranking of an IOMMU type, for later choices. No container moves. */
    public void rankIommu(Iommu iommu, int ranking) {
        lock.run(() -> registry.rank(iommu, ranking));
    }

    /**
     * An IOMMU type is about to go: its containers are blocked, their ledgers kept; they turn to another of its kind if
     * there is one.
     */
    public void removeIommu(Iommu iommu) {
        event(steps -> {
            registry.remove(iommu);
            tell(steps, container -> container.iommus().leaving(iommu));
            tellOfIommus(steps);
            steps.take(this::listen);
        });
    }

    /** Adds a controller with the default label. */
    public void addController(InterruptController controller) {
        addController(controller, "interrupt controller");
    }

    /**
     * An interrupt controller is there: interrupts that wait for one are routed again, and containers that could not be
     * restored for lack of its banks are. A second one is kept for later.
     *
     * @param label what reports call it
     */
    public void addController(InterruptController controller, String label) {
        event(steps -> {
            registry.add(controller, label);
            if (registry.controller() == controller) {
                steps.take(this::listen);
                steps.take(this::followVectors);
                tell(steps, container -> container.controllers().arrived(controller));
                tellOfIommus(steps);
            }
        });
    }

    /**
     * An interrupt controller is about to go: every container's devices are held back, what they have sent is served,
     * then its vectors are given back; what they were for is kept.
     */
    public void removeController(InterruptController controller) {
        event(steps -> {
            if (registry.controller() != controller) {
                registry.remove(controller);
                return;
            }
            tell(steps, container -> container.controllers().leaving());
            boolean served = served();
            String label = registry.controllerLabel();
            registry.remove(controller);
            steps.take(this::followVectors);
            tell(steps, container -> container.controllers().gone(label, served));
            steps.take(this::listen);
            InterruptController next = registry.controller();
            if (next != null) {
                tell(steps, container -> container.controllers().arrived(next));
            }
        });
    }

    /** A strategy is there, or has another ranking: containers that have none look again. */
    public void addStrategy(MsiStrategy strategy, int ranking) {
        event(steps -> {
            if (registry.add(strategy, ranking)) {
                tell(steps, container -> container.strategies().arrived());
            }
        });
    }

    /** A strategy is about to go: its containers turn to another, or go without. */
    public void removeStrategy(MsiStrategy strategy) {
        event(steps -> {
            registry.remove(strategy);
            tell(steps, container -> container.strategies().gone(strategy));
        });
    }

    private void event(Consumer<Cleanup> event) {
        lock.run(() -> {
            Cleanup steps = new Cleanup();
            event.accept(steps);
            steps.end();
        });
    }

    private void tell(Cleanup steps, Consumer<VfioContainer> event) {
        containers.forEach(container -> steps.take(() -> event.accept(container)));
    }

    private void tellOfIommus(Cleanup steps) {
        registry.iommus().forEach(provider -> tell(steps, container -> container.iommus().arrived(provider)));
    }

    private void listen() {
        violations.listen(registry.iommus(), registry.controller());
    }

    private void followVectors() {
        freeVectors.follow(registry.controller());
    }

    /** {@return whether the cores have served everything that was asserted, after a while at most} */
    private boolean served() {
        return machine.cpus().stream().allMatch(cpu -> cpu.rest(SERVING_NANOS));
    }

    /** Tells listeners of swaps, unless this thread holds the topology lock: then it does when it lets that go. */
    private void announce() {
        if (!lock.held()) {
            swaps.announce();
        }
    }

    /**
     * A device is there, perhaps in a group that is in use.
     *
     * @throws ErrnoException EEXIST if there is a device of that name; EINVAL if its group is in a container whose
     *     IOMMU cannot attach it, EPERM if firmware wants memory mapped for it that it cannot do without: the device
     *     then stays blocked and is not in the group
     */
    public void addFunction(PciFunction function) {
        topology.add(function, new RelaxableClasses(limits.relaxableClasses()));
    }

    /** A device is about to go: its user is told, it is closed, and blocked unless others share its requester id. */
    public void removeFunction(PciFunction function) {
        topology.remove(function);
    }

    /** Adds a listener to swaps. */
    public void addSwapListener(SwapListener listener) {
        swaps.add(listener);
    }

    /** Removes a listener to swaps. */
    public void removeSwapListener(SwapListener listener) {
        swaps.remove(listener);
    }

    @Override
    public List<Group> groups() {
        return topology.groups();
    }

    @Override
    public Group group(int number) {
        return topology.group(number);
    }

    @Override
    public Group groupOf(String device) {
        return topology.groupOf(device);
    }

    @Override
    public List<String> iommuTypes() {
        return host.iommuTypes();
    }

    /** {@return the IOMMUs that are there, in the order they are considered} */
    List<IommuProvider> iommus() {
        return registry.iommus();
    }

    /** {@return the host as a container sees it} */
    VfioContainer.Parent host() {
        return host;
    }

    @Override
    public Container openContainer(String name) {
        return lock.call(() -> {
            if (containers.stream().anyMatch(container -> container.name().equals(name))) {
                throw new ErrnoException(Errno.EEXIST, "a container %s is open; close it or choose another name", name);
            }
            VfioContainer container = new VfioContainer(host, name);
            containers.add(container);
            return container;
        });
    }

    @Override
    public List<Container> containers() {
        return List.copyOf(containers);
    }

    @Override
    public EventFd eventFd() {
        return new LocalEventFd(0);
    }

    @Override
    public List<Fault> faults() {
        return faults.latest();
    }

    @Override
    public long faultCount() {
        return faults.count();
    }

    @Override
    public List<Violation> violations() {
        return violations.latest(registry.iommus());
    }

    @Override
    public <E extends Extension<Vfio>> Optional<E> extension(Class<E> extension) {
        return Optional.of(reported).filter(extension::isInstance).map(extension::cast);
    }

    /** Closes every container. */
    @Override
    public void close() {
        Cleanup steps = new Cleanup();
        // Each by itself, so that no lock is held while their device models are waited for.
        tell(steps, VfioContainer::close);
        lock.run(() -> {
            violations.close(steps);
            steps.take(freeVectors::close);
            steps.take(faultSubscription::close);
        });
        steps.end();
    }

    /** The swaps, as users see them. */
    private final class Reported implements Swaps {
        @Override
        public List<Swap> latest() {
            return swaps.latest();
        }

        @Override
        public void notReplaced(Swap.Backend backend, Set<String> types, String cause) {
            event(steps -> tell(steps, container -> container.reports().notReplaced(backend, types, cause)));
        }
    }

    /** The host, as containers use it. */
    private final class ForContainers implements VfioContainer.Parent {
        private final SharedBanks banks = new SharedBanks(this,
            () -> containers.stream().map(VfioContainer::bankUse).toList());

        @Override
        public Machine machine() {
            return machine;
        }

        @Override
        public ContainerLimits limits() {
            return limits;
        }

        @Override
        public ProviderCalls calls() {
            return calls;
        }

        @Override
        public List<IommuProvider> iommus() {
            return registry.iommus();
        }

        @Override
        public InterruptController controller() {
            return registry.controller();
        }

        @Override
        public String controllerLabel() {
            return registry.controllerLabel();
        }

        @Override
        public List<RankedStrategy> strategies() {
            return registry.strategies();
        }

        @Override
        public boolean served() {
            return VfioService.this.served();
        }

        @Override
        public void report(Swap swap) {
            swaps.add(swap);
        }

        @Override
        public void vectorFree() {
            freeVectors.vectorFree();
        }

        @Override
        public void bankFree() {
            if (banks.anyIsolated()) {
                freeVectors.vectorFree();
            }
        }

        @Override
        public TopologyLock topology() {
            return lock;
        }

        @Override
        public SharedBanks banks() {
            return banks;
        }

        @Override
        public void forgetEmptyGroups() {
            topology.forgetEmpty();
        }

        @Override
        public void closed(VfioContainer container) {
            containers.remove(container);
            topology.forgetEmpty();
        }

        @Override
        public void catchUp(VfioContainer container) {
            lock.run(() -> {
                container.catchUp();
                registry.iommus().forEach(container.iommus()::arrived);
            });
        }

        @Override
        public void announce() {
            VfioService.this.announce();
        }
    }
}
