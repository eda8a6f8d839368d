// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.Hashtable;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Slot;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Vfio;

/** Plugs edu devices into the machine's places and pulls them out again. */
final class Places implements AutoCloseable {
    private static final int PLACES = 32;
    private static final long PATIENCE_SECONDS = 10;

    private final Machine machine;
    private final Vfio vfio;
    private final ConfigurationAdmin configurations;
    private final Map<String, Configuration> plugged = new LinkedHashMap<>();

    Places(Machine machine, Vfio vfio, ConfigurationAdmin configurations) {
        this.machine = machine;
        this.vfio = vfio;
        this.configurations = configurations;
    }

    /**
     * Plugs so many devices in for each of at most so many containers, that no two of them share a group.
     *
     * @return the devices of each container: of one at least
     * @throws ErrnoException ENOSPC if there is no slot with so many free places
     */
    List<List<String>> plug(int containers, int devices) throws IOException, InterruptedException {
        List<List<String>> sets = new ArrayList<>();
        Set<Integer> taken = new HashSet<>();
        // Two turns: a slot whose places are groups of their own may serve twice.
        for (int turn = 0; turn < 2; turn++) {
            for (Slot slot : machine.slots()) {
                List<Integer> places = sets.size() < containers ? free(slot, taken) : List.of();
                if (places.size() >= devices) {
                    List<String> names = new ArrayList<>();
                    for (int place : places.subList(0, devices)) {
                        names.add(plug(slot, place));
                    }
                    sets.add(names);
                    names.forEach(name -> taken.add(vfio.groupOf(name).number()));
                }
            }
        }
        if (sets.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC, "no slot of %s has %d free places for devices; there are %s", machine.model(), devices,
                machine.slots().stream().map(Slot::name).toList());
        }
        return sets;
    }

    /**
     * The free places of a slot whose groups are nobody's. On bus 0 the chipset's own places, 0 to 2, are left out; and so is a place that
     * firmware wants memory mapped for (RMRR), whose device is not given to a user.
     */
    private List<Integer> free(Slot slot, Set<Integer> taken) {
        Set<String> present = new HashSet<>();
        Set<Integer> used = new HashSet<>(taken);
        vfio.groups().forEach(group -> {
            present.addAll(group.devices());
            if (group.container().isPresent()) {
                used.add(group.number());
            }
        });
        Set<Integer> wanted = wantedByFirmware();
        int first = slot.address(0, 0).contains(":00:00.0") ? 3 : 0;
        return IntStream.range(first, PLACES).filter(place -> slot.covers(place, 0) && !present.contains(slot.address(place, 0))
            && !used.contains(slot.requester(place, 0).group()) && !wanted.contains(slot.requester(place, 0).id())).boxed().toList();
    }

    private Set<Integer> wantedByFirmware() {
        return machine.nodes().stream().filter(node -> node.compatibleWith("intel,rmrr"))
            .flatMapToInt(node -> Arrays.stream(node.cells("requesters"))).boxed().collect(Collectors.toSet());
    }

    private String plug(Slot slot, int place) throws IOException, InterruptedException {
        String name = slot.address(place, 0);
        Configuration configuration = configurations.createFactoryConfiguration("device.edu", "?");
        plugged.put(name, configuration);
        configuration.update(new Hashtable<>(Map.of("slot", slot.name(), "device", place, "function", 0, "dma.mask", -1L)));
        await(name, true);
        return name;
    }

    /** Pulls all out. */
    @Override
    public void close() throws IOException, InterruptedException {
        for (Configuration configuration : plugged.values()) {
            configuration.delete();
        }
        for (String name : plugged.keySet()) {
            await(name, false);
        }
    }

    private void await(String device, boolean present) throws InterruptedException {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (vfio.groups().stream().anyMatch(group -> group.devices().contains(device)) != present) {
            if (System.nanoTime() > deadline) {
                throw new ErrnoException(Errno.ETIMEDOUT, "device %s did not %s within %d s; see the log", device,
                    present ? "appear" : "leave", PATIENCE_SECONDS);
            }
            Thread.sleep(2);
        }
    }
}
