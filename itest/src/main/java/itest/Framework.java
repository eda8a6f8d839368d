// SPDX-License-Identifier: Apache-2.0
package itest;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.net.URL;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarFile;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import machine.api.MachineSource;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import org.osgi.framework.FrameworkUtil;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;
import org.osgi.util.tracker.ServiceTracker;

/** The framework's services and boards, as the tests use them. */
final class Framework {
    static final BundleContext CONTEXT = FrameworkUtil.getBundle(Framework.class).getBundleContext();
    /** For a machine that has nothing else to do. */
    private static final long UNHURRIED_SECONDS = 15;
    private static final double PATIENCE = Pace.of(CONTEXT.getProperty("gantry.patience"));
    private static final long PATIENCE_SECONDS = seconds(UNHURRIED_SECONDS);
    private static final Map<Class<?>, ServiceTracker<?, ?>> TRACKERS = new ConcurrentHashMap<>();

    private Framework() {
    }

    /** {@return that many seconds of an idle machine, on this one} */
    static long seconds(long unhurried) {
        return Math.round(unhurried * PATIENCE);
    }

    /** {@return the path of an example board} */
    static String board(String name) {
        return Path.of(CONTEXT.getProperty("gantry.boards"), name).toString();
    }

    /**
     * {@return the service; fails after a while if there is none. The tracker stays open: some services end with their
     * last user}
     */
    static <T> T service(Class<T> type) throws InterruptedException {
        ServiceTracker<?, ?> tracker = TRACKERS.computeIfAbsent(type, wanted -> {
            ServiceTracker<Object, Object> fresh = new ServiceTracker<>(CONTEXT, wanted.getName(), null);
            fresh.open();
            return fresh;
        });
        Object service = tracker.waitForService(TimeUnit.SECONDS.toMillis(PATIENCE_SECONDS));
        if (service == null) {
            throw new AssertionError("no service " + type.getName() + " within " + PATIENCE_SECONDS + " s");
        }
        return type.cast(service);
    }

    /** {@return the bundles that have registered such a service} */
    static List<Bundle> providers(Class<?> type) throws InvalidSyntaxException {
        return CONTEXT.getServiceReferences(type, null).stream().map(ServiceReference::getBundle).distinct().toList();
    }

    static boolean present(Class<?> type, String filter) throws InvalidSyntaxException {
        return CONTEXT.getServiceReferences(type, filter).stream().findAny().isPresent();
    }

    /** Whether there is a service of whatever type. */
    static boolean present(String filter) throws InvalidSyntaxException {
        return CONTEXT.getServiceReferences((String) null, filter) != null;
    }

    static Bundle bundle(String name) {
        return Arrays.stream(CONTEXT.getBundles()).filter(bundle -> name.equals(bundle.getSymbolicName())).findFirst()
            .orElseThrow(() -> new AssertionError("no bundle " + name));
    }

    /** {@return a bundle as it is, with another version} */
    static InputStream copy(Bundle bundle, String version) throws IOException {
        Manifest manifest;
        try (InputStream content = bundle.getEntry(JarFile.MANIFEST_NAME).openStream()) {
            manifest = new Manifest(content);
        }
        manifest.getMainAttributes().putValue(Constants.BUNDLE_VERSION, version);
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JarOutputStream jar = new JarOutputStream(bytes, manifest)) {
            for (URL entry : Collections.list(bundle.findEntries("/", "*", true))) {
                String name = entry.getPath().substring(1);
                if (!name.endsWith("/") && !name.equals(JarFile.MANIFEST_NAME)) {
                    jar.putNextEntry(new JarEntry(name));
                    try (InputStream content = entry.openStream()) {
                        content.transferTo(jar);
                    }
                }
            }
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }

    /** Bundles start one after the other, ours in the middle: waits for the rest. */
    static void awaitStart() throws Exception {
        for (String name : List.of("machine.osgi", "machine.fdt", "machine.acpi", "iommu.pamu", "iommu.vtd", "irq.mpic",
            "irq.apic",
                "device.edu", "vfio.container", "vfio.msi", "vfio.shell", "vfio.soak", "vfio.events", "vfio.health")) {
            await(name + " to be active", () -> bundle(name).getState() == Bundle.ACTIVE);
        }
        await("both machine sources", () -> CONTEXT.getServiceReferences(MachineSource.class, null).size() == 2);
    }

    static void await(String what, Pace.Condition condition) throws Exception {
        Pace.await(what, PATIENCE_SECONDS, condition);
    }
}
