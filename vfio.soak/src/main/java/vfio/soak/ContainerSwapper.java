// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.time.Duration;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;
import java.util.SplittableRandom;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Container;
import vfio.api.msi.MsiChoice;
import vfio.api.swap.Backends;

/** The swapper of containers: moves one to another provider, unmap rule, MSI strategy or stall bound. */
final class ContainerSwapper extends Swapper {
    private static final List<Duration> BOUNDS = List.of(Duration.ZERO, Duration.ofMillis(20), Duration.ofSeconds(1));
    /**
     * Documented answers while a backend is away: it is away; there is none; without the controller MSIs would be
     * anybody's.
     */
    private static final Set<Errno> NOT_NOW = EnumSet.of(Errno.EAGAIN, Errno.ENODEV, Errno.EPERM);
    /** The same of a change of strategy: it has just left, or has no room, or wants its user to do something first. */
    private static final Set<Errno> NO_CHANGE = EnumSet.of(Errno.EAGAIN, Errno.ENODEV, Errno.ENOENT, Errno.EBUSY,
        Errno.EINVAL);

    private final List<String> types;

    ContainerSwapper(List<Tenant> tenants, List<String> types, Referee referee, SplittableRandom random) {
        super("owner", tenants, referee, random);
        this.types = types;
    }

    @Override
    void turn() throws InterruptedException {
        int which = random.nextInt(tenants.size());
        Container container = tenants.get(which).container();
        switch (random.nextInt(4)) {
            case 0, 1 -> {
                String type = types.get(random.nextInt(types.size()));
                referee.swap("swap", container.name() + " to " + type);
                try {
                    container.as(Backends.class).swap(type);
                } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
                    expectNotNow(referee, "swap of container " + container.name(), e);
                }
            }
            case 2 -> strategy(tenants.get(which));
            default -> {
                if (which > 0) {
                    // The first one keeps its bound, so that it can be checked.
                    container.as(Backends.class).stallBound(BOUNDS.get(random.nextInt(BOUNDS.size())));
                }
                try {
                    container.as(Backends.class).retry();
                } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
                    expectNotNow(referee, "retry of container " + container.name(), e);
                }
            }
        }
        rest();
    }

    private void strategy(Tenant tenant) {
        Container container = tenant.container();
        try {
            List<MsiChoice> feasible = tenant.msis().explain().stream()
                .filter(choice -> choice.assessment().feasible()).toList();
            int dice = random.nextInt(feasible.size() + 1);
            String name = dice == 0 ? "" : feasible.get(dice - 1).name();
            referee.swap("strategy", container.name() + " to " + name);
            tenant.choose(name);
        } catch (RuntimeException | LinkageError | OutOfMemoryError e) {
            expect(NO_CHANGE, referee, "change of strategy of container " + container.name(), e);
        }
    }

    /** A refusal that is documented for a time when a backend is away, or that a provider was made to throw. */
    static void expectNotNow(Referee referee, String what, Throwable e) {
        expect(NOT_NOW, referee, what, e);
    }

    private static void expect(Set<Errno> documented, Referee referee, String what, Throwable e) {
        if (!(e instanceof ErrnoException known && documented.contains(known.errno())) && !FaultyIommu.injected(e)) {
            referee.fail(what, e);
        }
    }
}
