// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import iommu.api.Iommu;
import irq.api.InterruptController;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import vfio.api.msi.strategy.MsiStrategy;
import vfio.container.host.IommuProvider;
import vfio.container.host.RankedStrategy;

/**
 * The available backends in the order they are considered: IOMMUs and strategies by rank, interrupt controllers by age,
 * of which the first is used. Changed with the topology lock held, read at any time.
 */
final class Registry {
    private record Controller(InterruptController controller, String label) {
    }

    private final CopyOnWriteArrayList<IommuProvider> iommus = new CopyOnWriteArrayList<>();
    private final CopyOnWriteArrayList<Controller> controllers = new CopyOnWriteArrayList<>();
    private volatile List<RankedStrategy> strategies = List.of();

    List<IommuProvider> iommus() {
        return iommus;
    }

    void add(IommuProvider provider) {
        int place = 0;
        while (place < iommus.size() && iommus.get(place).ranking() >= provider.ranking()) {
            place++;
        }
        iommus.add(place, provider);
    }

    /** Changes an IOMMU's ranking, for later choices. */
    void rank(Iommu iommu, int ranking) {
        for (IommuProvider known : List.copyOf(iommus)) {
            if (known.iommu() == iommu && known.ranking() != ranking) {
                // The new entry is there before the old one goes: readers without the lock find the type at any time.
                add(new IommuProvider(iommu, known.kind(), known.types(), known.label(), ranking));
                iommus.remove(known);
            }
        }
    }

    void remove(Iommu iommu) {
        iommus.removeIf(provider -> provider.iommu() == iommu);
    }

    /** {@return the interrupt controller that acts; null while there is none} */
    InterruptController controller() {
        for (Controller first : controllers) {
            return first.controller();
        }
        return null;
    }

    /** {@return what reports call the interrupt controller; empty while there is none} */
    String controllerLabel() {
        for (Controller first : controllers) {
            return first.label();
        }
        return "";
    }

    void add(InterruptController controller, String label) {
        controllers.add(new Controller(controller, label));
    }

    void remove(InterruptController controller) {
        controllers.removeIf(known -> known.controller() == controller);
    }

    List<RankedStrategy> strategies() {
        return strategies;
    }

    /** {@return whether that is news: a strategy, or another ranking of one} */
    boolean add(MsiStrategy strategy, int ranking) {
        if (strategies.contains(new RankedStrategy(strategy, ranking))) {
            return false;
        }
        List<RankedStrategy> next = new ArrayList<>(strategies);
        next.removeIf(ranked -> ranked.strategy() == strategy);
        next.add(new RankedStrategy(strategy, ranking));
        next.sort(Comparator.comparingInt(RankedStrategy::ranking).reversed());
        strategies = List.copyOf(next);
        return true;
    }

    void remove(MsiStrategy strategy) {
        strategies = strategies.stream().filter(ranked -> ranked.strategy() != strategy).toList();
    }
}
