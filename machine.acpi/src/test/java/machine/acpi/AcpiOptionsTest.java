// SPDX-License-Identifier: Apache-2.0
package machine.acpi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Requester;
import machine.api.Slot;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class AcpiOptionsTest {
    private static final String ALL = "/drhd@fed90000";
    private static final String SOME = "/drhd@fed91000";

    private static Machine open(Map<String, String> options) {
        return new AcpiMachineSource().open("q35", Q35Table.bytes(), options);
    }

    private static Slot slot(Machine machine, String name) {
        return machine.slots().stream().filter(slot -> slot.name().equals(name)).findFirst().orElseThrow();
    }

    private static void refused(String reason, String name, String value) {
        ErrnoException e = assertThrows(ErrnoException.class, () -> open(Map.of(name, value)));
        assertEquals(Errno.EINVAL, e.errno());
        assertTrue(e.getMessage().contains(reason), e.getMessage());
    }

    @Test
    @DisplayName("memory=base+size,...: decimal or hex, K, M, G; the lowest 16 MiB and the RMRR are not free")
    void memory() {
        assertEquals((64L << 20) - (16 << 20), open(Map.of("memory", "0x0+64M")).memory().available());
        assertEquals((48L << 20) + (1 << 20),
            open(Map.of("memory", "0+65536K, 0x100000000+0x100000")).memory().available());
        refused("whole 4 KiB pages", "memory", "64M");
        refused("whole 4 KiB pages", "memory", "0+64X");
        refused("whole 4 KiB pages", "memory", "");
        refused("whole 4 KiB pages", "memory", "0+0");
        refused("whole 4 KiB pages", "memory", "0x800+4K");
        refused("whole 4 KiB pages", "memory", "0+0xfffffffffffff000");
        refused("whole 4 KiB pages", "memory", "0+9000000G");
        refused("overlaps the piece before", "memory", "0+2G,1G+2G");
        refused("overlaps", "memory", "0+4G");
        refused("at most 0x10000000000 within the DMAR's 39 bits", "memory", "0x7fffffffff000+8K");
    }

    @Test
    @DisplayName("cpus: 1..255; unknown options are refused")
    void others() {
        assertEquals(255, open(Map.of("cpus", "255")).cpus().size());
        refused("1..255", "cpus", "0");
        refused("1..255", "cpus", "256");
        refused("1..255", "cpus", "four");
        refused("there are memory, cpus and bridge.<name>", "cpu", "4");
        refused("there are memory, cpus and bridge.<name>", "bridge.", "pci0/1.0");
    }

    @Test
    @DisplayName("bridge.<name>: a root port has a bus of its own and isolates; functions of one device share a group")
    void rootPort() {
        Machine machine = open(Map.of("bridge.rp", "pci0/1.0", "bridge.below", "rp/00.1,pcie,bus=40"));
        assertEquals(List.of("pci0", "rp", "below", "0000:00:1c.0"), machine.slots().stream().map(Slot::name).toList());
        assertEquals(new Requester(0x100, ALL, 0x20), slot(machine, "rp").requester(0, 0));
        assertEquals(new Requester(0x4000, ALL, 0x40 << 5), slot(machine, "below").requester(0, 0));
        assertEquals(new Requester(0x4001, ALL, 0x40 << 5), slot(machine, "below").requester(0, 1));
        assertEquals(new Requester(0x4008, ALL, 0x40 << 5 | 1), slot(machine, "below").requester(1, 0));
        assertEquals("0000:40:00.0", slot(machine, "below").address(0, 0));
        assertEquals(0x200, slot(machine, "0000:00:1c.0").requester(0, 0).id(), "numbered depth first");
        assertEquals(Errno.ENXIO,
            assertThrows(ErrnoException.class, () -> slot(machine, "rp").requester(0, 1)).errno());
    }

    @Test
    @DisplayName("bridge.<name>=...,pci: everything behind speaks as secondary bus, 00.0, and is one group with the "
        + "bridge's device")
    void conventional() {
        Machine machine = open(Map.of("bridge.conv", "pci0/1e.0,pci", "bridge.deep", "conv/02.0",
            "bridge.graphics", "0000:00:1c.0/1.0,pci"));
        Slot conv = slot(machine, "conv");
        int id = conv.requester(0, 0).id();
        assertEquals(0, id & 0xff);
        assertEquals(new Requester(id, ALL, 0x1e), conv.requester(5, 0));
        assertEquals(new Requester(id, ALL, 0x1e), slot(machine, "deep").requester(7, 3));
        assertEquals(0x1e, slot(machine, "pci0").requester(0x1e, 1).group());
        assertEquals("0000:03:05.0", conv.address(5, 0));
        assertEquals(new Requester(0x200, SOME, 0x21), slot(machine, "graphics").requester(9, 0));
    }

    @Test
    @DisplayName("bridge.<name>: a bridge of the table can be named and made conventional")
    void named() {
        Machine machine = open(Map.of("bridge.slot1", "pci0/1c.0,pci,bus=5"));
        assertEquals(List.of("pci0", "slot1"), machine.slots().stream().map(Slot::name).toList());
        assertEquals(new Requester(0x500, SOME, 0x1c), slot(machine, "slot1").requester(3, 0));
    }

    @Test
    @DisplayName("bridge.<name>: nonsense is refused")
    void bridgesRefused() {
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0");
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0/20.0");
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0/1.8");
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0/1.0,bus=0");
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0/1.0,bus=100");
        refused("give <slot>/<device>.<function>", "bridge.a", "pci0/1.0,isa");
        refused("no slot is called pci7", "bridge.a", "pci7/1.0");
        refused("no slot is called a", "bridge.a", "a/1.0");
        refused("a slot of that name exists", "bridge.pci0", "pci0/1.0");
        refused("is an endpoint", "bridge.a", "pci0/02.0");
        ErrnoException twice = assertThrows(ErrnoException.class,
            () -> open(Map.of("bridge.a", "pci0/1.0", "bridge.b", "pci0/1.0")));
        assertTrue(twice.getMessage().contains("is another bridge"), twice.getMessage());
        ErrnoException number = assertThrows(ErrnoException.class,
            () -> open(Map.of("bridge.a", "pci0/1.0,bus=9", "bridge.b", "pci0/3.0,bus=9")));
        assertTrue(number.getMessage().contains("bus number 0x9 is taken"), number.getMessage());
    }
}
