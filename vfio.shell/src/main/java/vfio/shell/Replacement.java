// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.FrameworkEvent;
import org.osgi.framework.wiring.FrameworkWiring;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Swap;

/** Replaces a bundle under containers that work, and waits until they work again. */
final class Replacement {
    private static final String MANIFEST = "META-INF/MANIFEST.MF";
    private static final long PATIENCE_SECONDS = 30;

    private final BundleContext context;
    private final Workbench bench;

    Replacement(BundleContext context, Workbench bench) {
        this.context = context;
        this.bench = bench;
    }

    /**
     * @param jar what takes its place; empty for a fresh copy of what is there
     * @return the reports of the swaps that this has caused
     * @throws ErrnoException ENOENT if there is no such bundle; EINVAL if the framework does not take the new one, or if it does not start:
     *     it stays as it is then, and can be replaced again; ETIMEDOUT, with its reason, if a container does not work again
     */
    List<Swap> run(String name, String jar) throws IOException, InterruptedException {
        Bundle bundle = Arrays.stream(context.getBundles()).filter(one -> name.equals(one.getSymbolicName())).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT, "there is neither a container nor a bundle %s; there are containers %s and backends %s", name,
                bench.vfio().containers().stream().map(Container::name).toList(), Offer.backends(context)));
        List<Swap> before = bench.vfio().swaps();
        Map<Container, Integer> working = new LinkedHashMap<>();
        bench.vfio().containers().stream().filter(one -> one.state() == ContainerState.ACTIVE)
            .forEach(one -> working.put(one, one.msiRoutes().size()));
        try (InputStream content = jar.isEmpty() ? copy(bundle) : Files.newInputStream(Path.of(jar))) {
            bundle.update(content);
            refresh(bundle);
        } catch (BundleException e) {
            throw new ErrnoException(Errno.EINVAL, e, "bundle %s: %s", name, e.getMessage());
        }
        for (Map.Entry<Container, Integer> one : working.entrySet()) {
            await(one.getKey(), one.getValue());
        }
        return bench.vfio().swaps().stream().filter(swap -> !before.contains(swap)).toList();
    }

    /** If others are still wired to the classes that were replaced, they are wired anew. */
    private void refresh(Bundle bundle) throws InterruptedException {
        FrameworkWiring wiring = context.getBundle(0).adapt(FrameworkWiring.class);
        if (wiring.getRemovalPendingBundles().contains(bundle)) {
            CountDownLatch done = new CountDownLatch(1);
            wiring.refreshBundles(List.of(bundle), event -> {
                if (event.getType() == FrameworkEvent.PACKAGES_REFRESHED) {
                    done.countDown();
                }
            });
            done.await(PATIENCE_SECONDS, TimeUnit.SECONDS);
        }
    }

    private static void await(Container container, int routes) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (container.state() != ContainerState.ACTIVE || container.msiRoutes().size() < routes) {
            if (System.nanoTime() > deadline) {
                throw new ErrnoException(Errno.ETIMEDOUT, "container %s is %s after %d s: %s", container.name(), container.state(),
                    PATIENCE_SECONDS, container.reason());
            }
            Thread.sleep(2);
        }
    }

    /** What a bundle is made of, as a jar: the place it was installed from need not be there any more. */
    private static InputStream copy(Bundle bundle) throws IOException {
        Manifest manifest;
        try (InputStream in = bundle.getEntry(MANIFEST).openStream()) {
            manifest = new Manifest(in);
        }
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JarOutputStream jar = new JarOutputStream(bytes, manifest)) {
            for (URL entry : Collections.list(bundle.findEntries("/", "*", true))) {
                String path = entry.getPath().substring(1);
                if (!path.endsWith("/") && !path.equals(MANIFEST)) {
                    jar.putNextEntry(new JarEntry(path));
                    try (InputStream in = entry.openStream()) {
                        in.transferTo(jar);
                    }
                }
            }
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }
}
