// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import java.util.ArrayList;
import java.util.BitSet;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import machine.acpi.DmarTable.DeviceScope;
import machine.acpi.DmarTable.Drhd;
import machine.acpi.DmarTable.Rmrr;
import machine.acpi.DmarTable.Scoped;
import machine.acpi.DmarTable.ScopeType;
import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The PCI buses that a table's scopes and the options speak of.
 *
 * <p>A root bus is there for bus 0 of each segment and for each other start bus of an endpoint or bridge. Each bridge
 * on the way of a path is there too. Secondary bus numbers are given as firmware gives them: depth first, by ascending
 * place, the lowest number that no root bus and no option has; so they depend on table and options alone.
 */
final class PciTopology {
    private static final int MAX_BUS = 255;
    /** Tables repeat themselves; more than this is an attack on memory. */
    private static final int MAX_REQUESTERS = 1 << 20;

    private final Map<Integer, PciBus> roots = new TreeMap<>();
    private final Map<Integer, String> includeAll = new HashMap<>();
    /** Places of functions that some scope calls an endpoint. */
    private final Map<PciBus, Set<Integer>> functions = new HashMap<>();
    private final List<PciBus> buses = new ArrayList<>();
    private final Set<DeviceScope> disbelieved = new HashSet<>();
    private final List<String> warnings;
    private int requesters;

    /** @param warnings gets a line for each scope that contradicts an earlier one and is left out */
    PciTopology(DmarTable table, Map<String, AcpiOptions.Bridge> bridges, List<String> warnings) {
        this.warnings = warnings;
        root(0, 0);
        // What only tells of caches must not contradict what tells of units.
        for (boolean protects : new boolean[] {true, false}) {
            table.structures().forEach(structure -> {
                if (structure instanceof Scoped scoped
                    && protects == (scoped instanceof Drhd || scoped instanceof Rmrr)) {
                    scopes(scoped, protects);
                }
            });
        }
        Map<String, PciBus> named = named(bridges);
        number(bridges, named);
        named.forEach((name, bus) -> bus.name = name);
        name();
    }

    /** {@return the buses: root buses by segment and number, then what is behind bridges, depth first} */
    List<PciBus> buses() {
        return buses;
    }

    /** {@return the path of the unit a function is behind; null if none covers it} */
    String unit(PciBus bus, int function) {
        PciBus top = bus.behind();
        if (top == null && bus.endpoints.containsKey(function)) {
            return bus.endpoints.get(function);
        }
        for (PciBus up = top == null ? bus : top; up != null; up = up.parent) {
            if (up.unit != null) {
                return up.unit;
            }
        }
        return includeAll.get(bus.segment);
    }

    /** {@return the addresses of the functions of a segment that some unit covers by name} */
    List<String> covered(int segment) {
        List<String> covered = new ArrayList<>();
        for (PciBus bus : buses) {
            if (bus.segment == segment) {
                bus.endpoints.keySet().forEach(function -> covered.add(bus.address(function)));
            }
        }
        return covered;
    }

    /** {@return the requester id of the function a scope names} */
    int requester(int segment, DeviceScope scope) {
        int last = scope.path().get(scope.path().size() - 1);
        return scope.path().size() == 1 && !roots.containsKey(key(segment, scope.startBus()))
            ? scope.startBus() << 8 | last
            : walk(segment, scope).requester(last);
    }

    /** {@return all requester ids of the functions the scopes name, of bridges those of everything below, ascending} */
    int[] requesters(Scoped structure) {
        TreeSet<Integer> ids = new TreeSet<>();
        for (DeviceScope scope : structure.scopes()) {
            if (scope.type() == ScopeType.BRIDGE) {
                below(walk(structure.segment(), scope).bridges.get(scope.path().get(scope.path().size() - 1)), ids);
            } else {
                ids.add(requester(structure.segment(), scope));
            }
        }
        requesters += ids.size();
        if (requesters > MAX_REQUESTERS) {
            throw DmarReader.malformed(structure.offset(), "the scopes up to here name more than 0x%x requesters",
                MAX_REQUESTERS);
        }
        return ids.stream().mapToInt(Integer::intValue).toArray();
    }

    private static void below(PciBus bus, Set<Integer> ids) {
        for (int function = 0; function < 256; function++) {
            ids.add(bus.requester(function));
        }
        bus.bridges.values().forEach(next -> below(next, ids));
    }

    /** {@return whether a scope is gone by} */
    boolean believes(DeviceScope scope) {
        return !disbelieved.contains(scope);
    }

    private void scopes(Scoped structure, boolean protects) {
        root(structure.segment(), 0);
        String unit = structure instanceof Drhd drhd ? AcpiMachine.path(drhd) : null;
        if (structure instanceof Drhd drhd && drhd.includePciAll()) {
            includeAll.putIfAbsent(drhd.segment(), unit);
        }
        for (DeviceScope scope : structure.scopes()) {
            boolean pci = scope.type() == ScopeType.ENDPOINT || scope.type() == ScopeType.BRIDGE;
            if (!pci && scope.path().size() == 1) {
                continue;
            }
            root(structure.segment(), scope.startBus());
            try {
                scope(structure.segment(), scope, unit);
            } catch (ErrnoException e) {
                if (protects) {
                    throw e;
                }
                disbelieved.add(scope);
                warnings.add(e.reason() + "; the scope is left out");
            }
        }
    }

    private void scope(int segment, DeviceScope scope, String unit) {
        PciBus bus = walk(segment, scope);
        int last = scope.path().get(scope.path().size() - 1);
        if (scope.type() == ScopeType.ENDPOINT) {
            endpoint(bus, last, unit, scope);
        } else if (scope.type() == ScopeType.BRIDGE) {
            PciBus behind = bridge(bus, last, scope);
            behind.unit = agreed(behind.unit, unit, scope);
        }
    }

    private void endpoint(PciBus bus, int function, String unit, DeviceScope scope) {
        if (bus.bridges.containsKey(function)) {
            throw contradiction(bus, function, scope);
        }
        functions.computeIfAbsent(bus, key -> new HashSet<>()).add(function);
        String owner = agreed(bus.endpoints.get(function), unit, scope);
        if (owner != null) {
            bus.endpoints.put(function, owner);
        }
    }

    private PciBus bridge(PciBus bus, int function, DeviceScope scope) {
        if (functions.getOrDefault(bus, Set.of()).contains(function)) {
            throw contradiction(bus, function, scope);
        }
        return bus.bridges.computeIfAbsent(function, place -> new PciBus(bus.segment, bus, place, -1));
    }

    /** The first unit that names a device has it. */
    private String agreed(String before, String unit, DeviceScope scope) {
        if (before != null && unit != null && !before.equals(unit)) {
            warnings.add(DmarReader.at(scope.offset(),
                "device scope belongs to %s already and to %s now; the first counts", before, unit));
        }
        return before == null ? unit : before;
    }

    private static ErrnoException contradiction(PciBus bus, int function, DeviceScope scope) {
        return DmarReader.malformed(scope.offset(),
            "device 0x%x function 0x%x on %s is a bridge in one scope and an endpoint in another",
            function >> 3, function & 7,
            bus.parent == null ? String.format("bus 0x%x", bus.number) : "a secondary bus");
    }

    /** {@return the bus on which a path ends; bridges on the way are made if they are not there} */
    private PciBus walk(int segment, DeviceScope scope) {
        PciBus bus = roots.get(key(segment, scope.startBus()));
        for (int hop = 0; hop < scope.path().size() - 1; hop++) {
            bus = bridge(bus, scope.path().get(hop), scope);
        }
        return bus;
    }

    private void root(int segment, int number) {
        roots.computeIfAbsent(key(segment, number), key -> {
            PciBus bus = new PciBus(segment, null, 0, number);
            bus.name = "pci" + segment + (number == 0 ? "" : String.format(".%02x", number));
            return bus;
        });
    }

    private static int key(int segment, int number) {
        return segment << 8 | number;
    }

    /**
     * Plugs the bridges of the options in. One may stand on another, whichever comes first; it may rename one of the
     * table's.
     */
    private Map<String, PciBus> named(Map<String, AcpiOptions.Bridge> options) {
        Map<String, PciBus> known = new HashMap<>();
        for (PciBus root : roots.values()) {
            known.put(root.name, root);
            root.bridges.forEach((place, bus) -> known.put(root.address(place), bus));
        }
        Map<String, PciBus> named = new LinkedHashMap<>();
        Map<String, AcpiOptions.Bridge> left = new LinkedHashMap<>(options);
        boolean progress = true;
        while (progress && !left.isEmpty()) {
            progress = left.entrySet().removeIf(option -> {
                PciBus parent = known.get(option.getValue().parent());
                if (parent == null) {
                    return false;
                }
                PciBus bus = plug(option.getKey(), option.getValue(), parent, named);
                if (known.putIfAbsent(option.getKey(), bus) != null) {
                    throw new ErrnoException(Errno.EINVAL,
                        "option bridge.%s: a slot of that name exists; choose another", option.getKey());
                }
                named.put(option.getKey(), bus);
                return true;
            });
        }
        left.forEach((name, option) -> {
            throw new ErrnoException(Errno.EINVAL, "option bridge.%s: no slot is called %s; there are %s", name,
                option.parent(), new TreeSet<>(known.keySet()));
        });
        return named;
    }

    private PciBus plug(String name, AcpiOptions.Bridge option, PciBus parent, Map<String, PciBus> named) {
        PciBus there = parent.bridges.get(option.place());
        boolean endpoint = functions.getOrDefault(parent, Set.of()).contains(option.place());
        if (endpoint || named.containsValue(there)) {
            throw new ErrnoException(Errno.EINVAL,
                "option bridge.%s: device 0x%x function 0x%x on %s is %s; choose another place", name,
                option.place() >> 3, option.place() & 7, option.parent(), endpoint ? "an endpoint" : "another bridge");
        }
        PciBus bus = parent.bridges.computeIfAbsent(option.place(),
            place -> new PciBus(parent.segment, parent, place, -1));
        bus.conventional = option.conventional();
        return bus;
    }

    private void number(Map<String, AcpiOptions.Bridge> options, Map<String, PciBus> named) {
        Map<Integer, BitSet> taken = new HashMap<>();
        roots.values().forEach(root -> taken.computeIfAbsent(root.segment, key -> new BitSet()).set(root.number));
        named.forEach((name, bus) -> {
            int number = options.get(name).bus();
            BitSet segment = taken.get(bus.segment);
            if (number >= 0 && segment.get(number)) {
                throw new ErrnoException(Errno.EINVAL, "option bridge.%s: bus number 0x%x is taken; choose another",
                    name, number);
            }
            if (number >= 0) {
                segment.set(number);
                bus.number = number;
            }
        });
        buses.addAll(roots.values());
        roots.values().forEach(root -> descend(root, taken.get(root.segment)));
    }

    private void descend(PciBus bus, BitSet taken) {
        for (PciBus next : bus.bridges.values()) {
            if (next.number < 0) {
                next.number = taken.nextClearBit(1);
                taken.set(next.number);
            }
            if (next.number > MAX_BUS) {
                throw new ErrnoException(Errno.EINVAL,
                    "segment 0x%x has more bridges than bus numbers (0x%x); leave some away", bus.segment, MAX_BUS + 1);
            }
            buses.add(next);
            descend(next, taken);
        }
    }

    private void name() {
        for (PciBus bus : buses) {
            if (bus.name == null) {
                bus.name = bus.parent.address(bus.place);
            }
        }
    }
}
