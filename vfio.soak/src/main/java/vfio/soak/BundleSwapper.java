// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.List;
import java.util.SplittableRandom;
import vfio.api.ContainerState;

/**
 * The swapper of bundles: stops and starts, updates, uninstalls and installs them, disables and enables one of their
 * components.
 */
class BundleSwapper extends Swapper {
    private static final String STRATEGIES = "vfio.msi";

    private final List<Backend> backends;

    BundleSwapper(String name, List<Tenant> tenants, List<Backend> backends, Referee referee, SplittableRandom random) {
        super(name, tenants, referee, random);
        this.backends = backends;
    }

    @Override
    void turn() throws Exception {
        lifeCycle();
        rest();
    }

    final void lifeCycle() throws Exception {
        Backend backend = backends.get(random.nextInt(backends.size()));
        // Every other time: while banks are expected their user chooses no other strategy, which has to be tried as
        // well.
        boolean banks = backend.name().equals(STRATEGIES) && random.nextBoolean();
        if (banks) {
            tenants.forEach(Tenant::expectBanks);
        }
        switch (random.nextInt(5)) {
            case 0 -> {
                referee.swap("stop", backend.name());
                backend.stop();
                away();
                backend.start();
            }
            case 1 -> {
                referee.swap("update", backend.name());
                backend.update();
            }
            case 2 -> {
                referee.swap("update", backend.name() + ", stopped");
                backend.stop();
                backend.update();
                away();
                backend.start();
            }
            case 3 -> {
                referee.swap("install", backend.name());
                backend.uninstall(this::away);
                backend.start();
            }
            default -> {
                List<String> components = backend.components();
                String component = components.get(random.nextInt(components.size()));
                referee.swap("disable", component);
                backend.enable(component, false);
                away();
                backend.enable(component, true);
            }
        }
        if (banks) {
            await("ACTIVE", tenant -> tenant.container().state() == ContainerState.ACTIVE);
            await("with its banks where they were", Tenant::hasBanks);
            tenants.forEach(Tenant::expectNoBanks);
        }
        settle();
    }

    /** Waits until the swap has come to its end. */
    final void settle() throws InterruptedException {
        await("ACTIVE", tenant -> tenant.container().state() == ContainerState.ACTIVE);
        await("working", tenant -> {
            tenant.attend();
            return tenant.working();
        });
        referee.settled();
    }

    @Override
    void finish() throws Exception {
        settle();
    }
}
