// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.MethodType;
import java.lang.ref.WeakReference;
import java.lang.runtime.ObjectMethods;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.osgi.framework.Bundle;
import org.osgi.framework.wiring.BundleWiring;

/** The search for leaks: threads that did not exist at the beginning, class loaders of replaced bundle revisions. */
final class Leaks {
    private static final long PATIENCE_NANOS = TimeUnit.SECONDS.toNanos(10);
    private static final long GLANCE_MILLIS = 50;

    /**
     * What was found.
     *
     * @param threads that are alive and were not at the beginning, by name
     * @param loaders bundles of which class loaders are still reachable although their revisions were replaced, with
     *     how many
     */
    record Left(List<String> threads, Map<String, Integer> loaders) {
    }

    private record Revision(String bundle, WeakReference<ClassLoader> loader) {
    }

    private final Set<Thread> before = threads();
    private final List<Revision> revisions = new ArrayList<>();

    /** The revision a bundle has now is about to be replaced. Any thread. */
    synchronized void expectGone(Bundle bundle) {
        BundleWiring wiring = bundle.adapt(BundleWiring.class);
        if (wiring != null) {
            // Those that have gone are not needed any more: a soak may replace some every second of a day.
            revisions.removeIf(revision -> revision.loader.get() == null);
            revisions.add(new Revision(bundle.getSymbolicName(), new WeakReference<>(wiring.getClassLoader())));
        }
    }

    /** {@return what there is after all had time to end; the calling thread does not count} */
    Left left() throws InterruptedException {
        return new Left(threadsLeft(), loadersLeft());
    }

    private List<String> threadsLeft() throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        while (true) {
            Set<Thread> now = threads();
            now.removeAll(before);
            now.remove(Thread.currentThread());
            if (now.isEmpty() || System.nanoTime() > deadline) {
                return now.stream().map(Thread::getName).sorted().toList();
            }
            Thread.sleep(GLANCE_MILLIS);
        }
    }

    private Map<String, Integer> loadersLeft() throws InterruptedException {
        long deadline = System.nanoTime() + PATIENCE_NANOS;
        forget();
        while (true) {
            System.gc();
            Map<String, Integer> left = reachable();
            if (left.isEmpty() || System.nanoTime() > deadline) {
                return left;
            }
            Thread.sleep(GLANCE_MILLIS);
        }
    }

    private synchronized Map<String, Integer> reachable() {
        revisions.removeIf(revision -> revision.loader.get() == null);
        Map<String, Integer> left = new TreeMap<>();
        revisions.forEach(revision -> left.merge(revision.bundle, 1, Integer::sum));
        return left;
    }

    /**
     * The JVM remembers the type of the latest record whose equals it has made, in a cache of one entry: let that be
     * one of ours.
     */
    private static void forget() {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            ObjectMethods.bootstrap(lookup, "equals",
                MethodType.methodType(boolean.class, Revision.class, Object.class), Revision.class,
                "loader", lookup.findGetter(Revision.class, "loader", WeakReference.class));
            ObjectMethods.bootstrap(lookup, "hashCode", MethodType.methodType(int.class, Revision.class),
                Revision.class, "loader", lookup.findGetter(Revision.class, "loader", WeakReference.class));
            ObjectMethods.bootstrap(lookup, "toString", MethodType.methodType(String.class, Revision.class),
                Revision.class, "loader", lookup.findGetter(Revision.class, "loader", WeakReference.class));
        } catch (Throwable e) {
            throw new IllegalStateException("the JVM does not make an equals for " + Revision.class, e);
        }
    }

    /**
     * Without the JVM's own, and without the pools of the framework's resolver and of OSGi promises: their threads stay
     * for a while.
     */
    private static Set<Thread> threads() {
        Set<Thread> threads = new HashSet<>(Thread.getAllStackTraces().keySet());
        threads.removeIf(thread -> thread.getThreadGroup() == null || thread.getThreadGroup().getName().equals("system")
            || thread.getName().startsWith("PromiseFactory,") || thread.getName().startsWith("FelixResolver-"));
        return threads;
    }
}
