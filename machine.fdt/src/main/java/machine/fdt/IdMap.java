// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.util.ArrayList;
import java.util.List;

/**
 * An {@code iommu-map} or {@code msi-map} of a PCI controller: what the devices on its bus are called elsewhere, read
 * as of_map_id of Linux reads it. Entries are first id on the bus, controller, first id there, how many; the ids on the
 * bus are taken through the mask first, and the first entry that has one counts. (Devicetree bindings
 * pci/pci-iommu.txt, pci/pci-msi.txt.)
 */
final class IdMap {
    private static final int WIDTH = 4;

    /** @param controller whom it is called that by */
    record Name(DeviceTree.TreeNode controller, int id) {
    }

    private record Entry(int first, DeviceTree.TreeNode controller, int id, int count) {
    }

    private final int mask;
    private final List<Entry> entries = new ArrayList<>();

    /**
     * Reads the property of a node; empty if there is none. Entries that lead to no enabled controller are left out,
     * with a warning.
     *
     * @param map the name of the property; that of its mask is made of it
     * @param cells name of the property in which the controller says how many cells an id has; one is read
     */
    IdMap(DeviceTree tree, DeviceTree.TreeNode node, String map, String cells) {
        int[] masks = node.cells(map + "-mask");
        mask = masks.length == 0 ? -1 : masks[0];
        int[] all = node.cells(map);
        if (all.length % WIDTH != 0) {
            tree.warn(node, "%s has %d cells, no multiple of %d; whole entries count", map, all.length, WIDTH);
        }
        for (int i = 0; i + WIDTH <= all.length; i += WIDTH) {
            DeviceTree.TreeNode controller = tree.enabled(all[i + 1]);
            int[] width = controller == null ? new int[0] : controller.cells(cells);
            if (controller == null || width.length > 0 && width[0] != 1) {
                tree.warn(node, "%s, entry at cell %d: 0x%x %s; the entry is left out", map, i, all[i + 1],
                    controller == null ? "leads to no enabled node" : "has ids of " + width[0] + " cells");
            } else if ((all[i] & ~mask) != 0) {
                tree.warn(node,
                    "%s, entry at cell %d: 0x%x has bits that the mask 0x%x takes away; the entry is left out", map, i,
                    all[i], mask);
            } else {
                entries.add(new Entry(all[i], controller, all[i + 2], all[i + 3]));
            }
        }
    }

    /** {@return what the device is called there; null if no entry has it} */
    Name find(int busId) {
        int masked = busId & mask;
        for (Entry entry : entries) {
            // One comparison for both ends: below the first, the difference is larger than any count.
            if (Integer.compareUnsigned(masked - entry.first, entry.count) < 0) {
                return new Name(entry.controller, masked - entry.first + entry.id);
            }
        }
        return null;
    }
}
