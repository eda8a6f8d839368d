// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import iommu.api.Iommu;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.concurrent.TimeUnit;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Constants;
import org.osgi.framework.InvalidSyntaxException;
import org.osgi.framework.ServiceReference;
import org.osgi.framework.ServiceRegistration;
import vfio.api.ContainerState;
import vfio.api.swap.Backends;

/**
 * The swapper of the IOMMU: its bundle is stopped, updated and replaced, and other providers of its kind take over: one
 * throws at its first call, the next at its second and so on through the contract; one at an early call of one method,
 * from any caller; one is late; one works, and vanishes.
 */
final class IommuSwapper extends BundleSwapper {
    private static final long LATEST_MILLIS = 150;
    private static final int EARLY_CALLS = 4;
    /** For how long a provider that waits for one call of users waits. */
    private static final long TRAP_MILLIS = 25;
    private static final FaultyIommu.Fault[] THROWN = {FaultyIommu.Fault.ERRNO, FaultyIommu.Fault.EXCEPTION,
        FaultyIommu.Fault.ERROR, FaultyIommu.Fault.ERROR_WHEN_DONE};

    private final BundleContext context;
    private final String kind;
    private final String type;
    private int next = 1;
    private int farthest;

    IommuSwapper(List<Tenant> tenants, List<Backend> backends, BundleContext context, String kind, String type,
        Referee referee,
            SplittableRandom random) {
        super("iommu", tenants, backends, referee, random);
        this.context = context;
        this.kind = kind;
        this.type = type;
    }

    @Override
    void turn() throws Exception {
        switch (random.nextInt(5)) {
            // Each call of the contract in turn: those of two takeovers, and of what users do in between.
            case 0 -> next = takeOver("throw", thrown(), "", next) ? next + 1 : 1;
            case 1 -> takeOver("throw", thrown(),
                FaultyIommu.OF_DOMAINS.get(random.nextInt(FaultyIommu.OF_DOMAINS.size())),
                1 + random.nextInt(EARLY_CALLS));
            case 2 -> takeOver(random.nextBoolean() ? "vanish" : "late", FaultyIommu.Fault.LATE, "",
            random.nextInt(Math.max(1, farthest)));
            default -> lifeCycle();
        }
        rest();
    }

    private FaultyIommu.Fault thrown() {
        return THROWN[random.nextInt(THROWN.length)];
    }

    /** {@return whether the call that was to fail has been made} */
    private boolean takeOver(String swap, FaultyIommu.Fault fault, String only, int at) throws Exception {
        ServiceReference<Iommu> reference = real();
        FaultyIommu newcomer = new FaultyIommu(context.getService(reference), fault, only,
            swap.equals("vanish") ? 0 : at, TimeUnit.MILLISECONDS.toNanos(random.nextLong(LATEST_MILLIS)));
        ServiceRegistration<Iommu> registration = context.registerService(Iommu.class, newcomer,
            new Hashtable<>(Map.of(Iommu.KIND, kind,
            Iommu.TYPE, reference.getProperty(Iommu.TYPE), Constants.SERVICE_RANKING, random.nextInt(-10, 10))));
        referee.swap(swap, String.format("%s, at call %d%s, %s", kind, at, only.isEmpty() ? "" : " of " + only, fault));
        try {
            int first = random.nextInt(tenants.size());
            for (int i = 0; i < tenants.size(); i++) {
                Tenant tenant = tenants.get((first + i) % tenants.size());
                try {
                    tenant.container().as(Backends.class).swap(type);
                } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
                    ContainerSwapper.expectNotNow(referee,
                        "swap of container " + tenant.container().name() + " to a provider that fails at call "
                        + at, e);
                }
                if (random.nextBoolean()) {
                    away();
                }
            }
            if (!only.isEmpty()) {
                Thread.sleep(TRAP_MILLIS);
            }
            await("ACTIVE", tenant -> tenant.container().state() == ContainerState.ACTIVE);
        } finally {
            registration.unregister();
            context.ungetService(reference);
        }
        settle();
        if (only.isEmpty()) {
            farthest = Math.max(farthest, newcomer.calls());
        }
        return newcomer.tripped() != null;
    }

    private ServiceReference<Iommu> real() throws InvalidSyntaxException {
        return context.getServiceReferences(Iommu.class, "(" + Iommu.KIND + "=" + kind + ")").iterator().next();
    }
}
