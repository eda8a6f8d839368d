// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.Dictionary;
import java.util.List;
import java.util.Map;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.FrameworkUtil;
import org.osgi.framework.ServiceRegistration;
import org.osgi.framework.Version;
import org.osgi.service.log.Logger;

/** A framework as far as one component sees it: its bundle, what that has registered, and its log. */
public final class Registry {
    /** How the bundle is named where it holds something. */
    public static final String HOLDER = "a.bundle 1.2.3 (bundle 7)";

    /** A service that was registered. */
    public static final class Offer {
        public final Class<?> type;
        public final Object service;
        public Map<String, Object> properties;
        public boolean withdrawn;

        Offer(Class<?> type, Object service, Map<String, Object> properties) {
            this.type = type;
            this.service = service;
            this.properties = properties;
        }
    }

    public final List<Offer> offers = new ArrayList<>();
    /** What the component said: level, a colon, and the line. */
    public final List<String> lines = new ArrayList<>();
    /** A type whose registration is refused. */
    public Class<?> refused;
    /** Runs inside unregister, before the service is gone. */
    public Runnable inUnregister = () -> {
    };
    public final BundleContext context = proxy(BundleContext.class, (method, arguments) -> switch (method) {
        case "getBundle" -> bundle();
        case "registerService" -> register((Class<?>) arguments[0], arguments[1], (Dictionary<?, ?>) arguments[2]);
        default -> throw new AssertionError(method);
    });
    public final Logger log = proxy(Logger.class, (method, arguments) -> {
        lines.add(method + ": " + arguments[0]);
        return null;
    });

    /** {@return the services that are there} */
    public List<Offer> offered() {
        return offers.stream().filter(offer -> !offer.withdrawn).toList();
    }

    private static Bundle bundle() {
        return proxy(Bundle.class, (method, arguments) -> switch (method) {
            case "getSymbolicName" -> "a.bundle";
            case "getVersion" -> new Version(1, 2, 3);
            case "getBundleId" -> 7L;
            default -> throw new AssertionError(method);
        });
    }

    private ServiceRegistration<?> register(Class<?> type, Object service, Dictionary<?, ?> properties) {
        if (type == refused) {
            throw new IllegalStateException("the bundle is stopping");
        }
        Offer offer = new Offer(type, service, map(properties));
        offers.add(offer);
        return proxy(ServiceRegistration.class, (method, arguments) -> {
            switch (method) {
                case "unregister" -> {
                    inUnregister.run();
                    offer.withdrawn = true;
                }
                case "setProperties" -> offer.properties = map((Dictionary<?, ?>) arguments[0]);
                default -> throw new AssertionError(method);
            }
            return null;
        });
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> map(Dictionary<?, ?> properties) {
        return Map.copyOf(FrameworkUtil.asMap((Dictionary<String, Object>) properties));
    }

    private interface Answer {
        Object to(String method, Object[] arguments);
    }

    private static <T> T proxy(Class<T> type, Answer answer) {
        return type.cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type},
            (proxy, method, arguments) -> answer.to(method.getName(), arguments)));
    }
}
