// SPDX-License-Identifier: Apache-2.0
package launcher;

import org.osgi.annotation.bundle.Header;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import picocli.CommandLine;

/**
 * Loads picocli on another processor while the framework starts the bundles after this one. {@link Cli} would load it
 * at the end, and that is a twentieth of a start.
 */
@Header(name = Constants.BUNDLE_ACTIVATOR, value = "${@class}")
public final class PicocliWarmup implements BundleActivator {
    private Thread loading;

    @Override
    public void start(BundleContext context) {
        loading = new Thread(() -> new CommandLine(new CommandLine.HelpCommand()).execute(), "picocli ahead");
        loading.start();
    }

    /** Waits for it: it must not look for classes of a bundle that has gone. */
    @Override
    public void stop(BundleContext context) throws InterruptedException {
        loading.join();
    }
}
