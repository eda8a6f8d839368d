// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.concurrent.atomic.AtomicInteger;

/** A component that does nothing; the last one of a {@link BareFramework} says that all are active. */
public final class Trivial {
    /** Number of components. */
    static final String COUNT = "gantry.bench.components";
    /** The line the last one prints. */
    static final String READY = "ready";

    private static final AtomicInteger ACTIVE = new AtomicInteger();

    /** Built by Declarative Services. */
    public Trivial() {
        if (ACTIVE.incrementAndGet() == Integer.getInteger(COUNT)) {
            System.out.println(READY);
            System.out.flush();
        }
    }
}
