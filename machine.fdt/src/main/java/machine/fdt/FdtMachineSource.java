// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.LocalMachine;
import machine.api.Machine;
import machine.api.MachineSource;
import machine.api.Node;
import machine.api.PhysicalBus;
import machine.api.Ram;
import machine.api.Requester;
import org.osgi.service.component.annotations.Component;

/**
 * Makes machines of flattened device trees. Options: {@code memory=0x0+0x80000000,0x100000000+0x80000000} for what a boot loader
 * finds in the DIMMs, {@code liodn.SLOT=193} for the LIODNs it hands out.
 */
@Component
public final class FdtMachineSource implements MachineSource {
    private static final String MEMORY = "memory";
    private static final String LIODN = "liodn.";
    private static final long DEFAULT_MEMORY = 8L << 30;
    private static final long LEAST_MEMORY = 64L << 20;
    /** Bytes, as machine.acpi has it: the page directory of {@link Ram} is proportional to it. */
    private static final long MOST_MEMORY = 1L << 40;
    /** The bus looks through them one by one. */
    private static final int MOST_PIECES = 64;
    private static final long PAGE = 4096;
    /** Low memory that is the firmware's and is not handed out. */
    private static final long FIRMWARE = 16L << 20;

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
        FlatTree flat = new FlatTree(content);
        DeviceTree tree = new DeviceTree(flat.root());
        Map<String, String> unused = new TreeMap<>(options);
        List<Node.Range> memory = memory(tree, unused.remove(MEMORY));
        List<TreeSlot> slots = slots(tree, unused);
        if (!unused.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "unknown option %s; there are %s and %s", unused.keySet().iterator().next(), MEMORY,
                slots.stream().map(slot -> LIODN + slot.name()).toList());
        }
        PhysicalBus bus = new PhysicalBus(memory.stream().map(range -> new Ram(range.physical(), range.size())).toList());
        String model = tree.root().text("model");
        return new LocalMachine(model.isEmpty() ? locator : model, bus, free(memory, reserved(flat, tree)), List.copyOf(tree.nodes()),
            List.copyOf(slots), cpus(tree));
    }

    private static int cpus(DeviceTree tree) {
        // A core's reg lists its hardware threads, and each has an interrupt pin of its own.
        int threads = tree.nodes().stream().filter(node -> node.text("device_type").equals("cpu"))
            .mapToInt(node -> Math.max(1, node.cells("reg").length)).sum();
        if (threads > 256) {
            throw new ErrnoException(Errno.EINVAL, "device tree: %d cores; at most 256", threads);
        }
        return Math.max(1, threads);
    }

    private static List<Node.Range> memory(DeviceTree tree, String option) {
        List<Node.Range> memory = new ArrayList<>();
        if (option != null) {
            for (String range : option.split(",")) {
                memory.add(range(range));
            }
        } else {
            tree.nodes().stream().filter(node -> node.text("device_type").equals(MEMORY))
                .flatMap(node -> node.registers().stream()).filter(range -> range.size() > 0).forEach(memory::add);
        }
        // Sizes are below 2^52 each, so that so few of them do not wrap around.
        if (memory.size() > MOST_PIECES || memory.stream().mapToLong(Node.Range::size).sum() > MOST_MEMORY) {
            throw new ErrnoException(Errno.EINVAL, "memory: %d pieces of 0x%x bytes together; at most %d of 0x%x", memory.size(),
                memory.stream().mapToLong(Node.Range::size).sum(), MOST_PIECES, MOST_MEMORY);
        }
        Map<Node.Range, String> taken = taken(tree);
        if (memory.isEmpty()) {
            memory.add(new Node.Range(0, defaultMemory(taken)));
        }
        for (Node.Range range : memory) {
            if (((range.physical() | range.size()) & 0xfff) != 0) {
                throw new ErrnoException(Errno.EINVAL, "memory 0x%x+0x%x: no whole 4 KiB pages", range.physical(), range.size());
            }
            taken.forEach((other, path) -> {
                if (touch(range, other)) {
                    throw new ErrnoException(Errno.EINVAL, "memory 0x%x+0x%x touches 0x%x+0x%x of %s", range.physical(), range.size(),
                        other.physical(), other.size(), path);
                }
            });
            for (Node.Range other : memory) {
                if (other != range && touch(range, other)) {
                    throw new ErrnoException(Errno.EINVAL, "memory 0x%x+0x%x and 0x%x+0x%x overlap", range.physical(), range.size(),
                        other.physical(), other.size());
                }
            }
        }
        return memory;
    }

    /** What a boot loader would have found: 8 GiB at 0, or as much of it as lies below the lowest register. */
    private static long defaultMemory(Map<Node.Range, String> taken) {
        long lowest = taken.keySet().stream().mapToLong(Node.Range::physical).min().orElse(DEFAULT_MEMORY);
        long size = Math.min(DEFAULT_MEMORY, Long.highestOneBit(Math.max(1, lowest)));
        if (size < LEAST_MEMORY) {
            throw new ErrnoException(Errno.EINVAL,
                "the device tree says no memory and has registers at 0x%x; say where memory is, e.g. memory=0x10000000+0x10000000", lowest);
        }
        return size;
    }

    /** Everything in the address space that is not memory: registers, and what PCI controllers pass on. */
    private static Map<Node.Range, String> taken(DeviceTree tree) {
        Map<Node.Range, String> taken = new LinkedHashMap<>();
        for (DeviceTree.TreeNode node : tree.nodes()) {
            if (!node.text("device_type").equals(MEMORY) && !DeviceTree.inReservedMemory(node)) {
                node.registers().stream().filter(range -> range.size() > 0).forEach(range -> taken.put(range, node.path()));
            }
            if (isPcie(node)) {
                tree.outbound(node).stream().filter(range -> range.size() > 0).forEach(range -> taken.put(range, node.path()));
            }
        }
        return taken;
    }

    private static boolean touch(Node.Range a, Node.Range b) {
        return a.physical() < b.physical() + b.size() && b.physical() < a.physical() + a.size();
    }

    /** What is memory and nobody's to hand out: firmware's own, what it asks to keep in either of two ways, in whole pages. */
    private static List<Node.Range> reserved(FlatTree flat, DeviceTree tree) {
        List<Node.Range> reserved = new ArrayList<>(List.of(new Node.Range(0, FIRMWARE)));
        Stream.concat(flat.reserved().stream(), tree.reserved().stream()).filter(range -> range.size() > 0).forEach(range -> {
            long start = range.physical() & -PAGE;
            reserved.add(new Node.Range(start, (range.physical() + range.size() + PAGE - 1 & -PAGE) - start));
        });
        return reserved;
    }

    private static List<Node.Range> free(List<Node.Range> memory, List<Node.Range> holes) {
        List<Node.Range> free = new ArrayList<>(memory);
        for (Node.Range hole : holes) {
            List<Node.Range> left = new ArrayList<>();
            for (Node.Range range : free) {
                if (!touch(range, hole)) {
                    left.add(range);
                    continue;
                }
                long end = range.physical() + range.size();
                long holeEnd = hole.physical() + hole.size();
                if (hole.physical() > range.physical()) {
                    left.add(new Node.Range(range.physical(), hole.physical() - range.physical()));
                }
                if (holeEnd < end) {
                    left.add(new Node.Range(holeEnd, end - holeEnd));
                }
            }
            free = left;
        }
        return free;
    }

    private static List<TreeSlot> slots(DeviceTree tree, Map<String, String> options) {
        String chip = QorIq.chip(tree.nodes().stream().map(Node::compatible).toList());
        DeviceTree.TreeNode pamu = tree.nodes().stream()
            .filter(node -> node.compatibleWith("fsl,pamu") && !node.children().isEmpty()).findFirst().orElse(null);
        List<TreeSlot> slots = new ArrayList<>();
        Map<Integer, Integer> groups = new LinkedHashMap<>();
        for (boolean pcie : new boolean[] {true, false}) {
            List<DeviceTree.TreeNode> controllers = tree.nodes().stream().filter(pcie ? FdtMachineSource::isPcie : FdtMachineSource::isDma)
                .filter(node -> !node.registers().isEmpty())
                .sorted(Comparator.comparingLong(node -> node.registers().get(0).physical())).toList();
            for (int i = 0; i < controllers.size(); i++) {
                DeviceTree.TreeNode node = controllers.get(i);
                String name = (pcie ? "pcie" : "dma") + i;
                int[] given = node.cells("fsl,liodn");
                String option = options.remove(LIODN + name);
                int liodn = option != null ? (int) parse(LIODN + name, option, 0xffff)
                    : given.length > 0 ? given[0] : QorIq.liodn(chip, pcie, i);
                if (liodn < 0 || liodn > 0xffff) {
                    throw new ErrnoException(Errno.EINVAL, "device tree, %s: fsl,liodn 0x%x is above 0xffff", node.path(), liodn);
                }
                Requester requester = pamu == null ? null
                    : new Requester(liodn, unit(tree, pamu, node), groups.computeIfAbsent(liodn, id -> groups.size()));
                slots.add(new TreeSlot(tree, name, pcie, i, node, requester));
            }
        }
        return slots;
    }

    /** The PAMU instance the tree names; the first one where it names none. */
    private static String unit(DeviceTree tree, Node pamu, Node master) {
        Node named = tree.follow(master, "fsl,iommu-parent");
        boolean instance = named != null && pamu.children().stream().anyMatch(child -> child.path().equals(named.path()));
        return instance ? named.path() : pamu.children().get(0).path();
    }

    private static boolean isPcie(Node node) {
        return node.text("device_type").equals("pci") && node.compatible().stream().anyMatch(one -> one.contains("pci"));
    }

    private static boolean isDma(Node node) {
        return node.compatibleWith("fsl,eloplus-dma") || node.compatibleWith("fsl,elo3-dma");
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
