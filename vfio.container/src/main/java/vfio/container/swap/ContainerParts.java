// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import java.util.List;
import java.util.function.Supplier;
import vfio.container.dma.DirtyTracking;
import vfio.container.dma.ProviderChoice;
import vfio.container.dma.Translation;
import vfio.container.host.Host;
import vfio.container.irq.MsiBanks;
import vfio.container.irq.MsiBinding;
import vfio.container.irq.Pin;
import vfio.container.state.ContainerLock;
import vfio.container.state.ContainerStatus;
import vfio.container.state.Ledger;
import vfio.container.state.Quiescence;

/**
 * The parts of one container.
 *
 * @param name the container's, for messages and reports
 * @param pins gives the interrupt pins of its open devices
 */
public record ContainerParts(String name, Host host, ContainerLock lock, ContainerStatus status, Ledger ledger,
        Quiescence gate, Translation translation, ProviderChoice providers, DirtyTracking dirty, MsiBanks banks,
        MsiBinding msi, Supplier<? extends List<? extends Pin>> pins) {
}
