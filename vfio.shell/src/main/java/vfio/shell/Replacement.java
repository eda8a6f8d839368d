// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.io.IOException;
import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceReference;
import vfio.api.Container;
import vfio.api.Vfio;
import vfio.api.swap.Swaps;

/** Replaces a backend's bundle under containers that work; if that fails, the old one is put back. */
final class Replacement {
    private static final String TIMEOUT = "provider.timeout";
    private static final long TIMEOUT_MILLIS = 10_000;

    private final BundleContext context;
    private final Workbench bench;

    Replacement(BundleContext context, Workbench bench) {
        this.context = context;
        this.bench = bench;
    }

    /**
     * @param jar what takes its place; empty for a fresh copy of what is there
     * @throws ErrnoException ENOENT if there is no such bundle, or no such file; EOPNOTSUPP, with what would be lost,
     *     if the bundle is no backend; ENOTTY if this VFIO swaps nothing; EBUSY while another swap is under way, or
     *     the bundle's own code hangs; what {@link Candidate#check} and {@link Course#run} throw
     */
    Course.Outcome run(String name, String jar) throws IOException, InterruptedException {
        bench.vfio().as(Swaps.class);
        List<Bundle> named = Arrays.stream(context.getBundles()).filter(one -> name.equals(one.getSymbolicName()))
            .toList();
        if (!named.isEmpty() && named.stream().allMatch(bench::hangs)) {
            throw new ErrnoException(Errno.EBUSY,
                "bundle %s hangs in its own start or stop, and the framework lets nobody else touch it; "
                + "it is dealt with when it returns", name);
        }
        Bundle bundle = named.stream().filter(one -> !bench.hangs(one))
            .max(Comparator.comparing((Bundle one) -> !Offer.of(one).isEmpty())
                .thenComparing(one -> one.getState() == Bundle.ACTIVE))
            .orElseThrow(() -> new ErrnoException(Errno.ENOENT,
                "there is neither a container nor a bundle %s; there are containers %s and backends %s",
                name, bench.vfio().containers().stream().map(Container::name).toList(), Offer.backends(context)));
        if (bench.offered(bundle, Course.known(bundle)).isEmpty()) {
            throw new ErrnoException(Errno.EOPNOTSUPP,
                "bundle %s offers containers neither an IOMMU, nor an interrupt controller, nor MSI "
                + "strategies, and cannot be replaced under them. Lost would be %s. Backends are %s", name,
                Standing.lost(context, bench, bundle), Offer.backends(context));
        }
        if (!bench.swapping(true)) {
            throw new ErrnoException(Errno.EBUSY, "another swap is under way; wait for its end");
        }
        try {
            Candidate old = Candidate.copy(bundle);
            return new Course(context, bench, bundle, jar.isEmpty() ? old : checked(bundle, jar), old, timeoutMillis())
                .run();
        } finally {
            bench.swapping(false);
        }
    }

    /** Checks a jar before anything is touched; containers get the reason of a refusal all the same. */
    private Candidate checked(Bundle bundle, String jar) {
        try {
            Candidate candidate = Candidate.read(jar);
            candidate.check(context, bundle);
            return candidate;
        } catch (ErrnoException e) {
            String failure = String.format("%s did not take the place of %s %s: %s", jar, Offer.name(bundle),
                bundle.getVersion(), e.reason());
            Course.tell(bench, bench.offered(bundle, Course.known(bundle)), failure);
            throw new ErrnoException(e.errno(), e, "%s; nothing was touched", failure);
        }
    }

    /** {@return what VFIO allows a provider: the property of its service} */
    private long timeoutMillis() {
        ServiceReference<Vfio> vfio = context.getServiceReference(Vfio.class);
        return vfio != null && vfio.getProperty(TIMEOUT) instanceof Number millis && millis.longValue() > 0
            ? millis.longValue()
            : TIMEOUT_MILLIS;
    }
}
