// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.util.Collection;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import java.util.zip.Deflater;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.BundleException;
import org.osgi.framework.Constants;
import org.osgi.framework.Version;
import org.osgi.framework.startlevel.FrameworkStartLevel;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import org.osgi.service.component.runtime.dto.ComponentDescriptionDTO;

/** A bundle that provides a service to containers, with the life-cycle changes that the soak makes. One thread. */
final class Backend {
    private static final String MANIFEST = "META-INF/MANIFEST.MF";

    private final BundleContext context;
    private final ServiceComponentRuntime components;
    private final Leaks leaks;
    private final Version version;
    private Bundle bundle;
    private int copies;

    Backend(BundleContext context, ServiceComponentRuntime components, Leaks leaks, Bundle bundle) {
        this.context = context;
        this.components = components;
        this.leaks = leaks;
        this.bundle = bundle;
        this.version = bundle.getVersion();
    }

    String name() {
        return bundle.getSymbolicName();
    }

    void stop() throws BundleException {
        bundle.stop();
    }

    void start() throws BundleException {
        bundle.start();
    }

    /** Another version takes the place of this one; its classes are loaded anew. Whether it runs stays as it is. */
    void update() throws BundleException, IOException {
        leaks.expectGone(bundle);
        bundle.update(next());
    }

    /** Takes it out of the framework and puts another version in. It has to be started. */
    void uninstall(Pause away) throws Exception {
        leaks.expectGone(bundle);
        InputStream next = next();
        String location = bundle.getLocation();
        awaitStartLevels();
        bundle.uninstall();
        try {
            away.run();
        } finally {
            bundle = context.installBundle(location, next);
        }
    }

    /**
     * A launcher may give each bundle that was installed or updated its start level, which the framework does later, on
     * a thread of its own, and that thread complains of a bundle that has gone by then. It takes one order after the
     * other: when it has done the latest, it has done those before.
     */
    private void awaitStartLevels() throws InterruptedException {
        FrameworkStartLevel level = context.getBundle(Constants.SYSTEM_BUNDLE_LOCATION)
            .adapt(FrameworkStartLevel.class);
        CountDownLatch done = new CountDownLatch(1);
        level.setStartLevel(level.getStartLevel(), event -> done.countDown());
        if (!done.await(Referee.PATIENCE_SECONDS, TimeUnit.SECONDS)) {
            throw new ErrnoException(Errno.ETIMEDOUT, "the framework has not set the start level of %s within %d s",
                name(), Referee.PATIENCE_SECONDS);
        }
    }

    /** {@return the names of its components} */
    List<String> components() {
        return descriptions().stream().map(one -> one.name).sorted().toList();
    }

    /** Switches one of its components off or on; when this returns that has happened. */
    void enable(String component, boolean enabled) throws InvocationTargetException, InterruptedException {
        ComponentDescriptionDTO description = descriptions().stream().filter(one -> one.name.equals(component))
            .findFirst().orElseThrow();
        Throwable failure = (enabled ? components.enableComponent(description)
            : components.disableComponent(description)).getFailure();
        if (failure != null) {
            throw new InvocationTargetException(failure);
        }
    }

    /** Puts back the version that was there at the beginning. */
    void original() throws BundleException, IOException {
        if (copies > 0) {
            leaks.expectGone(bundle);
            bundle.update(content(version));
        }
    }

    private Collection<ComponentDescriptionDTO> descriptions() {
        return components.getComponentDescriptionDTOs(bundle);
    }

    private InputStream next() throws IOException {
        return content(new Version(version.getMajor(), version.getMinor(), version.getMicro(), "soak" + ++copies));
    }

    /** {@return the bundle's content under another version} */
    private InputStream content(Version number) throws IOException {
        Manifest manifest;
        try (InputStream in = bundle.getEntry(MANIFEST).openStream()) {
            manifest = new Manifest(in);
        }
        manifest.getMainAttributes().putValue(Constants.BUNDLE_VERSION, number.toString());
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JarOutputStream jar = new JarOutputStream(bytes, manifest)) {
            jar.setLevel(Deflater.NO_COMPRESSION);
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

    /** The time for which something is away. */
    interface Pause {
        void run() throws Exception;
    }
}
