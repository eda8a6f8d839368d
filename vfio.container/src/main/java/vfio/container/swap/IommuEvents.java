// SPDX-License-Identifier: Apache-2.0
package vfio.container.swap;

import iommu.api.Iommu;
import machine.api.ErrnoException;
import vfio.container.dma.Translation;
import vfio.container.host.IommuProvider;
import vfio.container.irq.Traffic;
import vfio.container.state.ContainerStatus;

/** Providers of IOMMUs come and go beneath one container. Called with the topology lock held. */
public final class IommuEvents {
    private final ContainerParts parts;
    private final HotSwap swap;
    private final ContainerStatus status;
    private final Translation translation;
    private final Traffic traffic;

    public IommuEvents(ContainerParts parts, HotSwap swap) {
        this.parts = parts;
        this.swap = swap;
        this.status = parts.status();
        this.translation = parts.translation();
        this.traffic = parts.msi().traffic();
    }

    /** A provider is there; if this container waits for one of its types, it is restored on it. */
    public void arrived(IommuProvider newcomer) {
        parts.lock().runOrMiss(() -> {
            if (status.blocked() && newcomer.types().contains(status.type())) {
                ErrnoException unserved = parts.providers().unserved(newcomer);
                if (unserved == null) {
                    swap.restoreOn(newcomer);
                } else if (!status.reason().contains(unserved.reason())) {
                    status.addReason(unserved.reason());
                }
            }
        });
    }

    /**
     * The provider is about to go: devices are held back, blocked, and what was in flight has left when this returns.
     */
    public void leaving(Iommu leaving) {
        IommuProvider present = translation.provider();
        if (present != null && present.iommu() == leaving) {
            traffic.announceDeparture();
            if (!parts.lock().post(() -> gone(leaving))) {
                status.block("the provider of " + status.type()
                    + " is leaving while a call into it has not returned; everything is blocked");
            }
        }
    }

    private void gone(Iommu leaving) {
        traffic.departed();
        IommuProvider present = translation.provider();
        if (present == null || present.iommu() != leaving) {
            traffic.resume();
            return;
        }
        status.block("the provider of " + status.type() + " is gone; everything is blocked until there is another"
            + swap.letGo());
    }
}
