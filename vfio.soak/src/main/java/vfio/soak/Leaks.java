// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.lang.invoke.MethodHandle;
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

    /** A record with a component of a type that the JVM loads, and one of a type that this bundle loads. */
    private record Latest(WeakReference<?> platform, Leaks own) {
    }

    private final Set<Thread> before = threads();
    private final List<Revision> revisions = new ArrayList<>();

    /** The revision a bundle has now is about to be replaced. Any thread. */
    void expectGone(Bundle bundle) {
        BundleWiring wiring = bundle.adapt(BundleWiring.class);
        if (wiring != null) {
            expectGone(bundle.getSymbolicName(), wiring.getClassLoader());
        }
    }

    /** The class loader of a bundle is to be thrown away. Any thread. */
    synchronized void expectGone(String bundle, ClassLoader loader) {
        // Those that have gone are not needed any more: a soak may replace some every second of a day.
        revisions.removeIf(revision -> revision.loader.get() == null);
        revisions.add(new Revision(bundle, new WeakReference<>(loader)));
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
     * The JVM remembers what it has adapted the handles of a record's equals, hashCode and toString to most recently,
     * until memory is short: one type that the JVM loads, and, from JDK 19 on, one that a bundle loads. Let those be
     * ours.
     */
    private static void forget() {
        try {
            MethodHandles.Lookup lookup = MethodHandles.lookup();
            MethodHandle[] getters = {lookup.findGetter(Latest.class, "platform", WeakReference.class),
                lookup.findGetter(Latest.class, "own", Leaks.class)};
            make(lookup, "equals", MethodType.methodType(boolean.class, Latest.class, Object.class), getters);
            make(lookup, "hashCode", MethodType.methodType(int.class, Latest.class), getters);
            make(lookup, "toString", MethodType.methodType(String.class, Latest.class), getters);
        } catch (Throwable e) {
            throw new IllegalStateException("the JVM does not make the methods of " + Latest.class, e);
        }
    }

    private static void make(MethodHandles.Lookup lookup, String name, MethodType type, MethodHandle[] getters)
            throws Throwable {
        ObjectMethods.bootstrap(lookup, name, type, Latest.class, "platform;own", getters);
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
