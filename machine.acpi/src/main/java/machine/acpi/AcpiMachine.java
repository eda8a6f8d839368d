// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import machine.acpi.DmarTable.Andd;
import machine.acpi.DmarTable.Atsr;
import machine.acpi.DmarTable.Drhd;
import machine.acpi.DmarTable.Rhsa;
import machine.acpi.DmarTable.Rmrr;
import machine.acpi.DmarTable.Satc;
import machine.acpi.DmarTable.ScopeType;
import machine.acpi.DmarTable.Scoped;
import machine.acpi.DmarTable.Structure;
import machine.acpi.DmarTable.Unknown;
import machine.api.Board;
import machine.api.Node;
import machine.api.Slot;

/** Puts the description of a machine together: memory, a node for each structure, a slot for each PCI bus. */
final class AcpiMachine {
    /** The local APICs of an x86 machine; the DMAR does not mention them. */
    static final Node.Range LAPIC = new Node.Range(0xfee00000L, 0x100000);

    private final DmarTable table;
    private final PciTopology topology;
    private final AcpiNode root = new AcpiNode(null, "", "acpi,dmar");
    private final Map<String, Integer> names = new HashMap<>();

    private AcpiMachine(DmarTable table, PciTopology topology) {
        this.table = table;
        this.topology = topology;
    }

    static Board of(DmarTable table, AcpiOptions options) {
        List<String> warnings = new ArrayList<>(table.warnings());
        AcpiMemory memory = new AcpiMemory(table, options.memory(), warnings);
        return new AcpiMachine(table, new PciTopology(table, options.bridges(), warnings)).build(memory, options.cpus(),
            warnings);
    }

    /** {@return the path of the node of a remapping unit} */
    static String path(Drhd drhd) {
        return String.format("/drhd@%x", drhd.base());
    }

    private Board build(AcpiMemory memory, int cores, List<String> warnings) {
        root.with("oem-id", table.oemId()).with("oem-table-id", table.oemTableId())
            .with("host-address-width", table.addressWidth()).with("flags", table.flags());
        new AcpiNode(root, "lapic", "intel,lapic", LAPIC);
        table.structures().forEach(this::add);
        Map<PciBus, AcpiNode> buses = new LinkedHashMap<>();
        for (PciBus bus : topology.buses()) {
            buses.put(bus, bus(bus, buses.getOrDefault(bus.parent, root)));
        }
        List<Node> nodes = Board.flat(List.of(root.node()));
        List<Slot> slots = new ArrayList<>();
        buses.forEach((bus, node) -> slots.add(new PciSlot(bus, topology, node.node())));
        return new Board(("ACPI DMAR " + table.oemId() + ' ' + table.oemTableId()).strip(), memory.pieces(),
            memory.free(), nodes, slots, cores, warnings);
    }

    private void add(Structure structure) {
        if (structure instanceof Drhd drhd) {
            drhd(drhd);
        } else if (structure instanceof Rmrr rmrr) {
            new AcpiNode(root, unique("rmrr", rmrr.base()), "intel,rmrr", AcpiMemory.range(rmrr))
                .with("segment", rmrr.segment()).with("requesters", topology.requesters(rmrr));
        } else if (structure instanceof Atsr atsr) {
            new AcpiNode(root, unique("atsr", atsr.offset()), "intel,atsr")
                .with("segment", atsr.segment()).with("all-ports", atsr.allPorts() ? 1 : 0)
                .with("bridges", named(atsr, ScopeType.BRIDGE));
        } else if (structure instanceof Rhsa rhsa) {
            new AcpiNode(root, unique("rhsa", rhsa.base()), "intel,rhsa")
                .with("proximity", rhsa.proximity());
        } else if (structure instanceof Andd andd) {
            new AcpiNode(root, unique("andd", andd.device()), "intel,andd")
                .with("acpi-path", andd.name());
        } else if (structure instanceof Satc satc) {
            new AcpiNode(root, unique("satc", satc.offset()), "intel,satc")
                .with("segment", satc.segment()).with("atc-required", satc.required() ? 1 : 0)
                .with("endpoints", named(satc, ScopeType.ENDPOINT));
        } else if (!(structure instanceof Unknown)) {
            throw new IllegalArgumentException(structure.toString());
        }
    }

    private void drhd(Drhd drhd) {
        new AcpiNode(root, path(drhd).substring(1), "intel,vt-d", new Node.Range(drhd.base(), drhd.size()))
            .with("segment", drhd.segment()).with("include-pci-all", drhd.includePciAll() ? 1 : 0)
            .with("host-address-width", table.addressWidth())
            .with("interrupt-remapping", table.flags() & DmarTable.INTERRUPT_REMAPPING)
            .with("endpoints", named(drhd, ScopeType.ENDPOINT)).with("bridges", named(drhd, ScopeType.BRIDGE))
            .with("ioapics", numbered(drhd, ScopeType.IOAPIC)).with("hpets", numbered(drhd, ScopeType.HPET))
            .with("namespace-devices", numbered(drhd, ScopeType.NAMESPACE));
    }

    private AcpiNode bus(PciBus bus, AcpiNode parent) {
        AcpiNode node = bus.parent == null
            ? new AcpiNode(root, bus.name, "acpi,pnp0a08")
            : new AcpiNode(parent, String.format("bridge@%x,%x", bus.place >> 3, bus.place & 7), "pciclass,0604");
        return node.with("segment", bus.segment).with("bus", bus.number).with("conventional", bus.conventional ? 1 : 0);
    }

    /** Requester ids of the scopes of one type. */
    private int[] named(Scoped structure, ScopeType type) {
        return structure.scopes().stream().filter(scope -> scope.type() == type && topology.believes(scope))
            .mapToInt(scope -> topology.requester(structure.segment(), scope)).toArray();
    }

    /** Pairs of enumeration id and requester id. */
    private int[] numbered(Scoped structure, ScopeType type) {
        int[] ids = named(structure, type);
        int[] numbers = structure.scopes().stream().filter(scope -> scope.type() == type && topology.believes(scope))
            .mapToInt(DmarTable.DeviceScope::enumerationId).toArray();
        int[] pairs = new int[2 * ids.length];
        for (int i = 0; i < ids.length; i++) {
            pairs[2 * i] = numbers[i];
            pairs[2 * i + 1] = ids[i];
        }
        return pairs;
    }

    /** A second structure for the same address gets a number: rmrr@7f800000,1. */
    private String unique(String kind, long address) {
        String name = String.format("%s@%x", kind, address);
        int before = names.merge(name, 1, Integer::sum) - 1;
        return before == 0 ? name : name + ',' + before;
    }
}
