// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.time.Duration;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.FrameworkEvent;
import org.osgi.framework.Version;
import org.osgi.framework.wiring.FrameworkWiring;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.api.swap.Swaps;

/**
 * One attempt to replace a backend's bundle with a candidate, and the way back if any step fails. One thread; used
 * once.
 */
final class Course {
    private static final long SHORTEST_GRACE_MILLIS = 100;
    private static final long MESSAGES_GRACE_MILLIS = 1_000;
    private static final long GLANCE_MILLIS = 2;
    private static final String SPARE = "vfio.shell:spare:";

    private final BundleContext context;
    private final Workbench bench;
    private final Bundle bundle;
    private final Candidate next;
    private final Candidate old;
    private final String label;
    private final boolean started;
    private final long limitMillis;
    private final Watch watch;
    private final Components components;
    private final Swaps swaps;
    private final List<Swap> before;
    private final List<String> notes = new ArrayList<>();
    /** The offers required after the swap. */
    private final Set<Offer> wanted = new LinkedHashSet<>();
    /** Whether there have to be MSI strategies among it. */
    private boolean strategies;
    /** The offers that containers may use. */
    private final Set<Offer> known = new LinkedHashSet<>();
    /** The containers that worked before, each with its number of MSIs. */
    private final Map<Container, Integer> working = new LinkedHashMap<>();
    private Watch.Hung hung;
    /** Whether it is on the way back. */
    private boolean returning;
    /** Whether the bundle's content was replaced. */
    private boolean touched;

    /** The result. */
    record Outcome(List<Swap> reports, List<String> notes) {
    }

    /**
     * @param next what is to take the bundle's place
     * @param old what the bundle is made of now
     * @param limitMillis how long the bundle's code may take to start or to stop
     */
    Course(BundleContext context, Workbench bench, Bundle bundle, Candidate next, Candidate old, long limitMillis) {
        this.context = context;
        this.bench = bench;
        this.bundle = bundle;
        this.next = next;
        this.old = old;
        this.label = Offer.name(bundle) + ' ' + bundle.getVersion();
        this.started = bundle.getState() == Bundle.ACTIVE || bundle.getState() == Bundle.STARTING;
        this.limitMillis = limitMillis;
        this.components = new Components(context);
        this.watch = new Watch(limitMillis, this::motion);
        this.swaps = bench.vfio().as(Swaps.class);
        this.before = swaps.latest();
    }

    /**
     * {@return the state whose changes count as progress; a container's wait for a provider has a bound of its own, so
     * it counts as progress, too}
     */
    private Object motion() {
        List<Object> motion = new ArrayList<>();
        for (Container container : bench.vfio().containers()) {
            ContainerState state = container.state();
            motion.add(state == ContainerState.QUIESCING || state == ContainerState.RESTORING ? new Object() : state);
        }
        List<Swap> latest = swaps.latest();
        motion.add(latest.isEmpty() ? "" : latest.get(latest.size() - 1));
        return motion;
    }

    /**
     * Goes there, or there and back.
     *
     * @throws ErrnoException EINVAL with the cause if it has failed and all is as it was; ETIMEDOUT if the newcomer, or
     *     the old one when it was stopped, hung; EIO with both causes if the old one could not come back, either
     */
    Outcome run() throws InterruptedException {
        look();
        String cause = there();
        if (cause.isEmpty()) {
            bench.offered(bundle, known(bundle));
            return new Outcome(fresh(), notes());
        }
        Errno errno = hung == null ? Errno.EINVAL : Errno.ETIMEDOUT;
        String failure = String.format("%s did not take the place of %s: %s", next.name(), label, cause);
        returning = true;
        String again = back();
        if (!again.isEmpty()) {
            errno = Errno.EIO;
            failure += String.format("; nor could %s come back: %s", label, again);
        }
        tell(bench, known, failure);
        throw new ErrnoException(errno, "%s%s", failure, again.isEmpty() ? started ? "; the old one is at work again"
            : "; the old one is there again, and stopped as it was" : "");
    }

    /** Has every container that uses one of these, or waits for one, say why it was not replaced. */
    static void tell(Workbench bench, Set<Offer> offers, String failure) {
        offers.stream()
            .map(offer -> offer.backend() == Swap.Backend.IOMMU ? offer : new Offer(offer.backend(), "", Set.of()))
            .distinct()
            .forEach(offer -> bench.vfio().as(Swaps.class).notReplaced(offer.backend(), offer.types(), failure));
    }

    /** {@return what a bundle offers, or says it does when it is at work} */
    static Set<Offer> known(Bundle bundle) {
        Set<Offer> known = new LinkedHashSet<>(Offer.of(bundle));
        known.addAll(Offer.declared(bundle));
        return known;
    }

    private void look() {
        known.addAll(bench.offered(bundle, known(bundle)));
        Set<Offer> now = Offer.of(bundle);
        strategies = now.stream().anyMatch(one -> one.backend() == Swap.Backend.STRATEGY);
        Set<String> used = bench.vfio().containers().stream().filter(one -> one.state() == ContainerState.ACTIVE)
            .flatMap(one -> bounded(() -> one.extension(Msis.class).flatMap(Msis::strategy),
                Optional.<String>empty()).stream())
            .collect(Collectors.toSet());
        for (Offer one : now.isEmpty() ? known : now) {
            boolean due = switch (one.backend()) {
                // A stopped one is due if somebody waits for it; what is at work and offers nothing has no hardware
                // here.
                case IOMMU -> !now.isEmpty() || bench.vfio().containers().stream()
                    .anyMatch(container -> blocked(container) && uses(container, one));
                case CONTROLLER -> !now.isEmpty() || !started && bench.doorbells().isEmpty();
                case STRATEGY -> used.contains(one.kind());
            };
            if (due) {
                wanted.add(one);
            }
        }
        bench.vfio().containers().stream().filter(one -> one.state() == ContainerState.ACTIVE)
            .forEach(one -> working.put(one, routes(one)));
    }

    /** {@return what was in the way; empty if the candidate is at work} */
    private String there() {
        try {
            String trouble = stop();
            if (!trouble.isEmpty()) {
                return trouble;
            }
            replace(next);
            watch.run("starting " + next.name(), () -> bundle.start(Bundle.START_TRANSIENT));
            trouble = verdict(bundle);
            if (trouble.isEmpty() && !started) {
                // A user who replaces a stopped bundle wants it to run, after the framework's next start, too. Not
                // before it works:
                // what is to be started the framework may start at any moment.
                bundle.start();
            }
            return trouble;
        } catch (Watch.Hung e) {
            hung = e;
            return e.getMessage();
        } catch (Exception e) {
            return Causes.line(e);
        }
    }

    /** {@return why it cannot be stopped; empty if it is} */
    private String stop() throws Exception {
        try {
            watch.run("stopping " + label, () -> bundle.stop(Bundle.STOP_TRANSIENT));
        } catch (BundleException e) {
            if (bundle.getState() != Bundle.RESOLVED && bundle.getState() != Bundle.INSTALLED) {
                return "it cannot be stopped: " + Causes.line(e);
            }
            notes.add(label + " threw when it was stopped: " + Causes.line(e));
        }
        return "";
    }

    private void replace(Candidate by) throws Exception {
        touched = true;
        bundle.update(by.content());
        refresh();
    }

    /** {@return what keeps the old one from being at work again; empty if it is} */
    private String back() throws InterruptedException {
        if (hung != null && !hung.end().isDone()) {
            return beside();
        }
        try {
            String trouble = stop();
            if (!trouble.isEmpty()) {
                return trouble;
            }
            replace(old);
            if (!started) {
                return "";
            }
            watch.run("starting " + label, () -> bundle.start(Bundle.START_TRANSIENT));
            return verdict(bundle);
        } catch (Watch.Hung e) {
            hung = e;
            return beside();
        } catch (Exception e) {
            return Causes.line(e);
        }
    }

    /**
     * Puts the old one beside what hangs: the framework lets nobody else touch a bundle while it is being started or
     * stopped. What hangs loses what it holds of the machine, and is uninstalled when it does not hang any more.
     */
    private String beside() throws InterruptedException {
        bench.hung(bundle);
        if (!touched && started && missing(bundle).isEmpty() && working.keySet().stream().noneMatch(Course::blocked)) {
            // It hangs before it has let anything go: it is at work still, and has to be again when it has stopped
            // after all.
            afterwards(() -> {
                bundle.start(Bundle.START_TRANSIENT);
                bench.returned(bundle);
            });
            return "";
        }
        if (!started) {
            afterwards(bundle::uninstall);
            return "";
        }
        String trouble = "";
        try {
            watch.run("switching off the components of " + label, () -> components.disable(bundle));
        } catch (Exception e) {
            // What it holds may be what the old one needs.
            trouble = "; " + Causes.line(e);
        }
        Bundle spare;
        try {
            // What is installed at a place already would be given back, and it may be the very bundle that hangs.
            int number = 1;
            while (context.getBundle(SPARE + number) != null) {
                number++;
            }
            Version version = bundle.getVersion();
            String qualifier = version.getQualifier().replaceAll("-?again[0-9]+$", "");
            spare = context.installBundle(SPARE + number,
                old.content(new Version(version.getMajor(), version.getMinor(), version.getMicro(),
                qualifier + (qualifier.isEmpty() ? "" : "-") + "again" + number)));
        } catch (BundleException e) {
            afterwards(bundle::uninstall);
            return Causes.line(e) + trouble;
        }
        afterwards(() -> {
            bundle.uninstall();
            if (spare.getState() == Bundle.ACTIVE && !missing(spare).isEmpty()) {
                // It stood on hardware of the other's, or could not have it.
                spare.stop(Bundle.STOP_TRANSIENT);
                spare.start(Bundle.START_TRANSIENT);
            }
        });
        try {
            watch.run("starting " + spare, spare::start);
            String verdict = verdict(spare);
            return verdict.isEmpty() ? "" : verdict + trouble;
        } catch (Watch.Hung e) {
            bench.hung(spare);
            return e.getMessage() + trouble;
        } catch (Exception e) {
            return Causes.line(e) + trouble;
        }
    }

    /** When what hangs has returned, on a thread of its own: it may hang again. */
    @SuppressWarnings("FutureReturnValueIgnored")
    private void afterwards(Watch.Step step) {
        hung.end().whenCompleteAsync((nothing, thrown) -> {
            try {
                step.run();
            } catch (Exception e) {
                System.getLogger(Course.class.getName()).log(System.Logger.Level.WARNING, "after " + bundle + " hung",
                    e);
            }
        }, work -> {
            Thread thread = new Thread(work, "vfio.shell: after " + bundle + " hung");
            thread.setDaemon(true);
            thread.start();
        });
    }

    /** {@return what is not as it has to be when a bundle has started; empty if containers work on it} */
    private String verdict(Bundle now) throws InterruptedException {
        long grace = TimeUnit.MILLISECONDS.toNanos(graceMillis());
        long begin = System.nanoTime();
        Set<Offer> missing = missing(now);
        while (!missing.isEmpty()) {
            String failure = components.failure(now);
            if (!failure.isEmpty()) {
                return failure;
            }
            if (System.nanoTime() - begin > grace) {
                String waiting = components.waiting(now, (now == bundle && !returning ? next : old).components());
                return "it offers no " + missing.stream().map(Offer::text).collect(Collectors.joining(", no "))
                    + offered(now)
                    + (waiting.isEmpty() ? "" : ": " + waiting);
            }
            Thread.sleep(GLANCE_MILLIS);
            missing = missing(now);
        }
        for (Map.Entry<Container, Integer> one : working.entrySet()) {
            String trouble = await(one.getKey(), one.getValue());
            if (!trouble.isEmpty()) {
                return trouble;
            }
        }
        return "";
    }

    private Set<Offer> missing(Bundle now) {
        Set<Offer> offers = Offer.of(now);
        Set<Offer> missing = new LinkedHashSet<>(wanted);
        missing.removeAll(offers);
        // Of strategies that nobody uses any will do, but none is what somebody may want next.
        if (strategies && offers.stream().noneMatch(one -> one.backend() == Swap.Backend.STRATEGY)) {
            missing.add(new Offer(Swap.Backend.STRATEGY, "", Set.of()));
        }
        return missing;
    }

    private static String offered(Bundle now) {
        Set<Offer> offers = Offer.of(now);
        return offers.isEmpty() ? "" : ", but " + offers.stream().map(Offer::text).collect(Collectors.joining(", "));
    }

    /** {@return why a container that worked does not work; empty if it does} */
    private String await(Container container, int routes) throws InterruptedException {
        long begin = System.nanoTime();
        while (true) {
            ContainerState state = container.state();
            if (state == ContainerState.CLOSED || state == ContainerState.UNSET) {
                return "";
            }
            boolean passes = state == ContainerState.ACTIVE;
            int have = passes ? routes(container) : 0;
            if (passes && (have >= routes || have < 0)) {
                return "";
            }
            long millis = TimeUnit.NANOSECONDS.toMillis(System.nanoTime() - begin);
            Swap last = last(container);
            if (state == ContainerState.BLOCKED && last != null && !last.done()) {
                return String.format("container %s is BLOCKED: %s", container.name(), last.failure());
            }
            if (millis > (passes ? MESSAGES_GRACE_MILLIS : limitMillis)) {
                return passes
                    ? String.format("container %s has %d of %d MSIs: %s", container.name(), have, routes,
                        container.reason())
                    : String.format("container %s is %s after %d ms: %s", container.name(), state, millis,
                        container.reason());
            }
            Thread.sleep(GLANCE_MILLIS);
        }
    }

    /** {@return the latest report of a container's IOMMU since this began; null if there is none} */
    private Swap last(Container container) {
        Swap last = null;
        for (Swap swap : fresh()) {
            if (swap.container().equals(container.name()) && swap.backend() == Swap.Backend.IOMMU) {
                last = swap;
            }
        }
        return last;
    }

    private List<Swap> fresh() {
        return swaps.latest().stream().filter(swap -> !before.contains(swap)).toList();
    }

    /** A newcomer has as long as devices wait, less what the way back takes. */
    private long graceMillis() {
        long shortest = bench.vfio().containers().stream().flatMap(one -> one.extension(Backends.class).stream())
            .map(Backends::stallBound).mapToLong(Duration::toMillis).min()
            .orElse(limitMillis);
        return Math.max(SHORTEST_GRACE_MILLIS, Math.min(shortest / 2, limitMillis));
    }

    /** {@return what a user should know besides the reports, when the candidate is at work} */
    private List<String> notes() throws InterruptedException {
        Set<Offer> offers = new LinkedHashSet<>(known);
        offers.addAll(known(bundle));
        List<Container> using = bench.vfio().containers().stream()
            .filter(one -> one.iommu().isPresent() && offers.stream().anyMatch(offer -> uses(one, offer))).toList();
        if (using.isEmpty()) {
            Set<Offer> now = Offer.of(bundle);
            notes.add(String.format("%s %s is at work and offers %s; no container uses it", Offer.name(bundle),
                bundle.getVersion(), now.isEmpty() ? "nothing on this machine"
                    : now.stream().map(Offer::text).collect(Collectors.joining(", "))));
        }
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(graceMillis());
        for (Container one : using) {
            while (troubled(one) && System.nanoTime() < end) {
                Thread.sleep(GLANCE_MILLIS);
            }
            if (troubled(one)) {
                notes.add(String.format("container %s does not work yet: it is %s: %s", one.name(), one.state(),
                    one.reason()));
            }
        }
        return notes;
    }

    private static boolean troubled(Container container) {
        return container.state() != ContainerState.CLOSED
            && (container.state() != ContainerState.ACTIVE || !container.reason().isEmpty());
    }

    private static boolean blocked(Container container) {
        return container.state() != ContainerState.ACTIVE && container.iommu().isPresent();
    }

    /** Whether a container may use what is offered. */
    private static boolean uses(Container container, Offer offer) {
        return offer.backend() != Swap.Backend.IOMMU || container.iommu().filter(offer.types()::contains).isPresent();
    }

    /** {@return how many MSIs it has; -1 if its lock cannot be had: a provider hangs in a call of its user} */
    private static int routes(Container container) {
        return bounded(() -> container.extension(Msis.class).map(msis -> msis.routes().size()).orElse(0), -1);
    }

    /** Asks a container what needs its lock. */
    private static <T> T bounded(Callable<T> question, T otherwise) {
        FutureTask<T> task = new FutureTask<>(question);
        Thread thread = new Thread(task, "vfio.shell: asking a container");
        thread.setDaemon(true);
        thread.start();
        try {
            return task.get(MESSAGES_GRACE_MILLIS, TimeUnit.MILLISECONDS);
        } catch (TimeoutException e) {
            return otherwise;
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return otherwise;
        } catch (ExecutionException e) {
            throw e.getCause() instanceof RuntimeException exception ? exception
                : new IllegalStateException(e.getCause());
        }
    }

    /** If others are still wired to the classes that were replaced, they are wired anew. */
    private void refresh() throws InterruptedException {
        FrameworkWiring wiring = context.getBundle(0).adapt(FrameworkWiring.class);
        if (wiring.getRemovalPendingBundles().contains(bundle)) {
            CountDownLatch done = new CountDownLatch(1);
            wiring.refreshBundles(List.of(bundle), event -> {
                if (event.getType() == FrameworkEvent.PACKAGES_REFRESHED) {
                    done.countDown();
                }
            });
            if (!done.await(limitMillis, TimeUnit.MILLISECONDS)) {
                throw new ErrnoException(Errno.ETIMEDOUT, "the bundles that import from it are not rewired after %d ms",
                limitMillis);
            }
        }
    }
}
