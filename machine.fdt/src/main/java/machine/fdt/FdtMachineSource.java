// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.Collectors;
import machine.api.Board;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.api.Node;
import machine.api.Requester;
import machine.local.LocalMachine;
import org.osgi.service.component.annotations.Component;

/**
 * The machine source for flattened device trees. Options: {@code memory=0x0+0x80000000,0x100000000+0x80000000} for what
 * a boot loader finds in the DIMMs, {@code liodn.SLOT=193} for the LIODNs it hands out.
 */
@Component
public final class FdtMachineSource implements MachineSource {
    private static final String MEMORY = "memory";
    private static final String LIODN = "liodn.";
    private static final int MOST_LIODN = 0xffff;
    private static final String FSL_LIODN = "fsl,liodn";
    private static final String IOMMU_PARENT = "fsl,iommu-parent";
    /** Of cores: an MPIC's destination registers have a bit for each. (MPIC, IDRn.) */
    private static final int MOST_CORES = 32;

    @Override
    public String reads() {
        return "flattened device tree (.dtb)";
    }

    @Override
    public boolean recognises(String locator, byte[] content) {
        return content.length >= 4 && ByteBuffer.wrap(content).getInt(0) == FlatTree.MAGIC;
    }

    @Override
    public Machine open(String locator, byte[] content, Map<String, String> options) {
        return new LocalMachine(describe(locator, content, options));
    }

    /** {@return what the tree describes; see {@link #open}} */
    static Board describe(String locator, byte[] content, Map<String, String> options) {
        Warnings warnings = new Warnings();
        FlatTree flat = new FlatTree(content, warnings);
        FlatTree.Raw root = flat.root();
        try {
            return board(locator, flat, new DeviceTree(root, warnings), options, warnings);
        } catch (ErrnoException e) {
            // Whatever else is wrong, and whatever could be done about it: nothing can be run here.
            throw DeviceTree.hasIommu(root) ? e : noIommu(DeviceTree.model(root));
        }
    }

    /** @param model of the board; may be empty */
    static ErrnoException noIommu(String model) {
        return new ErrnoException(Errno.ENXIO,
            "this board has no IOMMU: no enabled node of %s is compatible with fsl,pamu",
            model.isEmpty() ? "the device tree" : model);
    }

    private static Board board(String locator, FlatTree flat, DeviceTree tree, Map<String, String> options,
        Warnings warnings) {
        Map<String, String> unused = new TreeMap<>(options);
        List<Node.Range> said = new ArrayList<>();
        String option = unused.remove(MEMORY);
        if (option != null) {
            for (String range : option.split(",")) {
                said.add(range(range));
            }
        }
        FdtMemory memory = new FdtMemory(tree, said, flat.reserved(), warnings);
        List<String> liodns = new ArrayList<>();
        List<TreeSlot> slots = slots(tree, unused, liodns, warnings);
        if (!unused.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "unknown option %s; there are %s and %s",
                unused.keySet().iterator().next(), MEMORY, liodns);
        }
        String model = tree.root().text("model");
        return new Board(model.isEmpty() ? locator : model, memory.pieces(), memory.free(),
            Board.flat(List.of(tree.root().node())), List.copyOf(slots), cores(tree, warnings), warnings.list());
    }

    private static int cores(DeviceTree tree, Warnings warnings) {
        // A core's reg lists its hardware threads, and each has an interrupt pin of its own.
        int threads = tree.nodes().stream().filter(DeviceTree::isCore)
            .mapToInt(node -> Math.max(1, node.cells("reg").length)).sum();
        if (threads > MOST_CORES) {
            warnings.add("device tree: %d cores; the first %d count", threads, MOST_CORES);
        }
        return Math.min(MOST_CORES, Math.max(1, threads));
    }

    /** @param liodns gets the names of the options for LIODNs that this tree has: one per master that a PAMU sees */
    private static List<TreeSlot> slots(DeviceTree tree, Map<String, String> options, List<String> liodns,
        Warnings warnings) {
        String chip = QorIq.chip(tree.nodes().stream().map(DeviceTree.TreeNode::compatible).toList());
        DeviceTree.TreeNode pamu = tree.nodes().stream()
            .filter(node -> node.compatibleWith(DeviceTree.PAMU)).findFirst().orElse(null);
        List<TreeSlot> slots = new ArrayList<>();
        Naming naming = new Naming(tree);
        Set<Integer> given = tree.nodes().stream().flatMapToInt(node -> Arrays.stream(node.cells(FSL_LIODN))).boxed()
            .collect(Collectors.toSet());
        for (boolean pcie : new boolean[] {true, false}) {
            List<DeviceTree.TreeNode> all = tree.present(pcie ? DeviceTree::isPcie : DeviceTree::isDma);
            int enabled = 0;
            for (int i = 0; i < all.size(); i++) {
                DeviceTree.TreeNode node = all.get(i);
                if (node.enabled()) {
                    String name = (pcie ? "pcie" : "dma") + enabled;
                    Naming.Names names = naming.names(node, pcie);
                    if (names == null) {
                        int usual = QorIq.liodn(chip, pcie, node.registers().get(0).physical(), i, given);
                        liodns.add(LIODN + name);
                        int liodn = liodn(node, name, options.remove(LIODN + name), usual);
                        Requester requester = pamu == null ? null
                            : new Requester(liodn, unit(tree, pamu, node, warnings), naming.group(pamu.path(), liodn));
                        names = place -> requester;
                    }
                    slots.add(new TreeSlot(tree, name, pcie, enabled++, node, names));
                }
            }
        }
        return slots;
    }

    /** {@return what the user says, else what the tree says, else what a boot loader says} */
    private static int liodn(DeviceTree.TreeNode node, String slot, String option, int usual) {
        if (option != null) {
            return (int) parse(LIODN + slot, option, MOST_LIODN);
        }
        int[] given = node.cells(FSL_LIODN);
        int liodn = given.length > 0 ? given[0] : usual;
        if (liodn < 0 || liodn > MOST_LIODN) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: fsl,liodn 0x%x is above 0x%x; say %s%s=0x%x",
                node.path(), liodn, MOST_LIODN, LIODN, slot, usual);
        }
        return liodn;
    }

    /**
     * The PAMU instance the tree names, of whichever PAMU node; the first one where it names none. All of a node have
     * the same tables, so Linux does not look.
     */
    private static String unit(DeviceTree tree, DeviceTree.TreeNode pamu, DeviceTree.TreeNode master,
        Warnings warnings) {
        DeviceTree.TreeNode named = tree.follow(master, IOMMU_PARENT);
        String first = pamu.children().get(0).path();
        if (named != null && named.parent() != null && named.parent().compatibleWith(DeviceTree.PAMU)) {
            return named.path();
        }
        if (master.has(IOMMU_PARENT) && (named == null || !named.path().equals(pamu.path()))) {
            warnings.add("device tree, %s: fsl,iommu-parent leads to no PAMU; it is taken to be behind %s",
                master.path(), first);
        }
        return first;
    }

    private static Node.Range range(String text) {
        String[] parts = text.trim().split("\\+");
        if (parts.length != 2) {
            throw new ErrnoException(Errno.EINVAL, "memory '%s': write start+size, e.g. 0x0+0x80000000", text);
        }
        Node.Range range = new Node.Range(parse(MEMORY, parts[0], 1L << 51), parse(MEMORY, parts[1], 1L << 51));
        if (range.size() == 0) {
            throw new ErrnoException(Errno.EINVAL, "memory '%s' is empty", text);
        }
        return range;
    }

    private static long parse(String option, String text, long most) {
        try {
            long value = Long.decode(text.trim());
            if (value >= 0 && value <= most) {
                return value;
            }
        } catch (NumberFormatException e) {
            throw new ErrnoException(Errno.EINVAL, e, "option %s: '%s' is no number", option, text);
        }
        throw new ErrnoException(Errno.EINVAL, "option %s: '%s' is not in 0..0x%x", option, text, most);
    }
}
