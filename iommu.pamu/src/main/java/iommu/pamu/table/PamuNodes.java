// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.table;

import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;

/** The nodes of a board that belong to its PAMUs. */
public final class PamuNodes {
    /** {@code compatible} of the node of a board's PAMUs. */
    public static final String COMPATIBLE = "fsl,pamu";
    /** PAMUBYPENR in the block of global utilities: one bit per PAMU, 1 lets everything pass unchecked. */
    private static final long BYPASS = 0x604;

    private PamuNodes() {
    }

    /**
     * @param pamu the node compatible with {@code fsl,pamu}
     * @return the node of each instance, in the order of their numbers
     * @throws ErrnoException ENODEV if there is none, or one without a register block
     */
    public static List<Node> instances(Node pamu) {
        List<Node> instances = pamu.children();
        if (instances.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV,
                "%s has no PAMU instance; the machine source must give it one child each", pamu.path());
        }
        for (Node instance : instances) {
            if (instance.registers().size() != 1 || instance.registers().get(0).size() < Registers.BYTES) {
                throw new ErrnoException(Errno.ENODEV, "%s has no register block of 0x%x bytes", instance.path(),
                    Registers.BYTES);
            }
        }
        return instances;
    }

    /**
     * {@return the physical address of PAMUBYPENR}
     *
     * @throws ErrnoException ENODEV if the machine has no global utilities
     */
    public static long bypass(Machine machine) {
        for (Node node : machine.nodes()) {
            if (!node.registers().isEmpty()
                && node.compatible().stream().anyMatch(s -> s.startsWith("fsl,qoriq-device-config-"))) {
                return node.registers().get(0).physical() + BYPASS;
            }
        }
        throw new ErrnoException(Errno.ENODEV,
            "%s has no node compatible with fsl,qoriq-device-config-*: PAMUBYPENR is not to be found", machine.model());
    }
}
