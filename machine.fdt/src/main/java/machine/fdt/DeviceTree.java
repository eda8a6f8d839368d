// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.Predicate;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Wire;

/**
 * The meaning of a tree's properties: addresses through {@code ranges}, interrupt specifiers, phandles. Nodes that are
 * not enabled ({@code status} other than okay) are left out with all below them: no driver must bind to them. Immutable
 * once built.
 *
 * <p>What is malformed is read as far as it can be, as Linux reads it, and warned of. Refused is what leaves in doubt
 * whether there is a PAMU or an interrupt controller, or where.
 */
final class DeviceTree {
    private static final int MAX_PAMUS = 64;
    /** Entries of one {@code ranges}: more than any bus has. */
    private static final int MAX_RANGES = 1024;
    private static final long PAMU_BLOCK = 0x1000;
    /** No machine has memory or registers beyond; see {@link machine.local.Ram}. */
    static final long ADDRESS_LIMIT = 1L << 52;

    /** One node, while the tree is being understood; {@link #node} is what becomes of it. */
    static final class TreeNode {
        private final String path;
        private final String name;
        private final TreeNode parent;
        private final Map<String, byte[]> properties;
        private final List<TreeNode> children = new ArrayList<>();
        private final List<String> compatible;
        private boolean enabled;
        private List<Node.Range> registers = List.of();
        /** The result of {@link DeviceTree#ranges}; null before its first call. */
        private List<long[]> passedOn;
        private List<Wire> interrupts = List.of();
        /** Null until all is understood. */
        private Node node;

        private TreeNode(TreeNode parent, String name, Map<String, byte[]> properties) {
            this.parent = parent;
            this.name = name;
            this.path = parent == null ? "/" : (parent.parent == null ? "" : parent.path) + "/" + name;
            this.properties = properties;
            String text = DeviceTree.text(properties.get("compatible"));
            this.compatible = text.isEmpty() ? List.of() : List.of(text.split("\0"));
        }

        /** {@return the node with all below it that is enabled; not before the tree is understood} */
        Node node() {
            if (node == null) {
                node = new Node(path, compatible, registers, interrupts, properties,
                    children.stream().map(TreeNode::node).toList(), false);
            }
            return node;
        }

        String path() {
            return path;
        }

        String name() {
            return name;
        }

        TreeNode parent() {
            return parent;
        }

        List<TreeNode> children() {
            return Collections.unmodifiableList(children);
        }

        List<String> compatible() {
            return compatible;
        }

        boolean compatibleWith(String string) {
            return compatible.contains(string);
        }

        List<Node.Range> registers() {
            return registers;
        }

        List<Wire> interrupts() {
            return interrupts;
        }

        boolean has(String property) {
            return properties.containsKey(property);
        }

        int[] cells(String property) {
            byte[] value = properties.getOrDefault(property, new byte[0]);
            int[] cells = new int[value.length / 4];
            ByteBuffer.wrap(value).asIntBuffer().get(cells, 0, cells.length);
            return cells;
        }

        String text(String property) {
            byte[] value = properties.getOrDefault(property, new byte[0]);
            int end = 0;
            while (end < value.length && value[end] != 0) {
                end++;
            }
            return printable(value, end);
        }

        /** Whether it is enabled, and all above it are. */
        boolean enabled() {
            return enabled;
        }

        private int cell(String property, int otherwise) {
            int[] cells = cells(property);
            return cells.length == 0 ? otherwise : cells[0];
        }
    }

    static final String PAMU = "fsl,pamu";
    private static final String MPIC = "fsl,mpic";
    /** Of an IOMMU: how many cells an id has there. */
    static final String IOMMU_CELLS = "#iommu-cells";
    private static final String USABLE_MEMORY = "linux,usable-memory";
    private static final String INTERRUPT_PARENT = "interrupt-parent";
    private static final String INTERRUPTS_EXTENDED = "interrupts-extended";
    private static final String INTERRUPT_CELLS = "#interrupt-cells";
    private static final String INTERRUPT_MAP = "interrupt-map";

    private final List<TreeNode> nodes = new ArrayList<>();
    /** All nodes, enabled or not. */
    private final List<TreeNode> present = new ArrayList<>();
    private final Map<Integer, TreeNode> handles = new HashMap<>();
    private final Warnings warnings;

    /** @param warnings gets a line for whatever was gone on with */
    DeviceTree(FlatTree.Raw root, Warnings warnings) {
        this.warnings = warnings;
        build(null, root, true);
        present.forEach(this::number);
        present.stream().filter(node -> node.enabled || isPcie(node) || isDma(node))
            .forEach(node -> node.registers = registers(node, "reg"));
        single(node -> node.compatibleWith(PAMU), true);
        enabled(node -> node.compatibleWith(PAMU)).stream().skip(1).forEach(node -> leaveOut(node,
            "a second node of PAMUs; those of the first are the board's"));
        enabled(node -> node.compatibleWith(PAMU)).forEach(this::complete);
        single(node -> node.compatibleWith(MPIC), true);
        single(DeviceTree::isMsiBank, false);
        single(DeviceTree::isPcie, false);
        single(DeviceTree::isDma, false);
        enabled(node -> node.has(INTERRUPT_PARENT) && follow(node, INTERRUPT_PARENT) == null).forEach(node -> warn(node,
            "interrupt-parent leads to no node; interrupts that would go there are left out"));
        nodes.forEach(node -> node.interrupts = interrupts(node));
        enabled(node -> node.compatibleWith(PAMU) && node.interrupts.isEmpty()).forEach(node -> warn(node,
            "no interrupt of its leads to an interrupt controller; what it refuses is not announced"));
        enabled(node -> node.has(INTERRUPT_MAP)).forEach(nexus -> mapped(nexus, 0, 0, true));
    }

    /**
     * {@return whether an enabled node is a PAMU, or says how ids at an IOMMU are written: known before any property is
     * understood}
     */
    static boolean hasIommu(FlatTree.Raw root) {
        return contains(root, PAMU) || root.properties.containsKey(IOMMU_CELLS)
            || root.children.stream().anyMatch(child -> enabled(child) && hasIommu(child));
    }

    static String model(FlatTree.Raw root) {
        return text(root.properties.get("model")).split("\0", 2)[0];
    }

    private static boolean contains(FlatTree.Raw node, String compatible) {
        return List.of(text(node.properties.get("compatible")).split("\0")).contains(compatible);
    }

    /** As of_device_is_available of Linux has it. */
    private static boolean enabled(FlatTree.Raw node) {
        byte[] status = node.properties.get("status");
        return status == null || List.of("okay", "ok").contains(text(status).split("\0", 2)[0]);
    }

    static boolean isPcie(TreeNode node) {
        return node.text("device_type").equals("pci")
            && node.compatible().stream().anyMatch(one -> one.contains("pci"));
    }

    static boolean isDma(TreeNode node) {
        return node.compatibleWith("fsl,eloplus-dma") || node.compatibleWith("fsl,elo3-dma");
    }

    private static boolean isMsiBank(TreeNode node) {
        return node.compatibleWith("fsl,mpic-msi") || node.compatibleWith("fsl,mpic-msi-v4.3");
    }

    private List<TreeNode> enabled(Predicate<TreeNode> which) {
        return nodes.stream().filter(which).toList();
    }

    /** {@return the nodes of a kind that have registers, enabled or not, by address} */
    List<TreeNode> present(Predicate<TreeNode> which) {
        return present.stream().filter(node -> which.test(node) && !node.registers.isEmpty())
            .sorted(Comparator.comparingLong(node -> node.registers.get(0).physical())).toList();
    }

    /** {@return the enabled nodes, parents before children} */
    List<TreeNode> nodes() {
        return Collections.unmodifiableList(nodes);
    }

    /**
     * {@return what the children of {@code /reserved-memory} keep from being used. (Devicetree specification 0.4,
     * section 3.5.)}
     */
    List<Node.Range> reserved() {
        return nodes.stream().filter(DeviceTree::inReservedMemory).flatMap(node -> node.registers.stream()).toList();
    }

    /**
     * {@return what of a node of memory may be used: a kernel that starts another one says so beside its {@code reg}}
     */
    List<Node.Range> memory(TreeNode node) {
        return node.has(USABLE_MEMORY) ? registers(node, USABLE_MEMORY) : node.registers;
    }

    static boolean isMemory(TreeNode node) {
        return node.text("device_type").equals("memory");
    }

    static boolean inReservedMemory(TreeNode node) {
        return node.parent != null && reservedMemory(node.parent);
    }

    TreeNode root() {
        return nodes.get(0);
    }

    /** {@return the node a property points to; null if it is not there or leads nowhere} */
    TreeNode follow(TreeNode node, String property) {
        int[] cells = node.cells(property);
        return cells.length == 0 ? null : handles.get(cells[0]);
    }

    /** {@return whether there is an IOMMU, of whatever kind} */
    boolean hasIommu() {
        return nodes.stream().anyMatch(node -> node.compatibleWith(PAMU) || node.has(IOMMU_CELLS));
    }

    /** {@return the enabled node with that phandle; null if there is none} */
    TreeNode enabled(int handle) {
        TreeNode found = handles.get(handle);
        return found != null && found.enabled ? found : null;
    }

    /**
     * {@return the physical ranges a bus passes on to its children}
     */
    List<Node.Range> outbound(TreeNode bus) {
        List<Node.Range> found = new ArrayList<>();
        for (long[] range : ranges(bus)) {
            long physical = bus.parent == null ? range[1] : translate(bus.parent, range[1], range[2]);
            if (physical >= 0) {
                found.add(new Node.Range(physical, range[2]));
            }
        }
        return found;
    }

    /**
     * Where a pin of a PCI device is wired to, by the {@code interrupt-map} of its controller or of the root port in
     * it. A device with a number the map does not know sits behind a switch, whose ports pass pins on turned by the
     * device number.
     *
     * @param pin 1..4
     */
    Optional<Wire> interruptMap(TreeNode controller, int device, int pin) {
        List<TreeNode> candidates = new ArrayList<>(List.of(controller));
        candidates.addAll(controller.children);
        for (TreeNode nexus : candidates) {
            if (nexus.has(INTERRUPT_MAP)) {
                Optional<Wire> direct = mapped(nexus, device << 11, pin, false);
                return direct.isPresent() ? direct : mapped(nexus, 0, (pin - 1 + device) % 4 + 1, false);
            }
        }
        return Optional.empty();
    }

    private void build(TreeNode parent, FlatTree.Raw raw, boolean above) {
        TreeNode node = new TreeNode(parent, raw.name, raw.properties);
        // Nobody asks whether a root is enabled. A core that waits in a loop of the boot loader's (ePAPR, section 5.5)
        // is disabled until it is fetched: a tree from a running board has all cores but one like this.
        node.enabled = parent == null
            || above && (enabled(raw) || isCore(node) && node.text("enable-method").equals("spin-table"));
        present.add(node);
        if (node.enabled) {
            nodes.add(node);
            if (parent != null) {
                parent.children.add(node);
            }
        }
        raw.children.forEach(child -> build(node, child, node.enabled));
    }

    static boolean isCore(TreeNode node) {
        return node.text("device_type").equals("cpu");
    }

    /** Of two nodes with one number the first is found, as with Linux. */
    private void number(TreeNode node) {
        for (String property : List.of("phandle", "linux,phandle")) {
            int[] cells = node.cells(property);
            TreeNode first = cells.length == 0 ? null : handles.putIfAbsent(cells[0], node);
            if (first != null && first != node) {
                warn(node, "%s 0x%x is that of %s, which counts", property, cells[0], first.path);
            }
        }
    }

    /**
     * Leaves out what cannot be driven: nodes of a kind without registers, and all but the first of those that have the
     * same.
     *
     * @param needed whether there is no going on without any
     */
    private void single(Predicate<TreeNode> kind, boolean needed) {
        Map<Long, TreeNode> first = new HashMap<>();
        List<TreeNode> all = enabled(kind);
        if (needed && !all.isEmpty() && all.stream().allMatch(node -> node.registers.isEmpty())) {
            throw new ErrnoException(Errno.EINVAL,
                "device tree, %s: no registers that every bus above passes on; correct its reg or their ranges",
                all.get(0).path);
        }
        for (TreeNode node : all) {
            if (node.registers.isEmpty()) {
                leaveOut(node, "no registers that every bus above passes on");
            } else {
                long address = node.registers.get(0).physical();
                TreeNode other = first.putIfAbsent(address, node);
                if (other != null) {
                    leaveOut(node, "the registers at 0x%x are those of %s", address, other.path);
                    handles.replaceAll((number, named) -> named == node ? other : named);
                }
            }
        }
    }

    private void leaveOut(TreeNode node, String format, Object... arguments) {
        warn(node, "%s; the node is left out", String.format(format, arguments));
        remove(node);
    }

    private void remove(TreeNode node) {
        List.copyOf(node.children).forEach(this::remove);
        node.enabled = false;
        nodes.remove(node);
        node.parent.children.remove(node);
    }

    /**
     * Warns of a node: what is wrong there, and what was done about it. Nobody is warned of one that is not enabled.
     */
    void warn(TreeNode node, String format, Object... arguments) {
        if (node.enabled) {
            warnings.add("device tree, %s: %s", node.path, String.format(format, arguments));
        }
    }

    /**
     * Gives a PAMU node its instances: one for each 4 KiB of its registers, whether or not a child says so, as Linux
     * counts (fsl_pamu_probe). A child is the instance at its offset; where there is none (T4240) one is made.
     */
    private void complete(TreeNode pamu) {
        Node.Range block = pamu.registers.get(0);
        long count = block.size() / PAMU_BLOCK;
        if (count < 1 || count > MAX_PAMUS) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: 0x%x bytes of registers are no 1..%d PAMUs",
                pamu.path, block.size(), MAX_PAMUS);
        }
        TreeNode[] instances = new TreeNode[(int) count];
        boolean described = false;
        for (TreeNode child : present.stream().filter(node -> node.parent == pamu).toList()) {
            long offset = offset(child, block);
            boolean fits = offset >= 0 && offset % PAMU_BLOCK == 0 && offset / PAMU_BLOCK < count;
            if (fits && instances[(int) (offset / PAMU_BLOCK)] == null) {
                described = true;
                instances[(int) (offset / PAMU_BLOCK)] = child;
            } else if (child.enabled) {
                leaveOut(child,
                    fits ? "there is an instance at offset 0x%x already" : "no instance of 0x%2$x bytes of registers",
                    offset, block.size());
            }
        }
        nodes.removeAll(pamu.children);
        pamu.children.clear();
        for (int i = 0; i < count; i++) {
            TreeNode instance = instances[i];
            if (instance == null) {
                instance = new TreeNode(pamu, String.format("pamu@%x", i * PAMU_BLOCK), Map.of());
                if (described) {
                    warn(pamu, "no instance at offset 0x%x of 0x%x bytes of registers; there is one all the same",
                        i * PAMU_BLOCK, block.size());
                }
            }
            instance.enabled = true;
            instance.registers = List.of(new Node.Range(block.physical() + i * PAMU_BLOCK, PAMU_BLOCK));
            pamu.children.add(instance);
            nodes.add(instance);
        }
    }

    /** {@return where in its parent's registers a PAMU is; some trees have no {@code ranges} to say so} */
    private static long offset(TreeNode instance, Node.Range block) {
        int[] reg = instance.cells("reg");
        return !instance.registers.isEmpty() ? instance.registers.get(0).physical() - block.physical()
            : reg.length == 2 ? Integer.toUnsignedLong(reg[0]) : -1;
    }

    private List<Node.Range> registers(TreeNode node, String property) {
        if (node.parent == null || !node.has(property)) {
            return List.of();
        }
        int addressCells = node.parent.cell("#address-cells", 2);
        int sizeCells = node.parent.cell("#size-cells", 1);
        if (addressCells < 1 || addressCells > 2 || sizeCells < 1 || sizeCells > 2) {
            return List.of();
        }
        int[] reg = node.cells(property);
        int width = addressCells + sizeCells;
        whole(node, property, width);
        List<Node.Range> found = new ArrayList<>();
        for (int i = 0; i + width <= reg.length; i += width) {
            long address = number(reg, i, addressCells);
            long size = number(reg, i + addressCells, sizeCells);
            long physical = translate(node.parent, address, size);
            if (physical >= 0) {
                if (size < 0 || physical + size > ADDRESS_LIMIT || physical > ADDRESS_LIMIT) {
                    warn(node, "%s 0x%x+0x%x ends above 2^52; it is left out", property, physical, size);
                    continue;
                }
                found.add(new Node.Range(physical, size));
            }
        }
        return List.copyOf(found);
    }

    /**
     * Warns of a property that does not consist of entries of so many cells: what is more than whole entries is not
     * read.
     */
    private void whole(TreeNode node, String property, int width) {
        int bytes = node.properties.getOrDefault(property, new byte[0]).length;
        if (bytes % (4 * width) != 0) {
            warn(node, "%s has %s, no multiple of %d; whole entries count", property,
                bytes % 4 == 0 ? bytes / 4 + " cells" : String.format("0x%x bytes", bytes),
                bytes % 4 == 0 ? width : 4 * width);
        }
    }

    /**
     * {@return the physical address of an address on a bus; negative if no {@code ranges} on the way up passes it on}
     */
    private long translate(TreeNode bus, long address, long size) {
        for (TreeNode at = bus; at.parent != null && !reservedMemory(at); at = at.parent) {
            if (!at.has("ranges")) {
                return -1;
            }
            if (at.properties.get("ranges").length == 0) {
                continue;
            }
            long found = -1;
            for (long[] range : ranges(at)) {
                long offset = address - range[0];
                if (offset >= 0 && size <= range[2] && offset <= range[2] - size) {
                    found = range[1] + offset;
                    break;
                }
            }
            if (found < 0) {
                return -1;
            }
            address = found;
        }
        return address;
    }

    /**
     * {@return whether its children are places in physical memory: Linux reads them as such whatever its {@code ranges}
     * say}
     */
    private static boolean reservedMemory(TreeNode node) {
        return node.parent != null && node.parent.parent == null
            && node.name.split("@", 2)[0].equals("reserved-memory");
    }

    /** {@return child address, parent address, size of each entry; PCI's first cell, a space code, is left out} */
    private List<long[]> ranges(TreeNode bus) {
        if (bus.passedOn == null) {
            bus.passedOn = readRanges(bus);
        }
        return bus.passedOn;
    }

    private List<long[]> readRanges(TreeNode bus) {
        int child = bus.cell("#address-cells", 2);
        int parent = bus.parent == null ? child : bus.parent.cell("#address-cells", 2);
        int size = bus.cell("#size-cells", 1);
        int skip = child == 3 ? 1 : 0;
        if (child < 1 || child > 3 || parent < 1 || parent > 2 || size < 1 || size > 2) {
            return List.of();
        }
        int[] cells = bus.cells("ranges");
        int width = child + parent + size;
        whole(bus, "ranges", width);
        if (cells.length / width > MAX_RANGES) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: ranges has more than %d entries", bus.path,
                MAX_RANGES);
        }
        List<long[]> found = new ArrayList<>();
        for (int i = 0; i + width <= cells.length; i += width) {
            found.add(new long[] {number(cells, i + skip, child - skip), number(cells, i + child, parent),
                number(cells, i + child + parent, size)});
        }
        return found;
    }

    /** As of_irq_parse_one of Linux reads them: {@code interrupts-extended} first; what is broken ends the list. */
    private List<Wire> interrupts(TreeNode node) {
        List<Wire> found = new ArrayList<>();
        if (node.has(INTERRUPTS_EXTENDED)) {
            int[] cells = node.cells(INTERRUPTS_EXTENDED);
            for (int i = 0; i < cells.length; ) {
                // 0 is an entry that is left empty.
                TreeNode controller = cells[i] == 0 ? null : handles.get(cells[i]);
                int width = cells[i] == 0 ? 0 : controller == null ? -1 : controller.cell(INTERRUPT_CELLS, -1);
                if (width < 0 || width > cells.length - i - 1) {
                    warn(node, width < 0
                        ? "interrupts-extended, cell %d: 0x%x leads to no interrupt controller; the interrupts "
                            + "before it count"
                        : "interrupts-extended ends inside the entry at cell %d; the interrupts before it count", i,
                        cells[i]);
                    break;
                }
                if (width > 0) {
                    wire(controller, Arrays.copyOfRange(cells, i + 1, i + 1 + width)).ifPresent(found::add);
                }
                i += 1 + width;
            }
            return List.copyOf(found);
        }
        TreeNode controller = node.has("interrupts") ? interruptParent(node) : null;
        if (controller == null || !controller.has("interrupt-controller")) {
            return List.of();
        }
        int width = controller.cell(INTERRUPT_CELLS, 0);
        if (width < 1) {
            warn(node, "its interrupt controller %s has no #interrupt-cells; the interrupts are left out",
                controller.path);
            return List.of();
        }
        whole(node, "interrupts", width);
        int[] cells = node.cells("interrupts");
        for (int i = 0; i + width <= cells.length; i += width) {
            wire(controller, Arrays.copyOfRange(cells, i, i + width)).ifPresent(found::add);
        }
        return List.copyOf(found);
    }

    /**
     * As of_irq_find_parent of Linux: a node's {@code interrupt-parent} or else its parent, and on from there until one
     * has {@code #interrupt-cells}.
     */
    private TreeNode interruptParent(TreeNode node) {
        // A tree whose interrupt parents go in a circle has no more steps than nodes.
        TreeNode at = node;
        for (int steps = 0; steps < FlatTree.MAX_NODES; steps++) {
            at = at.has(INTERRUPT_PARENT) ? follow(at, INTERRUPT_PARENT) : at.parent;
            if (at == null || at.has(INTERRUPT_CELLS)) {
                return at;
            }
        }
        return null;
    }

    /**
     * MPIC specifiers: number, sense (0 rising edge, 1 low, 2 high, 3 falling edge), type, type data. Types 2 and 3
     * count inter-processor interrupts and timers, not inputs: no wire leads there, nor to a controller that is not
     * enabled.
     */
    private static Optional<Wire> wire(TreeNode controller, int[] specifier) {
        if (!controller.enabled || specifier.length > 2 && (specifier[2] == 2 || specifier[2] == 3)) {
            return Optional.empty();
        }
        boolean level = specifier.length > 1 && (specifier[1] == 1 || specifier[1] == 2);
        StringBuilder text = new StringBuilder();
        for (int cell : specifier) {
            text.append(text.length() == 0 ? "" : " ").append(Integer.toUnsignedString(cell));
        }
        return Optional.of(new Wire(controller.path, specifier[0], level, text.toString()));
    }

    /** @param check only to warn of what is broken, once */
    private Optional<Wire> mapped(TreeNode nexus, int unit, int pin, boolean check) {
        int addressCells = nexus.cell("#address-cells", 3);
        int interruptCells = nexus.cell(INTERRUPT_CELLS, 1);
        int[] map = nexus.cells(INTERRUPT_MAP);
        int[] mask = nexus.cells("interrupt-map-mask");
        if (addressCells != 3 || interruptCells != 1 || mask.length != 0 && mask.length != 4) {
            return Optional.empty();
        }
        int unitMask = mask.length == 0 ? -1 : mask[0];
        int pinMask = mask.length == 0 ? -1 : mask[3];
        for (int i = 0; i < map.length; ) {
            TreeNode controller = i + 5 <= map.length ? handles.get(map[i + 4]) : null;
            int parentAddress = controller == null ? 0 : controller.cell("#address-cells", 0);
            int width = controller == null ? 0 : controller.cell(INTERRUPT_CELLS, 0);
            int specifier = i + 5 + parentAddress;
            if (parentAddress < 0 || parentAddress > 3 || width < 1 || width > 4 || specifier + width > map.length) {
                if (check) {
                    warn(nexus, "interrupt-map, entry at cell %d %s; the entries before it count", i,
                        i + 5 <= map.length && width == 0
                            ? String.format("leads to no interrupt controller (0x%x)", map[i + 4])
                            : "ends outside of it");
                }
                return Optional.empty();
            }
            if (!check && (map[i] & unitMask) == (unit & unitMask) && (map[i + 3] & pinMask) == (pin & pinMask)) {
                return wire(controller, Arrays.copyOfRange(map, specifier, specifier + width));
            }
            i = specifier + width;
        }
        return Optional.empty();
    }

    /**
     * Texts end on people's terminals: what is not printable becomes a question mark. NUL stays, it separates strings.
     */
    private static String printable(byte[] value, int length) {
        return new String(value, 0, length, StandardCharsets.ISO_8859_1).replaceAll("[^\\x00\\x20-\\x7e]", "?");
    }

    private static String text(byte[] value) {
        return value == null ? "" : printable(value, value.length);
    }

    private static long number(int[] cells, int from, int count) {
        long value = 0;
        for (int i = 0; i < count; i++) {
            value = value << 32 | Integer.toUnsignedLong(cells[from + i]);
        }
        return value;
    }
}
