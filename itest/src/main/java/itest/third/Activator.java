// SPDX-License-Identifier: Apache-2.0
package itest.third;

import java.util.Hashtable;
import java.util.Map;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;
import vfio.api.msi.strategy.MsiStrategy;

/** Registers the strategy; the framework takes it back. */
public final class Activator implements BundleActivator {
    @Override
    public void start(BundleContext context) {
        context.registerService(MsiStrategy.class, new LowestStrategy(),
            new Hashtable<>(Map.of("msi.strategy", "lowest", "service.ranking", -100)));
    }

    @Override
    public void stop(BundleContext context) {
        // Services go with their bundle.
    }
}
