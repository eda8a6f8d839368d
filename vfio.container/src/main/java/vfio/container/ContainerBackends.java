// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.time.Duration;
import vfio.api.swap.Backends;
import vfio.api.swap.Swap;
import vfio.container.host.TopologyLock;
import vfio.container.state.ContainerLock;
import vfio.container.state.Quiescence;
import vfio.container.swap.ContainerParts;
import vfio.container.swap.HotSwap;

/** What a container's user can do about its backends, each swap under the topology lock and the container's. */
final class ContainerBackends implements Backends {
    private static final Duration LONGEST_STALL = Duration.ofHours(1);

    private final TopologyLock topology;
    private final ContainerLock lock;
    private final Quiescence gate;
    private final HotSwap swap;

    ContainerBackends(ContainerParts parts, TopologyLock topology, HotSwap swap) {
        this.topology = topology;
        this.lock = parts.lock();
        this.gate = parts.gate();
        this.swap = swap;
    }

    @Override
    public void stallBound(Duration bound) {
        if (bound.isNegative() || bound.compareTo(LONGEST_STALL) > 0) {
            throw new IllegalArgumentException("a stall bound of " + bound + "; from nothing to an hour is possible");
        }
        gate.bound(bound);
    }

    @Override
    public Duration stallBound() {
        return gate.bound();
    }

    @Override
    public Swap swap(String type) {
        return ContainerLock.callBoth(topology, () -> lock, () -> swap.swap(type));
    }

    @Override
    public void retry() {
        ContainerLock.runBoth(topology, () -> lock, swap::retry);
    }
}
