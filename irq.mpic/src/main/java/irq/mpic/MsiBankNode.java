// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Wire;

/**
 * An MSI bank as its node describes it. (MPIC section 5.5.)
 *
 * @param registers physical address of its first register
 * @param doorbell physical address of its MSIIR or MSIIR1: the second register range, or inside the bank without one
 * @param sources interrupt source of each message register; {@link #NO_SOURCE} for one that is not ours
 */
record MsiBankNode(MsiLayout layout, long registers, long doorbell, List<Integer> sources) {
    /** This message register belongs to somebody else, or the tree does not say where it leads. */
    static final int NO_SOURCE = -1;
    private static final String RANGES = "msi-available-ranges";

    /**
     * {@return the banks of an MPIC in the order of their nodes}
     *
     * @param count number of the MPIC's sources
     * @throws ErrnoException EINVAL for a node that breaks a rule, or if two message registers lead to one source
     */
    static List<MsiBankNode> of(Machine machine, Node controller, int count) {
        List<MsiBankNode> banks = new ArrayList<>();
        boolean[] used = new boolean[count];
        for (Node node : machine.nodes()) {
            Optional<MsiLayout> layout = node.compatibleWith(MsiLayout.V4_3.compatible()) ? Optional.of(MsiLayout.V4_3)
                : node.compatibleWith(MsiLayout.THREE_BANKS.compatible()) ? Optional.of(MsiLayout.THREE_BANKS)
                    : Optional.empty();
            if (layout.isPresent()) {
                MsiBankNode bank = of(node, controller.path(), layout.get(), count);
                for (int source : bank.sources) {
                    if (source != NO_SOURCE && used[source]) {
                        throw new ErrnoException(Errno.EINVAL,
                            "%s: source 0x%x belongs to another message register already", node.path(), source);
                    }
                    if (source != NO_SOURCE) {
                        used[source] = true;
                    }
                }
                banks.add(bank);
            }
        }
        return banks;
    }

    private static MsiBankNode of(Node node, String controller, MsiLayout layout, int count) {
        List<Node.Range> ranges = node.registers();
        if (ranges.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "%s: an MSI bank without registers; its reg is missing",
                node.path());
        }
        long registers = ranges.get(0).physical();
        long doorbell = registers + MsiLayout.MSIIR;
        if (ranges.size() > 1) {
            doorbell = ranges.get(1).physical();
        } else if (layout.doorbell() == MsiLayout.MSIIR1) {
            throw new ErrnoException(Errno.EINVAL, "%s: a 4.3 bank needs the address of its MSIIR1 as second reg",
                node.path());
        }
        if ((doorbell & 3) != 0) {
            throw new ErrnoException(Errno.EINVAL, "%s: doorbell at 0x%x is not aligned to 4 bytes", node.path(),
                doorbell);
        }
        Integer[] sources = new Integer[layout.registers()];
        Arrays.fill(sources, NO_SOURCE);
        List<Wire> wires = node.interrupts();
        int next = 0;
        for (int register : available(node, layout)) {
            // An interrupt that the tree does not name, or that leads elsewhere, is skipped as a missing one.
            if (next < wires.size()) {
                Wire wire = wires.get(next);
                if (wire.controller().equals(controller) && wire.input() >= 0 && wire.input() < count) {
                    sources[register] = wire.input();
                }
            }
            next++;
        }
        return new MsiBankNode(layout, registers, doorbell, List.of(sources));
    }

    /** The message registers that are ours, in order. On 4.3 all are, whatever the property says. */
    private static List<Integer> available(Node node, MsiLayout layout) {
        List<Integer> registers = new ArrayList<>();
        if (layout == MsiLayout.V4_3 || !node.has(RANGES)) {
            for (int register = 0; register < layout.registers(); register++) {
                registers.add(register);
            }
            return registers;
        }
        int bytes = node.bytes(RANGES).length;
        if (bytes % 8 != 0) {
            throw new ErrnoException(Errno.EINVAL, "%s: %s has 0x%x bytes; it must consist of pairs of cells",
                node.path(), RANGES, bytes);
        }
        int[] cells = node.cells(RANGES);
        for (int i = 0; i + 1 < cells.length; i += 2) {
            int start = cells[i];
            int length = cells[i + 1];
            if ((start | length) % MsiLayout.BITS != 0 || start < 0 || length < 0
                || start > layout.vectors() - length) {
                throw new ErrnoException(Errno.EINVAL,
                    "%s: %s <0x%x 0x%x>: both must be multiples of 0x20, inside 0x%x vectors", node.path(), RANGES,
                    start, length, layout.vectors());
            }
            for (int register = start / MsiLayout.BITS; register < (start + length) / MsiLayout.BITS; register++) {
                if (registers.contains(register)) {
                    throw new ErrnoException(Errno.EINVAL, "%s: %s names vector 0x%x twice", node.path(), RANGES,
                        register * MsiLayout.BITS);
                }
                registers.add(register);
            }
        }
        return registers;
    }

    /** {@return the interrupt source of a message register, or {@link #NO_SOURCE}} */
    int source(int register) {
        return sources.get(register);
    }
}
