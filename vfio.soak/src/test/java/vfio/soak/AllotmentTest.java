// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.function.IntUnaryOperator;
import java.util.stream.IntStream;
import machine.api.Requester;
import machine.api.Slot;
import machine.fixture.TestSlot;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Machines from one with hundreds of places to one with none. A place is device << 3 | function. */
class AllotmentTest {
    /** @param group of a place, negative where there is none */
    private static Slot bus(String name, IntUnaryOperator group) {
        return TestSlot.of(name, "0000:" + name, place -> {
            int number = group.applyAsInt(place);
            return number < 0 ? null : new Requester(place, "unit", number);
        });
    }

    /** Everything behind a QorIQ controller is one group. */
    private static Slot controller(String name, int group) {
        return bus(name, place -> group);
    }

    /** On a PC each device is a group, if a unit covers it. */
    private static Slot pc(String name, int... covered) {
        int first = Integer.parseInt(name, 16) << 5;
        return bus(name, place -> IntStream.of(covered).anyMatch(one -> one == place) ? first | place >> 3 : -1);
    }

    private static List<List<String>> allot(Set<String> present, Set<Integer> used, Slot... slots) {
        List<List<Allotment.Place>> sets = Allotment.of(List.of(slots), present, used, Set.of(0x40), 2, 4);
        Set<Integer> groups = new HashSet<>();
        sets.forEach(set -> {
            Set<Integer> own = new HashSet<>(set.stream().map(Allotment.Place::group).toList());
            own.forEach(group -> assertEquals(true, groups.add(group), "two containers share group " + group));
        });
        return sets.stream().map(set -> set.stream().map(place -> place.name().substring(5)).toList()).toList();
    }

    private static List<List<String>> allot(Slot... slots) {
        return allot(Set.of(), Set.of(), slots);
    }

    @DisplayName("QorIQ: a controller for each container; with one requester id there is one container")
    @Test
    void controllers() {
        List<String> one = List.of("01:00.0", "01:01.0", "01:02.0", "01:03.0");
        assertEquals(List.of(one, List.of("02:00.0", "02:01.0", "02:02.0", "02:03.0")),
            allot(controller("01", 0), controller("02", 1),
            controller("03", 2)));
        assertEquals(List.of(one), allot(controller("01", 0)));
        assertEquals(List.of(one), allot(controller("01", 0), controller("02", 0)),
            "a group that reaches over two slots");
    }

    @DisplayName("A PC with every place: both containers have all they want, and the chipset's places stay free")
    @Test
    void pcs() {
        Slot all = bus("00", place -> place >> 3);
        assertEquals(
            List.of(List.of("00:03.0", "00:05.0", "00:07.0", "00:0a.0"),
                List.of("00:04.0", "00:06.0", "00:09.0", "00:0b.0")),
            allot(all));
        assertEquals(
            List.of(List.of("00:03.0", "00:04.0", "00:05.0", "00:06.0"),
                List.of("05:00.0", "05:01.0", "05:02.0", "05:03.0")),
            allot(all, bus("05", place -> 5 << 5 | place >> 3)));
    }

    @DisplayName("QEMU's q35: functions and the chipset's places serve where there is nothing else")
    @Test
    void q35() {
        assertEquals(List.of(List.of("00:1f.0", "00:1f.2", "00:1f.3"), List.of("00:00.0", "00:01.0")),
            allot(pc("00", 0, 8, 0xf8, 0xfa, 0xfb)));
    }

    @DisplayName("One place is one container with one device, be it a function; none is none")
    @Test
    void few() {
        assertEquals(List.of(List.of("00:02.0")), allot(pc("00", 0x10)));
        assertEquals(List.of(List.of("00:1f.3")), allot(pc("00", 0xfb)));
        assertEquals(List.of(List.of("00:02.0"), List.of("01:00.0")), allot(pc("00", 0x10), pc("01", 0)),
            "a first slot with one place");
        assertEquals(List.of(), allot(pc("00")));
        assertEquals(List.of(), allot());
        assertEquals("1 container with 1 device, no place for a rogue device, bursts, a pin",
            Soak.containers(List.of(List.of("a"))));
        assertEquals("2 containers with 3 and 2 devices, no place for a pin",
            Soak.containers(List.of(List.of("a", "b", "c"), List.of("d", "e"))));
        assertEquals("2 containers with 4 and 4 devices",
            Soak.containers(List.of(List.of("a", "b", "c", "d"), List.of("e", "f", "g", "h"))));
    }

    @DisplayName("Places with a device, groups of other containers and places with reserved memory (RMRR) are left "
        + "alone")
    @Test
    void others() {
        assertEquals(List.of(List.of("00:06.0"), List.of("00:07.0")),
            allot(Set.of("0000:00:03.0"), Set.of(4, 5), pc("00", 0x18, 0x20, 0x28, 0x30, 0x38, 0x40)));
    }
}
