// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import iommu.api.Stash;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;

/**
 * Finds the cache id (CID) behind a {@link Stash}. PAMU: property {@code cache-stash-id}, which the boot loader adds.
 */
final class StashTarget {
    private static final String ID = "cache-stash-id";
    private static final List<String> L3 = List.of("fsl,t4240-l3-cache-controller", "fsl,b4860-l3-cache-controller",
        "fsl,p4080-l3-cache-controller");

    private StashTarget() {
    }

    /**
     * {@return CID, 1..255}
     *
     * @throws ErrnoException EINVAL if the level is not 1 to 3, or a node or property is missing: the message says
     *     which
     */
    static int find(Machine machine, Stash stash) {
        Node cache = switch (stash.cacheLevel()) {
            case 1 -> cpu(machine, stash);
            case 2 -> next(machine, cpu(machine, stash), stash);
            case 3 -> machine.nodes().stream()
                .filter(node -> node.compatible().stream().anyMatch(L3::contains)).findFirst()
                .orElseThrow(() -> missing(stash, "this machine has no L3 cache controller"));
            default -> throw missing(stash, "the cache level must be 1, 2 or 3");
        };
        int[] id = cache.cells(ID);
        if (id.length == 0) {
            throw missing(stash, cache.path() + " has no property " + ID + " (the boot loader adds it)");
        }
        if (id[0] <= 0 || id[0] > 0xff) {
            throw missing(stash, String.format("%s: %s 0x%x does not fit CID (1..0xff)", cache.path(), ID, id[0]));
        }
        return id[0];
    }

    private static Node cpu(Machine machine, Stash stash) {
        for (Node node : machine.nodes()) {
            if (node.text("device_type").equals("cpu")) {
                for (int thread : node.cells("reg")) {
                    if (thread == stash.cpu()) {
                        return node;
                    }
                }
            }
        }
        throw missing(stash, "no cpu node has reg " + stash.cpu());
    }

    private static Node next(Machine machine, Node cpu, Stash stash) {
        int[] phandle = cpu.cells("next-level-cache");
        if (phandle.length == 0) {
            throw missing(stash, cpu.path() + " has no next-level-cache");
        }
        for (Node node : machine.nodes()) {
            if (is(node.cells("phandle"), phandle[0]) || is(node.cells("linux,phandle"), phandle[0])) {
                return node;
            }
        }
        throw missing(stash, String.format("next-level-cache 0x%x of %s leads nowhere", phandle[0], cpu.path()));
    }

    private static boolean is(int[] cells, int phandle) {
        return cells.length > 0 && cells[0] == phandle;
    }

    private static ErrnoException missing(Stash stash, String what) {
        return new ErrnoException(Errno.EINVAL, "%s: %s", stash, what);
    }
}
