// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.Iommu;
import iommu.api.IommuType;
import iommu.api.Violation;
import irq.api.InterruptController;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Queue;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.ReentrantLock;
import java.util.function.Consumer;
import java.util.stream.Stream;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.PciFunction;
import machine.api.Wire;
import vfio.api.Container;
import vfio.api.Group;
import vfio.api.Swap;
import vfio.api.SwapListener;
import vfio.api.Vfio;
import vfio.api.msi.MsiStrategy;
import vfio.container.host.Cleanup;
import vfio.container.host.ContainerLimits;
import vfio.container.host.IommuProvider;
import vfio.container.host.ProviderCalls;
import vfio.container.host.RankedStrategy;
import vfio.container.host.RecentLog;
import vfio.container.host.RelaxableClasses;

/**
 * Knows what there is: devices and their groups, IOMMU types, the interrupt controller, strategies, containers. Tells the
 * containers when one comes or goes.
 *
 * <p>One lock guards the topology: what is in which group, which group in which container, which provider is there. A
 * container's own lock is taken after it, never before; the lock of {@link #vectors} last. Mapping and interrupts take
 * the container's lock and perhaps the last, never the first. No user's call waits for a container's lock with the topology lock held, since
 * a provider may hang in a call of that container; what is told to containers of providers waits no longer than a provider is given.
 * Listeners and device models are called with none of these held.
 */
public final class VfioService implements Vfio, AutoCloseable {
    /** How long interrupts that have arrived are given to be served before a controller's vectors go back. */
    private static final long SERVING_NANOS = 1_000_000_000L;

    private record Controller(InterruptController controller, String label) {
    }

    private final Machine machine;
    private final RecentLog<Fault> faults = new RecentLog<>();
    private final RecentLog<Violation> violations = new RecentLog<>();
    private final RecentLog<Swap> swaps = new RecentLog<>();
    private final ProviderCalls patience;
    private final Attachment faultSubscription;
    private final ReentrantLock topology = new ReentrantLock();
    private final Object vectors = new Object();

    private volatile ContainerLimits settings;

    // Guarded by topology.
    private final TreeMap<Integer, VfioGroup> groups = new TreeMap<>();
    private final List<Attachment> violationWires = new ArrayList<>();
    private Attachment freeVectors = () -> {
    };

    // Written under topology, read by containers at any time.
    private final CopyOnWriteArrayList<VfioContainer> containers = new CopyOnWriteArrayList<>();
    private final CopyOnWriteArrayList<IommuProvider> iommus = new CopyOnWriteArrayList<>();
    private final CopyOnWriteArrayList<Controller> controllers = new CopyOnWriteArrayList<>();
    private final CopyOnWriteArrayList<SwapListener> swapListeners = new CopyOnWriteArrayList<>();
    private final Queue<Swap> unannounced = new ConcurrentLinkedQueue<>();
    /** How often a vector has become free while somebody waited for one, since the thread that sees to them last looked. */
    private final AtomicInteger freed = new AtomicInteger();
    private volatile List<RankedStrategy> strategies = List.of();

    /** Starts with nothing but a machine, and allows what Linux does. */
    public VfioService(Machine machine) {
        this(machine, ContainerLimits.DEFAULT);
    }

    /** Starts with nothing but a machine. */
    public VfioService(Machine machine, ContainerLimits settings) {
        this.machine = machine;
        this.settings = settings;
        this.patience = new ProviderCalls(settings.providerTimeout());
        this.faultSubscription = machine.onFault(faults::add);
    }

    /**
     * Allows something else from now on. No container is closed: what one holds beyond a new limit stays, and only further maps are
     * refused. The stall bound is for new containers, the relaxable classes for functions that come; a call of a provider that is under
     * way keeps its timeout.
     */
    public void change(ContainerLimits next) {
        settings = next;
        patience.limit(next.providerTimeout());
    }

    // Arrivals and departures. Every container is told, whatever another one's providers throw; the first exception is then
    // thrown, and what was announced is nevertheless there, or gone.

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
            throw new IllegalArgumentException("an IOMMU provider needs the service properties " + Iommu.KIND + " and " + Iommu.TYPE);
        }
        enter();
        try {
            IommuProvider provider = new IommuProvider(iommu, kind, List.copyOf(types), label, ranking);
            rank(provider);
            Cleanup steps = new Cleanup();
            steps.take(this::listen);
            tell(steps, container -> container.iommuArrived(provider));
            steps.end();
        } finally {
            leave();
        }
    }

    /** An IOMMU type has another ranking: for whoever chooses one from now on. No container moves. */
    public void rankIommu(Iommu iommu, int ranking) {
        enter();
        try {
            for (IommuProvider known : List.copyOf(iommus)) {
                if (known.iommu() == iommu && known.ranking() != ranking) {
                    // The new entry is there before the old one goes: readers without the lock find the type at any time.
                    rank(new IommuProvider(iommu, known.kind(), known.types(), known.label(), ranking));
                    iommus.remove(known);
                }
            }
        } finally {
            leave();
        }
    }

    private void rank(IommuProvider provider) {
        int place = 0;
        while (place < iommus.size() && iommus.get(place).ranking() >= provider.ranking()) {
            place++;
        }
        iommus.add(place, provider);
    }

    /** An IOMMU type is about to go: its containers are blocked, their ledgers kept; they turn to another of its kind if there is one. */
    public void removeIommu(Iommu iommu) {
        enter();
        try {
            iommus.removeIf(provider -> provider.iommu() == iommu);
            Cleanup steps = new Cleanup();
            tell(steps, container -> container.iommuLeaving(iommu));
            iommus.forEach(provider -> tell(steps, container -> container.iommuArrived(provider)));
            steps.take(this::listen);
            steps.end();
        } finally {
            leave();
        }
    }

    /** As the other, called an interrupt controller. */
    public void addController(InterruptController controller) {
        addController(controller, "interrupt controller");
    }

    /**
     * An interrupt controller is there: interrupts that wait for one are routed again, and containers that could not be restored
     * for lack of its banks are. A second one is kept for later.
     *
     * @param label what reports call it
     */
    public void addController(InterruptController controller, String label) {
        enter();
        try {
            controllers.add(new Controller(controller, label));
            if (controller() == controller) {
                Cleanup steps = new Cleanup();
                steps.take(this::listen);
                steps.take(this::followVectors);
                tell(steps, container -> container.controllerArrived(controller));
                iommus.forEach(provider -> tell(steps, container -> container.iommuArrived(provider)));
                steps.end();
            }
        } finally {
            leave();
        }
    }

    /**
     * An interrupt controller is about to go: every container's devices are held back, what they have sent is served, then its vectors are
     * given back; what they were for is kept.
     */
    public void removeController(InterruptController controller) {
        enter();
        try {
            boolean acting = controller() == controller;
            Cleanup steps = new Cleanup();
            boolean served = true;
            if (acting) {
                tell(steps, VfioContainer::controllerQuiesce);
                served = served();
            }
            boolean all = served;
            String label = controllerLabel();
            controllers.removeIf(known -> known.controller() == controller);
            if (acting) {
                steps.take(this::followVectors);
                tell(steps, container -> container.controllerLeaving(label, all));
                steps.take(this::listen);
                InterruptController next = controller();
                if (next != null) {
                    tell(steps, container -> container.controllerArrived(next));
                }
                steps.end();
            }
        } finally {
            leave();
        }
    }

    /** A strategy is there, or has another ranking: containers that have none look again. */
    public void addStrategy(MsiStrategy strategy, int ranking) {
        enter();
        try {
            if (strategies.contains(new RankedStrategy(strategy, ranking))) {
                return;
            }
            List<RankedStrategy> next = new ArrayList<>(strategies);
            next.removeIf(ranked -> ranked.strategy() == strategy);
            next.add(new RankedStrategy(strategy, ranking));
            next.sort(Comparator.comparingInt(RankedStrategy::ranking).reversed());
            strategies = List.copyOf(next);
            Cleanup steps = new Cleanup();
            tell(steps, VfioContainer::strategyArrived);
            steps.end();
        } finally {
            leave();
        }
    }

    /** A strategy is about to go: its containers turn to another, or go without. */
    public void removeStrategy(MsiStrategy strategy) {
        enter();
        try {
            strategies = strategies.stream().filter(ranked -> ranked.strategy() != strategy).toList();
            Cleanup steps = new Cleanup();
            tell(steps, container -> container.strategyLeaving(strategy));
            steps.end();
        } finally {
            leave();
        }
    }

    /**
     * A device is there, perhaps in a group that is in use.
     *
     * @throws ErrnoException EEXIST if there is a device of that name; EINVAL if its group is in a container whose IOMMU cannot
     *     attach it, EPERM if firmware wants memory mapped for it that it cannot do without: the device then stays blocked and is not in
     *     the group
     */
    public void addFunction(PciFunction function) {
        boolean relaxed = new RelaxableClasses(settings.relaxableClasses()).include(RelaxableClasses.classCode(function));
        VfioContainer container = enterWithOwner(function);
        try {
            int number = function.requester().group();
            VfioGroup group = groups.getOrDefault(number, new VfioGroup(number, this));
            group.add(function, relaxed);
            if (container != null) {
                try {
                    container.requestersChanged();
                } catch (Throwable e) {
                    group.remove(function);
                    throw e;
                }
            }
            groups.put(number, group);
        } finally {
            leaveWithOwner(container);
        }
    }

    /** A device is about to go: its user is told, it is closed, and blocked unless others share its requester id. */
    public void removeFunction(PciFunction function) {
        Cleanup steps = new Cleanup();
        List<Runnable> left = new ArrayList<>();
        VfioContainer container = enterWithOwner(function);
        try {
            VfioGroup group = groups.get(function.requester().group());
            if (group == null) {
                return;
            }
            steps.take(() -> left.add(group.remove(function)));
            if (container != null) {
                steps.take(container::requestersChanged);
            }
            forgetEmptyGroups();
        } finally {
            leaveWithOwner(container);
        }
        // The device model is waited for with no lock held.
        left.forEach(steps::take);
        steps.end();
    }

    /**
     * Takes the topology lock, and that of the container which the device's group is in; waits for the second without the first, because a
     * provider may hang in a call of that container's user.
     *
     * @return the container; null if the group is in none
     */
    private VfioContainer enterWithOwner(PciFunction function) {
        while (true) {
            enter();
            VfioGroup group = groups.get(function.requester().group());
            VfioContainer owner = group == null ? null : group.owner();
            if (owner == null || owner.tryEnter()) {
                return owner;
            }
            leave();
            owner.enter();
            owner.leave();
        }
    }

    private void leaveWithOwner(VfioContainer owner) {
        try {
            if (owner != null) {
                owner.leave();
            }
        } finally {
            leave();
        }
    }

    @Override
    public List<Group> groups() {
        enter();
        try {
            return List.copyOf(groups.values());
        } finally {
            leave();
        }
    }

    @Override
    public Group group(int number) {
        enter();
        try {
            VfioGroup group = groups.get(number);
            if (group == null) {
                throw new ErrnoException(Errno.ENOENT, "there is no group %d; there are %s", number, groups.keySet());
            }
            return group;
        } finally {
            leave();
        }
    }

    @Override
    public Group groupOf(String device) {
        enter();
        try {
            return groups.values().stream().filter(group -> group.devices().contains(device)).findFirst()
                .orElseThrow(() -> new ErrnoException(Errno.ENODEV, "no group holds a device %s", device));
        } finally {
            leave();
        }
    }

    @Override
    public List<String> iommuTypes() {
        return iommus.stream().flatMap(provider -> provider.types().stream()).distinct().toList();
    }

    @Override
    public Container openContainer(String name) {
        enter();
        try {
            if (containers.stream().anyMatch(container -> container.name().equals(name))) {
                throw new ErrnoException(Errno.EEXIST, "a container %s is open; close it or choose another name", name);
            }
            VfioContainer container = new VfioContainer(this, name);
            containers.add(container);
            return container;
        } finally {
            leave();
        }
    }

    @Override
    public List<Container> containers() {
        return List.copyOf(containers);
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
        // Those that no wire has announced: the hardware may have none, or there is no interrupt controller.
        iommus.forEach(provider -> provider.iommu().violations().forEach(violations::add));
        return violations.latest();
    }

    @Override
    public List<Swap> swaps() {
        return swaps.latest();
    }

    @Override
    public void notReplaced(Swap.Backend backend, Set<String> types, String cause) {
        enter();
        try {
            Cleanup steps = new Cleanup();
            tell(steps, container -> container.notReplaced(backend, types, cause));
            steps.end();
        } finally {
            leave();
        }
    }

    /** Somebody wants to be told of swaps. */
    public void addSwapListener(SwapListener listener) {
        swapListeners.add(listener);
    }

    /** Somebody does not want to be told any more. */
    public void removeSwapListener(SwapListener listener) {
        swapListeners.remove(listener);
    }

    /** Closes every container. */
    @Override
    public void close() {
        Cleanup steps = new Cleanup();
        // Each by itself, so that no lock is held while their device models are waited for.
        tell(steps, VfioContainer::close);
        enter();
        try {
            violationWires.forEach(wire -> steps.take(wire::close));
            violationWires.clear();
            steps.take(freeVectors::close);
            steps.take(faultSubscription::close);
        } finally {
            leave();
        }
        steps.end();
    }

    Machine machine() {
        return machine;
    }

    ContainerLimits settings() {
        return settings;
    }

    /** Takes the topology lock. */
    void enter() {
        topology.lock();
    }

    /** Lets the topology lock go; swaps that ended meanwhile are announced by who holds it no more. */
    void leave() {
        topology.unlock();
        announce();
    }

    /** The last lock: which bank a container takes a vector of or makes reachable is decided by one at a time. */
    Object vectors() {
        return vectors;
    }

    List<IommuProvider> iommus() {
        return iommus;
    }

    List<MsiStrategy> strategies() {
        return strategies.stream().map(RankedStrategy::strategy).toList();
    }

    /** {@return the strategies in the order they are considered} */
    List<RankedStrategy> rankedStrategies() {
        return strategies;
    }

    /** {@return the interrupt controller; null while there is none} */
    InterruptController controller() {
        for (Controller first : controllers) {
            return first.controller();
        }
        return null;
    }

    /** {@return what reports call the interrupt controller; empty while there is none} */
    String controllerLabel() {
        for (Controller first : controllers) {
            return first.label();
        }
        return "";
    }

    /** {@return whether the cores have served everything that was asserted, after a while at most} */
    boolean served() {
        return machine.cpus().stream().allMatch(cpu -> cpu.rest(SERVING_NANOS));
    }

    ProviderCalls patience() {
        return patience;
    }

    /** A swap has ended, or an attempt has failed: to be announced when the container's lock is free. */
    void report(Swap swap) {
        swaps.add(swap);
        unannounced.add(swap);
    }

    /**
     * Tells the listeners of what has been reported, unless this thread holds the topology lock: then it does when it lets that go. The caller
     * holds no container's lock. A listener may so take as long as it likes, and ask whatever it likes of whomever.
     */
    void announce() {
        if (topology.isHeldByCurrentThread()) {
            return;
        }
        for (Swap swap = unannounced.poll(); swap != null; swap = unannounced.poll()) {
            for (SwapListener listener : swapListeners) {
                try {
                    listener.swapped(swap);
                } catch (Throwable e) {
                    // The swap has ended as it has, whatever a listener says, and whatever kind of thing it throws.
                    System.getLogger(VfioService.class.getName()).log(System.Logger.Level.WARNING,
                        "a listener of swaps failed (" + listener.getClass().getName() + ")", e);
                }
            }
        }
    }

    /** A call that hung in a provider has returned: its container hears what it has missed, and is restored if that is possible. */
    void catchUp(VfioContainer container) {
        enter();
        try {
            container.missedNews();
            iommus.forEach(container::iommuArrived);
        } finally {
            leave();
        }
    }

    /** A bank is not within a container's reach any more: it may be what isolation kept another one's routes from. */
    void bankFree() {
        if (containers.stream().anyMatch(container -> container.interrupts().isolated())) {
            vectorFree();
        }
    }

    /**
     * A vector has become free, or the use of a bank: who waits for one is routed, on a thread of its own, as this may be called inside an
     * interrupt handler, and with any lock held. It cannot be missed: a route waits from before it asks the controller until it has a vector.
     */
    void vectorFree() {
        for (VfioContainer container : containers) {
            if (container.interrupts().waiting() > 0) {
                if (freed.getAndIncrement() == 0) {
                    seeToWaiting();
                }
                return;
            }
        }
    }

    private void seeToWaiting() {
        Thread thread = new Thread(() -> {
            int seen;
            do {
                seen = freed.get();
                for (VfioContainer container : containers) {
                    if (!routeWaiting(container)) {
                        freed.getAndIncrement();
                    }
                }
            } while (freed.addAndGet(-seen) != 0);
        }, "vfio.container: a free vector");
        thread.setDaemon(true);
        try {
            thread.start();
        } catch (Throwable e) {
            // The next one that becomes free tries again.
            freed.set(0);
            throw e;
        }
    }

    /** {@return false if that has to be tried again} */
    private static boolean routeWaiting(VfioContainer container) {
        try {
            return container.vectorFree();
        } catch (RuntimeException | Error e) {
            System.getLogger(VfioService.class.getName()).log(System.Logger.Level.WARNING, container
                + " could not be given a vector that has become free", e);
            return true;
        }
    }

    List<VfioContainer> open() {
        return containers;
    }

    void closed(VfioContainer container) {
        containers.remove(container);
        forgetEmptyGroups();
    }

    /** A group is there while it has devices, or is in a container. The caller holds the topology lock. */
    void forgetEmptyGroups() {
        groups.values().removeIf(group -> group.owner() == null && group.devices().isEmpty());
    }

    private void tell(Cleanup steps, Consumer<VfioContainer> news) {
        containers.forEach(container -> steps.take(() -> news.accept(container)));
    }

    /** Hears of free vectors from the controller that acts, and from no other. */
    private void followVectors() {
        freeVectors.close();
        freeVectors = () -> {
        };
        InterruptController controller = controller();
        if (controller != null) {
            freeVectors = controller.doorbells().onFree(this::vectorFree);
        }
    }

    /** Violations reach us by interrupt where IOMMU and interrupt controller are both there: this is who introduces them. */
    private void listen() {
        Cleanup steps = new Cleanup();
        violationWires.forEach(wire -> steps.take(wire::close));
        violationWires.clear();
        InterruptController controller = controller();
        if (controller != null) {
            for (IommuProvider provider : iommus) {
                for (Wire wire : provider.iommu().violationWires()) {
                    steps.take(() -> violationWires.add(
                        controller.request(wire, () -> provider.iommu().violations().forEach(violations::add))));
                }
            }
        }
        steps.end();
    }
}
