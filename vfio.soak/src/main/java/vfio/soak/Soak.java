// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import iommu.api.Iommu;
import irq.api.InterruptController;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.TreeMap;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import org.osgi.service.cm.ConfigurationAdmin;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.Vfio;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.api.swap.SwapListener;

/**
 * One run: plugs devices, opens containers, starts the workers, swaps backends for the given time, compares everything
 * and cleans up. An {@link Overseer} watches it: there is a verdict even if a provider hangs, or if the user has had
 * enough.
 */
final class Soak {
    private static final int CONTAINERS = 2;
    /** The devices of each container, as far as there are places. */
    private static final List<String> ROLES = List.of("a copier", "a rogue device", "bursts", "a pin");
    private static final long GLANCE_MILLIS = 200;
    /** For how long devices go on when the last swap has ended. */
    private static final long AFTERWARDS_MILLIS = 300;
    private static final Set<String> SERVICES = Set.of(Iommu.class.getName(), InterruptController.class.getName(),
        MsiStrategy.class.getName());

    private final BundleContext context;
    private final Machine machine;
    private final Vfio vfio;
    private final ConfigurationAdmin configurations;
    private final ServiceComponentRuntime components;
    private final Settings settings;
    private final Progress progress;
    private final Referee referee = new Referee();
    private final SplittableRandom random;
    private final Leaks leaks = new Leaks();
    private final Overseer overseer = new Overseer(referee);

    // Written by the working thread, and read by the waiting one.
    private volatile String board = "nothing was set up";
    private volatile double ran;
    private volatile boolean ending;

    Soak(BundleContext context, Machine machine, Vfio vfio, ConfigurationAdmin configurations,
        ServiceComponentRuntime components,
            Settings settings, PrintStream out, boolean terminal) {
        this.context = context;
        this.machine = machine;
        this.vfio = vfio;
        this.configurations = configurations;
        this.components = components;
        this.settings = settings;
        this.progress = new Progress(out, terminal, settings);
        this.random = new SplittableRandom(settings.seed());
    }

    /**
     * Does it. An interrupt of the thread that calls is as {@link #end}.
     *
     * @throws ErrnoException if it cannot begin: ENODEV without an IOMMU, an interrupt controller or a strategy; ENOSPC
     *     if the machine has no places for devices; what VFIO throws
     */
    Verdict run() throws IOException, InvalidSyntaxException {
        overseer.phase("setting up", Referee.PATIENCE_SECONDS);
        try {
            return overseer.oversee(this::direct, this::end)
                .orElseGet(() -> new Verdict(settings, board, machine.warnings(), referee, ran,
                Optional.empty()));
        } catch (ExecutionException e) {
            throw failure(e.getCause());
        } finally {
            progress.end();
        }
    }

    /** Ends the swaps early; what was done until then is judged. Any thread. */
    void end() {
        ending = true;
    }

    /** {@return what ended the direction, as this thread may throw it; an error is thrown at once} */
    private static IOException failure(Throwable thrown) throws IOException, InvalidSyntaxException {
        if (thrown instanceof RuntimeException known) {
            throw known;
        } else if (thrown instanceof Error known) {
            throw known;
        } else if (thrown instanceof InvalidSyntaxException known) {
            throw known;
        }
        return thrown instanceof IOException known ? known
            : new IOException("the soak cannot begin: " + thrown.getMessage(), thrown);
    }

    /** All of it, on a thread of its own. */
    private Verdict direct() throws IOException, BundleException, InterruptedException, InvalidSyntaxException {
        String type = vfio.iommuTypes().stream().findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENODEV, "no IOMMU type is there; see vfio:machine"));
        List<Backend> iommus = backends(Iommu.class);
        List<Backend> others = new ArrayList<>(backends(InterruptController.class));
        others.addAll(backends(MsiStrategy.class));
        List<Backend> all = concat(iommus, others);
        boolean begun = false;
        try {
            long memory = untouched(all);
            ServiceRegistration<SwapListener> listening = context.registerService(SwapListener.class,
                referee.reports::add, null);
            try (Places places = new Places(machine, vfio, configurations)) {
                List<List<String>> sets = places.plug(CONTAINERS, ROLES.size());
                board = String.format("%s: %s, %s; swapped: %s", machine.model(), type, containers(sets),
                    all.stream().map(Backend::name).collect(Collectors.joining(", ")));
                begun = true;
                work(type, sets, iommus, others);
                overseer.phase("pulling the devices out", Referee.PATIENCE_SECONDS);
            } finally {
                listening.unregister();
            }
            overseer.phase("putting the original bundles back", 2 * Referee.PATIENCE_SECONDS);
            for (Backend backend : all) {
                backend.original();
            }
            long left = memory - untouched(all);
            if (left > 0) {
                referee.fail("0x%x bytes of the machine's memory were not given back", left);
            }
        } catch (BundleException | IOException | RuntimeException e) {
            if (!begun) {
                throw e;
            }
            // What was done so far is judged all the same.
            referee.fail("taking all away", e);
        }
        overseer.phase("looking for what was left behind", Referee.PATIENCE_SECONDS);
        progress.say("looking for what was left behind …");
        return new Verdict(settings, board, machine.warnings(), referee, ran, Optional.of(leaks.left()));
    }

    /**
     * Starts every backend anew. A driver may keep tables for as long as it runs, such as one per bus that it has met:
     * only what is free when all have just started can be compared.
     *
     * @return bytes of the machine's memory that are free then
     */
    private long untouched(List<Backend> backends) throws BundleException, InterruptedException {
        Map<String, Integer> before = providers();
        Set<String> working = working();
        for (Backend backend : backends) {
            backend.stop();
        }
        for (Backend backend : backends) {
            backend.start();
        }
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Referee.PATIENCE_SECONDS / 2);
        while (!providers().equals(before) || !working().containsAll(working)) {
            if (System.nanoTime() > deadline) {
                throw new ErrnoException(Errno.ETIMEDOUT,
                    "after a restart of %s the machine has %s within %d s, and not %s; see the log",
                    backends.stream().map(Backend::name).toList(), providers(), Referee.PATIENCE_SECONDS / 2, before);
            }
            Thread.sleep(1);
        }
        return machine.memory().available();
    }

    /** {@return how many services there are of each kind that is swapped} */
    private Map<String, Integer> providers() {
        Map<String, Integer> providers = new TreeMap<>();
        for (String service : SERVICES) {
            try {
                ServiceReference<?>[] references = context.getServiceReferences(service, null);
                providers.put(service, references == null ? 0 : references.length);
            } catch (InvalidSyntaxException e) {
                throw new IllegalStateException("no filter is always one", e);
            }
        }
        return providers;
    }

    /** {@return the containers that translate, by name: others than those of the soak} */
    private Set<String> working() {
        return vfio.containers().stream().filter(container -> container.state() == ContainerState.ACTIVE)
            .map(Container::name)
            .collect(Collectors.toSet());
    }

    private void work(String type, List<List<String>> sets, List<Backend> iommus, List<Backend> others)
        throws InterruptedException {
        List<Tenant> tenants = new ArrayList<>();
        List<Churner> churners = new ArrayList<>();
        Attachment faults = machine
            .onFault(fault -> tenants.stream().filter(tenant -> tenant.requesters().contains(fault.requester()))
            .forEach(tenant -> tenant.fault(fault)));
        try {
            for (List<String> devices : sets) {
                tenants.add(new Tenant(referee, vfio, machine.memory(), "soak " + (tenants.size() + 1), type, devices));
            }
            List<Worker> workers = new ArrayList<>();
            for (Tenant tenant : tenants) {
                employ(tenant, tenants, workers, churners);
            }
            List<Worker> swappers = new ArrayList<>(List.of(
                new IommuSwapper(tenants, iommus, context, kind(), type, referee, random.split()),
                new BundleSwapper("interrupts", tenants, others, referee, random.split()),
                new ContainerSwapper(tenants, vfio.iommuTypes(), referee, random.split())));
            workers.forEach(Worker::start);
            swappers.forEach(Worker::start);
            watch();
            progress.say("letting the last swap end …");
            overseer.phase("the end of swaps and work", 3 * Referee.PATIENCE_SECONDS);
            boolean ended = end(swappers);
            Thread.sleep(AFTERWARDS_MILLIS);
            if (!end(workers) || !ended) {
                // Whatever they wait for may hold what comparing takes.
                return;
            }
            progress.say("comparing all memory …");
            overseer.phase("comparing all memory", Referee.PATIENCE_SECONDS);
            for (Tenant tenant : tenants) {
                tenant.inspect();
                tenant.compareTables();
                compareReports(tenant, tenants.indexOf(tenant) == 0);
            }
        } finally {
            close(tenants, churners);
            faults.close();
        }
    }

    /** {@return how many there are, with how many devices, and what no container has a device for} */
    static String containers(List<List<String>> sets) {
        String sizes = sets.stream().map(set -> String.valueOf(set.size())).collect(Collectors.joining(" and "));
        List<String> missing = ROLES.subList(sets.stream().mapToInt(List::size).max().orElse(0), ROLES.size());
        return String.format("%d container%s with %s device%s%s", sets.size(), sets.size() == 1 ? "" : "s", sizes,
            sizes.equals("1") ? "" : "s", missing.isEmpty() ? "" : ", no place for " + String.join(", ", missing));
    }

    /** Puts everybody to work in one container, as far as there are devices. */
    private void employ(Tenant tenant, List<Tenant> all, List<Worker> workers, List<Churner> churners) {
        int[] mapped = IntStream.range(0, tenant.layout().steady()).map(i -> 2 * i).toArray();
        List<Device> devices = tenant.devices();
        String name = tenant.container().name();
        boolean bursts = devices.size() > 2;
        Device copying = devices.get(0);
        workers.add(new Copier(tenant, name, new EduDriver(copying), tenant.message(copying), referee, random.split(),
            Arrays.stream(mapped).filter(slot -> !bursts || slot / 2 % 2 == 0).toArray()));
        if (devices.size() > 1) {
            workers.add(new Roamer(tenant, all, name, new EduDriver(devices.get(1)), referee, random.split()));
        }
        if (bursts) {
            Device bursting = devices.get(2);
            workers.add(
                new Burster(tenant, name, new EduDriver(bursting), tenant.message(bursting), referee, random.split(),
                Arrays.stream(mapped).filter(slot -> slot / 2 % 2 == 1).toArray()));
        }
        if (devices.size() > 3) {
            Device pinned = devices.get(3);
            EduDriver driver = new EduDriver(pinned);
            tenant.pin(pinned).ifPresent(
                eventFd -> workers.add(new IntxWorker(tenant, pinned, driver, eventFd, referee, random.split())));
        }
        Churner churner = new Churner(tenant, machine.memory(), name, referee, random.split());
        churners.add(churner);
        workers.add(churner);
    }

    /** Waits until the time is over or the soak is ended early. */
    private void watch() throws InterruptedException {
        overseer.phase("swapping", settings.seconds() + Referee.PATIENCE_SECONDS);
        long begin = System.nanoTime();
        do {
            Thread.sleep(GLANCE_MILLIS);
            ran = (System.nanoTime() - begin) / 1e9;
            progress.show(referee, (int) ran);
        } while (ran < settings.seconds() && !ending);
    }

    /** Closes everything on a thread of its own: what hangs there is to be seen, not to be joined. */
    private void close(List<Tenant> tenants, List<Churner> churners) throws InterruptedException {
        overseer.phase("closing the containers", 2 * Referee.PATIENCE_SECONDS);
        Worker closing = new Worker("closing", referee, random.split()) {
            @Override
            void turn() {
                tenants.forEach(Tenant::close);
                churners.forEach(Churner::close);
                stop();
            }
        };
        closing.start();
        closing.join(System.nanoTime() + TimeUnit.SECONDS.toNanos(Referee.PATIENCE_SECONDS));
    }

    /** {@return whether all workers have stopped; one that has not is a failure} */
    private static boolean end(List<Worker> workers) throws InterruptedException {
        workers.forEach(Worker::stop);
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(Referee.PATIENCE_SECONDS);
        boolean ended = true;
        for (Worker worker : workers) {
            ended &= worker.join(deadline);
        }
        return ended;
    }

    /**
     * No access was refused for want of a backend without a report that says so, nor while it should have waited.
     *
     * @param sameBound whether the bound has been the same all the time
     */
    private void compareReports(Tenant tenant, boolean sameBound) {
        Reports.Refusals refusals = referee.reports.refusals(tenant.container().name());
        long reported = refusals.accesses();
        if (tenant.blocked() > reported) {
            referee.unexpectedFaults.add(tenant.blocked() - reported);
            referee.fail("container %s: %d accesses were refused BLOCKED, and the reports know of %d",
                tenant.container().name(), tenant.blocked(), reported);
        }
        if (sameBound && refusals.shortest() != null && refusals.shortest().blockedNanos() < tenant.bound().toNanos()) {
            referee.fail("accesses were refused before they had waited for %s: %s", tenant.bound(),
                refusals.shortest());
        }
    }

    private String kind() {
        return reference(Iommu.class).getProperty(Iommu.KIND).toString();
    }

    private <T> ServiceReference<T> reference(Class<T> service) {
        ServiceReference<T> reference = context.getServiceReference(service);
        if (reference == null) {
            throw new ErrnoException(Errno.ENODEV, "no %s is there; start a bundle that provides one",
                service.getSimpleName());
        }
        return reference;
    }

    /** {@return the bundles that provide such a service, without this one} */
    private List<Backend> backends(Class<?> service) throws InvalidSyntaxException {
        Set<Bundle> bundles = new LinkedHashSet<>();
        context.getServiceReferences(service, null).forEach(reference -> bundles.add(reference.getBundle()));
        reference(service);
        return bundles.stream().map(bundle -> new Backend(context, components, leaks, bundle)).toList();
    }

    private static List<Backend> concat(List<Backend> some, List<Backend> more) {
        List<Backend> all = new ArrayList<>(some);
        all.addAll(more);
        return all;
    }
}
