// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.Violation;
import irq.api.InterruptController;
import java.util.ArrayList;
import java.util.List;
import machine.api.Attachment;
import machine.api.Wire;
import vfio.container.host.Cleanup;
import vfio.container.host.IommuProvider;
import vfio.container.host.RecentLog;

/**
 * The latest violations. They arrive by interrupt if there are both an IOMMU and an interrupt controller, which this
 * class connects. Reading is for any thread, the rest for a caller that holds the topology lock.
 */
final class ViolationLog {
    private final RecentLog<Violation> violations = new RecentLog<>();
    private final List<Attachment> wires = new ArrayList<>();

    /**
     * {@return the latest, with those that no wire has announced: the hardware may have none, or there is no interrupt
     *     controller}
     */
    List<Violation> latest(List<IommuProvider> iommus) {
        iommus.forEach(this::read);
        return violations.latest();
    }

    private void read(IommuProvider provider) {
        provider.iommu().violations().forEach(violations::add);
    }

    /** The providers have changed. */
    void listen(List<IommuProvider> iommus, InterruptController controller) {
        Cleanup steps = new Cleanup();
        close(steps);
        if (controller != null) {
            for (IommuProvider provider : iommus) {
                for (Wire wire : provider.iommu().violationWires()) {
                    steps.take(() -> wires.add(controller.request(wire, () -> read(provider))));
                }
            }
        }
        steps.end();
    }

    void close(Cleanup steps) {
        wires.forEach(wire -> steps.take(wire::close));
        wires.clear();
    }
}
