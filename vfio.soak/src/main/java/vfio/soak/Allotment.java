// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.IntStream;
import machine.api.Slot;

/**
 * The distribution of a machine's places to the devices of each container: a QorIQ controller has 256 places, some DMAR
 * tables cover one.
 */
final class Allotment {
    private static final int DEVICES = 32;
    private static final int FUNCTIONS = 8;
    /** On bus 0 these are the chipset's own; they are taken last. */
    private static final int CHIPSET = 3;

    /** A place for a device. */
    record Place(Slot slot, int device, int function) {
        String name() {
            return slot.address(device, function);
        }

        int requester() {
            return slot.requester(device, function).id();
        }

        int group() {
            return slot.requester(device, function).group();
        }
    }

    private Allotment() {
    }

    /**
     * No two containers share a group. They take turns, and so do slots; a container with fewer devices, or groups with
     * fewer places, comes first. A device is function 0 where that is covered; further functions go to a container with
     * too few otherwise.
     *
     * @param slots whose devices are not the machine's own
     * @param present names of devices that are there already
     * @param used groups that are somebody's
     * @param wanted requesters that firmware wants memory mapped for (RMRR): their devices are not given to a user
     * @param containers at most so many
     * @param devices at most so many for each
     * @return the places of each container, one at least; no container if there is no place
     */
    static List<List<Place>> of(List<Slot> slots, Set<String> present, Set<Integer> used, Set<Integer> wanted,
        int containers,
            int devices) {
        Map<Integer, List<Place>> groups = new HashMap<>();
        List<Set<Integer>> bySlot = new ArrayList<>();
        for (Slot slot : slots) {
            Set<Integer> own = new LinkedHashSet<>();
            for (Place place : places(slot)) {
                if (!present.contains(place.name()) && !used.contains(place.group())
                    && !wanted.contains(place.requester())) {
                    groups.computeIfAbsent(place.group(), number -> new ArrayList<>()).add(place);
                    own.add(place.group());
                }
            }
            bySlot.add(own);
        }
        Map<Place, List<Place>> spare = new LinkedHashMap<>();
        List<List<Place>> sets = new ArrayList<>();
        for (int group : inTurn(bySlot)) {
            List<Place> all = groups.get(group);
            if (sets.size() < containers) {
                sets.add(new ArrayList<>());
            }
            List<Place> poorest = sets.stream().min(Comparator.<List<Place>>comparingInt(List::size)
                .thenComparingInt(
                    set -> set.stream().map(Place::group).distinct().mapToInt(own -> groups.get(own).size()).sum()))
                .orElseThrow();
            List<Place> whole = all.stream().filter(place -> place.function == 0).toList();
            whole = whole.isEmpty() ? all : whole;
            poorest.addAll(whole.subList(0, Math.min(whole.size(), devices - poorest.size())));
            for (Place place : all) {
                if (!poorest.contains(place)) {
                    spare.put(place, poorest);
                }
            }
        }
        spare.forEach((place, set) -> {
            if (set.size() < devices) {
                set.add(place);
            }
        });
        return sets;
    }

    /** Function 0 of every device first. */
    private static List<Place> places(Slot slot) {
        int first = slot.address(0, 0).contains(":00:00.0") ? CHIPSET : 0;
        return IntStream.range(0, FUNCTIONS * DEVICES)
            .mapToObj(i -> new Place(slot, (first + i % DEVICES) % DEVICES, i / DEVICES))
            .filter(place -> slot.covers(place.device, place.function)).toList();
    }

    /** The first of each, the second of each, and so on; each number once. */
    private static Set<Integer> inTurn(List<Set<Integer>> sets) {
        List<List<Integer>> lists = sets.stream().map(List::copyOf).toList();
        Set<Integer> all = new LinkedHashSet<>();
        int longest = lists.stream().mapToInt(List::size).max().orElse(0);
        for (int i = 0; i < longest; i++) {
            for (List<Integer> list : lists) {
                if (i < list.size()) {
                    all.add(list.get(i));
                }
            }
        }
        return all;
    }
}
