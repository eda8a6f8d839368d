// SPDX-License-Identifier: Apache-2.0
package itest.bad;

import iommu.api.Iommu;
import java.util.Hashtable;
import java.util.Map;
import org.osgi.framework.BundleActivator;
import org.osgi.framework.BundleContext;

/** The activator of a bundle that misbehaves. */
public final class Activator implements BundleActivator {
    @Override
    public void start(BundleContext context) {
        Misbehaviour.at("start");
        if ("number".equals(context.getBundle().getHeaders("").get("X-Misbehave"))) {
            context.registerService(Iommu.class, new NoIommu(), new Hashtable<>(Map.of(Iommu.KIND, 7)));
        }
        if ("no domain".equals(context.getBundle().getHeaders("").get("X-Misbehave"))) {
            context.registerService(Iommu.class, new NoIommu(), new Hashtable<>(Map.of(Iommu.KIND, "pamu")));
        }
    }

    @Override
    public void stop(BundleContext context) {
        Misbehaviour.at("stop");
    }
}
