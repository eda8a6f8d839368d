// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.List;
import java.util.SplittableRandom;

/**
 * A swapper: replaces one part of the host after another, at random points of the devices' work. Several swappers run
 * at once, each with bundles of its own.
 */
abstract class Swapper extends Worker {
    private static final long GLANCE_MILLIS = 1;
    /** Longer than any bound that is set here: what waits meanwhile is refused. */
    private static final long LONG_MILLIS = 1300;

    final List<Tenant> tenants;

    Swapper(String name, List<Tenant> tenants, Referee referee, SplittableRandom random) {
        super(name, referee, random);
        this.tenants = tenants;
    }

    /** For as long as a backend is away: mostly an instant, now and then longer than devices may wait. */
    final void away() throws InterruptedException {
        int dice = random.nextInt(40);
        Thread.sleep(dice == 0 ? LONG_MILLIS : dice < 12 ? random.nextInt(60) : random.nextInt(8));
    }

    /** Between two swaps. */
    final void rest() throws InterruptedException {
        Thread.sleep(random.nextInt(40));
        tenants.get(random.nextInt(tenants.size())).glance(random.nextInt());
    }

    /** A condition on a container. */
    interface Condition {
        boolean holds(Tenant tenant);
    }

    /** Waits until it holds for each container. */
    final void await(String what, Condition condition) throws InterruptedException {
        long deadline = System.nanoTime() + Referee.PATIENCE_SECONDS * 1_000_000_000L;
        for (Tenant tenant : tenants) {
            while (!condition.holds(tenant)) {
                if (System.nanoTime() > deadline) {
                    referee.fail(
                        "container %s: not %s within %d s after a swap: %s, %s, MSI strategy %s, placed %s, routed %s",
                        tenant.container().name(), what, Referee.PATIENCE_SECONDS, tenant.container().state(),
                        tenant.container().reason(), tenant.msis().strategy().orElse("none"),
                        tenant.msis().placements(), tenant.msis().routes());
                    return;
                }
                Thread.sleep(GLANCE_MILLIS);
            }
        }
    }
}
