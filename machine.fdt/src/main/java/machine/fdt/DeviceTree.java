// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Wire;

/**
 * What the properties of a tree mean: addresses through {@code ranges}, interrupt specifiers, phandles. Nodes that are not
 * enabled ({@code status} other than okay) are left out with all below them: no driver must bind to them. Immutable once
 * built; numbers that contradict themselves are refused while it is built.
 */
final class DeviceTree {
    private static final int MAX_PAMUS = 64;
    /** Entries of one {@code ranges}: more than any bus has. */
    private static final int MAX_RANGES = 64;
    private static final long PAMU_BLOCK = 0x1000;
    /** No machine has memory or registers beyond; see {@link machine.api.Ram}. */
    static final long ADDRESS_LIMIT = 1L << 52;

    /** One enabled node. */
    final class TreeNode implements Node {
        private final String path;
        private final String name;
        private final TreeNode parent;
        private final Map<String, byte[]> properties;
        private final List<TreeNode> children = new ArrayList<>();
        private final List<String> compatible;
        private List<Range> registers = List.of();
        /** What {@link DeviceTree#ranges} has found; null until it has looked. */
        private List<long[]> passedOn;
        private List<Wire> interrupts = List.of();

        private TreeNode(TreeNode parent, String name, Map<String, byte[]> properties) {
            this.parent = parent;
            this.name = name;
            this.path = parent == null ? "/" : (parent.parent == null ? "" : parent.path) + "/" + name;
            this.properties = properties;
            byte[] value = properties.getOrDefault("compatible", new byte[0]);
            String text = printable(value, value.length);
            this.compatible = text.isEmpty() ? List.of() : List.of(text.split("\0"));
        }

        @Override
        public String path() {
            return path;
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public List<String> compatible() {
            return compatible;
        }

        @Override
        public List<Range> registers() {
            return registers;
        }

        @Override
        public List<Wire> interrupts() {
            return interrupts;
        }

        @Override
        public Optional<Node> parent() {
            return Optional.ofNullable(parent);
        }

        @Override
        public List<Node> children() {
            return Collections.unmodifiableList(children);
        }

        @Override
        public boolean has(String property) {
            return properties.containsKey(property);
        }

        @Override
        public int[] cells(String property) {
            byte[] value = properties.getOrDefault(property, new byte[0]);
            int[] cells = new int[value.length / 4];
            ByteBuffer.wrap(value).asIntBuffer().get(cells, 0, cells.length);
            return cells;
        }

        @Override
        public String text(String property) {
            byte[] value = properties.getOrDefault(property, new byte[0]);
            int end = 0;
            while (end < value.length && value[end] != 0) {
                end++;
            }
            return printable(value, end);
        }

        @Override
        public byte[] bytes(String property) {
            return properties.getOrDefault(property, new byte[0]).clone();
        }

        @Override
        public String toString() {
            return path;
        }

        private int cell(String property, int otherwise) {
            int[] cells = cells(property);
            return cells.length == 0 ? otherwise : cells[0];
        }
    }

    private final List<TreeNode> nodes = new ArrayList<>();
    private final Map<Integer, TreeNode> handles = new HashMap<>();

    DeviceTree(FlatTree.Raw root) {
        build(null, root);
        nodes.forEach(node -> {
            for (String property : List.of("phandle", "linux,phandle")) {
                if (node.cells(property).length > 0) {
                    handles.putIfAbsent(node.cells(property)[0], node);
                }
            }
        });
        nodes.forEach(node -> node.registers = registers(node));
        List.copyOf(nodes).stream().filter(node -> node.compatibleWith("fsl,pamu")).forEach(this::completePamu);
        nodes.forEach(node -> node.interrupts = interrupts(node));
    }

    /** {@return the enabled nodes, parents before children} */
    List<TreeNode> nodes() {
        return Collections.unmodifiableList(nodes);
    }

    /** {@return what the children of {@code /reserved-memory} keep from being used. (Devicetree specification 0.4, section 3.5.)} */
    List<Node.Range> reserved() {
        return nodes.stream().filter(DeviceTree::inReservedMemory).flatMap(node -> node.registers.stream()).toList();
    }

    static boolean inReservedMemory(TreeNode node) {
        return node.parent != null && reservedMemory(node.parent);
    }

    TreeNode root() {
        return nodes.get(0);
    }

    /** {@return the node a property points to; null if it is not there or leads nowhere} */
    TreeNode follow(Node node, String property) {
        int[] cells = node.cells(property);
        return cells.length == 0 ? null : handles.get(cells[0]);
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
     * Where a pin of a PCI device is wired to, by the {@code interrupt-map} of its controller or of the root port in it. A device
     * with a number the map does not know sits behind a switch, whose ports pass pins on turned by the device number.
     *
     * @param pin 1..4
     */
    Optional<Wire> interruptMap(TreeNode controller, int device, int pin) {
        List<TreeNode> candidates = new ArrayList<>(List.of(controller));
        candidates.addAll(controller.children);
        for (TreeNode nexus : candidates) {
            if (nexus.has("interrupt-map")) {
                Optional<Wire> direct = mapped(nexus, device << 11, pin);
                return direct.isPresent() ? direct : mapped(nexus, 0, (pin - 1 + device) % 4 + 1);
            }
        }
        return Optional.empty();
    }

    private void build(TreeNode parent, FlatTree.Raw raw) {
        TreeNode node = new TreeNode(parent, raw.name, raw.properties);
        String status = node.text("status");
        if (node.has("status") && !status.equals("okay") && !status.equals("ok")) {
            return;
        }
        if (parent != null) {
            parent.children.add(node);
        }
        nodes.add(node);
        raw.children.forEach(child -> build(node, child));
    }

    /** A PAMU node without children, or whose children cannot be translated, gets what it lacks: one block of 4 KiB an instance. */
    private void completePamu(TreeNode pamu) {
        if (pamu.registers.isEmpty()) {
            return;
        }
        Node.Range block = pamu.registers.get(0);
        long count = block.size() / PAMU_BLOCK;
        if (count < 1 || count > MAX_PAMUS) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: 0x%x bytes of registers are no 1..%d PAMUs", pamu.path,
                block.size(), MAX_PAMUS);
        }
        if (nodes.size() + count > FlatTree.MAX_NODES) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: with its PAMUs there are more than %d nodes", pamu.path,
                FlatTree.MAX_NODES);
        }
        if (pamu.children.isEmpty()) {
            for (int i = 0; i < count; i++) {
                TreeNode instance = new TreeNode(pamu, String.format("pamu@%x", i * PAMU_BLOCK), Map.of());
                instance.registers = List.of(new Node.Range(block.physical() + i * PAMU_BLOCK, PAMU_BLOCK));
                pamu.children.add(instance);
                nodes.add(instance);
            }
            return;
        }
        for (TreeNode instance : pamu.children) {
            int[] reg = instance.cells("reg");
            if (instance.registers.isEmpty() && reg.length == 2) {
                long offset = Integer.toUnsignedLong(reg[0]);
                if (offset > block.size() - PAMU_BLOCK) {
                    throw new ErrnoException(Errno.EINVAL, "device tree, %s: offset 0x%x is outside 0x%x bytes of registers",
                        instance.path, offset, block.size());
                }
                instance.registers = List.of(new Node.Range(block.physical() + offset, PAMU_BLOCK));
            }
        }
    }

    private List<Node.Range> registers(TreeNode node) {
        if (node.parent == null || !node.has("reg")) {
            return List.of();
        }
        int addressCells = node.parent.cell("#address-cells", 2);
        int sizeCells = node.parent.cell("#size-cells", 1);
        if (addressCells < 1 || addressCells > 2 || sizeCells < 1 || sizeCells > 2) {
            return List.of();
        }
        int[] reg = node.cells("reg");
        if (reg.length % (addressCells + sizeCells) != 0) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: reg has %d cells, no multiple of %d + %d", node.path, reg.length,
                addressCells, sizeCells);
        }
        List<Node.Range> found = new ArrayList<>();
        for (int i = 0; i < reg.length; i += addressCells + sizeCells) {
            long address = number(reg, i, addressCells);
            long size = number(reg, i + addressCells, sizeCells);
            long physical = translate(node.parent, address, size);
            if (physical >= 0) {
                if (size < 0 || physical + size > ADDRESS_LIMIT || physical > ADDRESS_LIMIT) {
                    throw new ErrnoException(Errno.EINVAL, "device tree, %s: reg 0x%x+0x%x ends above 2^52", node.path, physical, size);
                }
                found.add(new Node.Range(physical, size));
            }
        }
        return List.copyOf(found);
    }

    /** {@return the physical address of an address on a bus; negative if no {@code ranges} on the way up passes it on} */
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

    /** {@return whether its children are places in physical memory: Linux reads them as such whatever its {@code ranges} say} */
    private static boolean reservedMemory(TreeNode node) {
        return node.parent != null && node.parent.parent == null && node.name.split("@", 2)[0].equals("reserved-memory");
    }

    /** {@return child address, parent address, size of each entry; PCI's first cell, a space code, is left out} */
    private static List<long[]> ranges(TreeNode bus) {
        if (bus.passedOn == null) {
            bus.passedOn = readRanges(bus);
        }
        return bus.passedOn;
    }

    private static List<long[]> readRanges(TreeNode bus) {
        int child = bus.cell("#address-cells", 2);
        int parent = bus.parent == null ? child : bus.parent.cell("#address-cells", 2);
        int size = bus.cell("#size-cells", 1);
        int skip = child == 3 ? 1 : 0;
        if (child < 1 || child > 3 || parent < 1 || parent > 2 || size < 1 || size > 2) {
            return List.of();
        }
        int[] cells = bus.cells("ranges");
        if (cells.length % (child + parent + size) != 0) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: ranges has %d cells, no multiple of %d + %d + %d", bus.path,
                cells.length, child, parent, size);
        }
        if (cells.length / (child + parent + size) > MAX_RANGES) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: ranges has more than %d entries", bus.path, MAX_RANGES);
        }
        List<long[]> found = new ArrayList<>();
        for (int i = 0; i < cells.length; i += child + parent + size) {
            found.add(new long[] {number(cells, i + skip, child - skip), number(cells, i + child, parent),
                number(cells, i + child + parent, size)});
        }
        return found;
    }

    private List<Wire> interrupts(TreeNode node) {
        List<Wire> found = new ArrayList<>();
        if (node.has("interrupts-extended")) {
            int[] cells = node.cells("interrupts-extended");
            for (int i = 0; i < cells.length; ) {
                TreeNode controller = handles.get(cells[i]);
                int width = controller == null ? 0 : controller.cell("#interrupt-cells", 0);
                if (width < 1 || width > cells.length - i - 1) {
                    throw new ErrnoException(Errno.EINVAL,
                        "device tree, %s: interrupts-extended, cell %d: 0x%x leads to no interrupt controller", node.path, i, cells[i]);
                }
                wire(controller, Arrays.copyOfRange(cells, i + 1, i + 1 + width)).ifPresent(found::add);
                i += 1 + width;
            }
            return List.copyOf(found);
        }
        TreeNode controller = node.has("interrupts") ? interruptParent(node) : null;
        if (controller == null || !controller.has("interrupt-controller")) {
            return List.of();
        }
        int width = controller.cell("#interrupt-cells", 0);
        int[] cells = node.cells("interrupts");
        if (width < 1 || cells.length % width != 0) {
            throw new ErrnoException(Errno.EINVAL, "device tree, %s: interrupts has %d cells, no multiple of the %d of %s", node.path,
                cells.length, width, controller.path);
        }
        for (int i = 0; i < cells.length; i += width) {
            wire(controller, Arrays.copyOfRange(cells, i, i + width)).ifPresent(found::add);
        }
        return List.copyOf(found);
    }

    private TreeNode interruptParent(TreeNode node) {
        for (TreeNode at = node; at != null; at = at.parent) {
            if (at.has("interrupt-parent")) {
                return follow(at, "interrupt-parent");
            }
        }
        return null;
    }

    /**
     * MPIC specifiers: number, sense (0 rising edge, 1 low, 2 high, 3 falling edge), type, type data. Types 2 and 3 count inter-processor
     * interrupts and timers, not inputs: no wire leads there.
     */
    private static Optional<Wire> wire(TreeNode controller, int[] specifier) {
        if (specifier.length > 2 && (specifier[2] == 2 || specifier[2] == 3)) {
            return Optional.empty();
        }
        boolean level = specifier.length > 1 && (specifier[1] == 1 || specifier[1] == 2);
        StringBuilder text = new StringBuilder();
        for (int cell : specifier) {
            text.append(text.length() == 0 ? "" : " ").append(Integer.toUnsignedString(cell));
        }
        return Optional.of(new Wire(controller.path, specifier[0], level, text.toString()));
    }

    private Optional<Wire> mapped(TreeNode nexus, int unit, int pin) {
        int addressCells = nexus.cell("#address-cells", 3);
        int interruptCells = nexus.cell("#interrupt-cells", 1);
        int[] map = nexus.cells("interrupt-map");
        int[] mask = nexus.cells("interrupt-map-mask");
        if (addressCells != 3 || interruptCells != 1 || mask.length != 0 && mask.length != 4) {
            return Optional.empty();
        }
        int unitMask = mask.length == 0 ? -1 : mask[0];
        int pinMask = mask.length == 0 ? -1 : mask[3];
        for (int i = 0; i + 5 <= map.length; ) {
            TreeNode controller = handles.get(map[i + 4]);
            if (controller == null) {
                return Optional.empty();
            }
            int parentAddress = controller.cell("#address-cells", 0);
            int width = controller.cell("#interrupt-cells", 0);
            int specifier = i + 5 + parentAddress;
            if (parentAddress < 0 || parentAddress > 3 || width < 1 || width > 4 || specifier + width > map.length) {
                throw new ErrnoException(Errno.EINVAL, "device tree, %s: interrupt-map ends inside entry at cell %d", nexus.path, i);
            }
            if ((map[i] & unitMask) == (unit & unitMask) && (map[i + 3] & pinMask) == (pin & pinMask)) {
                return wire(controller, Arrays.copyOfRange(map, specifier, specifier + width));
            }
            i = specifier + width;
        }
        return Optional.empty();
    }

    /** Texts end on people's terminals: what is not printable becomes a question mark. NUL stays, it separates strings. */
    private static String printable(byte[] value, int length) {
        return new String(value, 0, length, StandardCharsets.ISO_8859_1).replaceAll("[^\\x00\\x20-\\x7e]", "?");
    }

    private static long number(int[] cells, int from, int count) {
        long value = 0;
        for (int i = 0; i < count; i++) {
            value = value << 32 | Integer.toUnsignedLong(cells[from + i]);
        }
        return value;
    }
}
