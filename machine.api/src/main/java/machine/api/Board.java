// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Objects;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The description of a machine, whatever it was read from: what a {@link MachineSource} makes of bytes, and all that
 * {@code machine.local} needs to build the machine. A value.
 *
 * @param model what the machine is called in its description, e.g. {@code fsl,P4080DS}
 * @param memory where there is memory, no two pieces of which overlap
 * @param free what of it is handed out; the rest is reserved: the firmware's, or what the description keeps for
 *     somebody
 * @param nodes all nodes, parents before children
 * @param slots the places for devices, PCIe controllers first: as whom a device there speaks, behind which unit, in
 *     which group, and where its pins are wired to
 * @param cores how many there are
 * @param warnings what is wrong with the description and was gone on with, one line each
 */
@ProviderType
public record Board(String model, List<Node.Range> memory, List<Node.Range> free, List<Node> nodes, List<Slot> slots,
    int cores,
        List<String> warnings) {
    /**
     * Copies.
     *
     * @throws IllegalArgumentException if the number of cores is negative
     */
    public Board {
        Objects.requireNonNull(model);
        memory = List.copyOf(memory);
        free = List.copyOf(free);
        nodes = List.copyOf(nodes);
        slots = List.copyOf(slots);
        warnings = List.copyOf(warnings);
        if (cores < 0) {
            throw new IllegalArgumentException(cores + " cores");
        }
    }

    /** {@return nodes with all below them, parents before children} */
    public static List<Node> flat(Collection<Node> roots) {
        List<Node> all = new ArrayList<>();
        roots.forEach(root -> add(all, root));
        return all;
    }

    private static void add(List<Node> all, Node node) {
        all.add(node);
        node.children().forEach(child -> add(all, child));
    }
}
