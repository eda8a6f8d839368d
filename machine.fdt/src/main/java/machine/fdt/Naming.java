// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.function.IntFunction;
import machine.api.Requester;

/**
 * As whom masters speak where the tree says so in the words that all architectures share: {@code iommus} of a master,
 * {@code iommu-map} and {@code msi-map} of a PCI controller. (Devicetree bindings iommu/iommu.txt, pci/pci-iommu.txt,
 * pci/pci-msi.txt.) QorIQ's trees have words of their own, which {@link FdtMachineSource} reads.
 */
final class Naming {
    private static final String IOMMUS = "iommus";
    static final String IOMMU_MAP = "iommu-map";
    private static final String MSI_MAP = "msi-map";
    private static final String MSI_CELLS = "#msi-cells";

    /** As whom the devices of one controller speak. */
    @FunctionalInterface
    interface Names {
        /**
         * {@return the requester of a device and function; null if the tree says of no IOMMU that it is in front of it}
         *
         * @param place device times eight plus function
         */
        Requester of(int place);
    }

    /** Whom hardware cannot tell apart: one id at one IOMMU. */
    private record Alike(String iommu, int id) {
    }

    private final DeviceTree tree;
    private final Map<Alike, Integer> groups = new HashMap<>();

    Naming(DeviceTree tree) {
        this.tree = tree;
    }

    /**
     * {@return what the tree says of a controller or a master; null if it says nothing in these words}
     *
     * <p>All places are looked up here, so that groups are numbered in the tree's order and not in that of questions.
     *
     * @param pcie whether places have a number on a PCI bus, which the maps are about
     */
    Names names(DeviceTree.TreeNode master, boolean pcie) {
        if (!master.has(IOMMU_MAP) && !master.has(IOMMUS)) {
            return null;
        }
        IdMap messages = new IdMap(tree, master, MSI_MAP, MSI_CELLS);
        if (master.has(IOMMU_MAP)) {
            IdMap map = new IdMap(tree, master, IOMMU_MAP, DeviceTree.IOMMU_CELLS);
            return places(pcie, busId -> requester(map.find(busId), busId, messages));
        }
        IdMap.Name name = first(master);
        return places(pcie, busId -> requester(name, busId, messages));
    }

    private static Names places(boolean pcie, IntFunction<Requester> at) {
        int bus = pcie ? TreeSlot.BUS << 8 : 0;
        Requester[] places = new Requester[TreeSlot.PLACES];
        Arrays.setAll(places, place -> at.apply(bus | place));
        return place -> places[place];
    }

    /** {@return the number of the group of all that have this id at this IOMMU} */
    int group(String iommu, int id) {
        return groups.computeIfAbsent(new Alike(iommu, id), alike -> groups.size());
    }

    /** All that is behind a controller with {@code iommus} speaks with its one id. */
    private IdMap.Name first(DeviceTree.TreeNode master) {
        int[] cells = master.cells(IOMMUS);
        DeviceTree.TreeNode iommu = cells.length == 0 ? null : tree.enabled(cells[0]);
        int[] width = iommu == null ? new int[0] : iommu.cells(DeviceTree.IOMMU_CELLS);
        if (width.length == 0 || width[0] < 0 || width[0] > cells.length - 1) {
            tree.warn(master, "iommus leads to no enabled IOMMU, or ends inside an id; nobody can be there");
            return null;
        }
        if (cells.length > 1 + width[0]) {
            tree.warn(master, "iommus has more than one id; the first counts, and what comes with others is blocked");
        }
        return new IdMap.Name(iommu, width[0] == 0 ? 0 : cells[1]);
    }

    /** The interrupt controller sees what the bus does, as with Linux, unless a map says otherwise. */
    private Requester requester(IdMap.Name name, int busId, IdMap messages) {
        if (name == null) {
            return null;
        }
        IdMap.Name message = messages.find(busId);
        String unit = name.controller().path();
        return new Requester(name.id(), unit, group(unit, name.id()), busId, message == null ? busId : message.id());
    }
}
