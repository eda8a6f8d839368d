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
        Object kind = switch (context.getBundle().getHeaders("").get("X-Misbehave")) {
            case "number" -> 7;
            case "another kind" -> "umap";
            case "no domain" -> "pamu";
            default -> null;
        };
        if (kind != null) {
            context.registerService(Iommu.class, new NoIommu(),
                new Hashtable<>(Map.of(Iommu.KIND, kind, Iommu.TYPE, kind)));
        }
    }

    @Override
    public void stop(BundleContext context) {
        Misbehaviour.at("stop");
    }
}
