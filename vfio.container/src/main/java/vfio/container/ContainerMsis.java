// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.List;
import java.util.Optional;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.container.host.Host;
import vfio.container.irq.MsiBinding;
import vfio.container.state.ContainerLock;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;
import vfio.container.swap.ContainerParts;

/** What a container's user can do about its MSIs, each operation under the container's lock. */
final class ContainerMsis implements Msis {
    private final Host host;
    private final ContainerLock lock;
    private final ContainerStatus status;
    private final Ledger ledger;
    private final MsiBinding msi;

    ContainerMsis(ContainerParts parts) {
        this.host = parts.host();
        this.lock = parts.lock();
        this.status = parts.status();
        this.ledger = parts.ledger();
        this.msi = parts.msi();
    }

    @Override
    public long call(String operation, long... arguments) {
        return lock.call(() -> {
            status.requireActive();
            return msi.operate(operation, arguments);
        });
    }

    @Override
    public Optional<String> strategy() {
        return lock.call(() -> Optional.ofNullable(msi.strategy()).map(MsiStrategy::name));
    }

    @Override
    public void strategy(String wanted) {
        lock.run(() -> {
            status.requireOpen();
            msi.prefer(wanted);
        });
    }

    @Override
    public List<MsiChoice> explain() {
        return lock.call(() -> {
            status.requireOpen();
            status.requireIommu();
            return msi.explain();
        });
    }

    @Override
    public List<MsiPlacement> placements() {
        return lock.call(ledger::placements);
    }

    @Override
    public List<MsiRoute> routes() {
        return lock.call(msi.routes()::list);
    }

    @Override
    public void vectorPolicy(VectorPolicy policy) {
        lock.run(() -> {
            msi.routes().choice().policy(policy);
            host.vectorFree();
        });
    }

    @Override
    public VectorPolicy vectorPolicy() {
        return msi.routes().choice().policy();
    }
}
