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
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Slot;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Vfio;

/** Plugs edu devices into the machine's places and pulls them out again. */
final class Places implements AutoCloseable {
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
     * Plugs devices in, so that no two containers share a group.
     *
     * @param containers at most so many
     * @param devices at most so many for each of them
     * @return the devices of each container: one container and one device at least
     * @throws ErrnoException EOPNOTSUPP if all devices are the machine's own; ENOSPC if it has no place for one
     */
    List<List<String>> plug(int containers, int devices) throws IOException, InterruptedException {
        List<Slot> slots = machine.slots().stream().filter(slot -> !slot.node().builtIn()).toList();
        if (slots.isEmpty() && !machine.slots().isEmpty()) {
            throw new ErrnoException(Errno.EOPNOTSUPP, "the devices of %s are its own; none can be plugged in",
                machine.model());
        }
        Set<String> present = new HashSet<>();
        Set<Integer> used = new HashSet<>();
        vfio.groups().forEach(group -> {
            present.addAll(group.devices());
            if (group.container().isPresent()) {
                used.add(group.number());
            }
        });
        List<List<String>> sets = new ArrayList<>();
        for (List<Allotment.Place> places : Allotment.of(slots, present, used, wantedByFirmware(), containers,
            devices)) {
            List<String> names = new ArrayList<>();
            for (Allotment.Place place : places) {
                names.add(plug(place));
            }
            sets.add(names);
        }
        if (sets.isEmpty()) {
            throw new ErrnoException(Errno.ENOSPC,
                "no place of %s is free for a device: no unit covers it, firmware wants memory mapped"
                + " for it (RMRR), or it is taken",
                machine.model());
        }
        return sets;
    }

    private Set<Integer> wantedByFirmware() {
        return machine.nodes().stream().filter(node -> node.compatibleWith("intel,rmrr"))
            .flatMapToInt(node -> Arrays.stream(node.cells("requesters"))).boxed().collect(Collectors.toSet());
    }

    private String plug(Allotment.Place place) throws IOException, InterruptedException {
        String name = place.name();
        Configuration configuration = configurations.createFactoryConfiguration("device.edu", "?");
        plugged.put(name, configuration);
        configuration.update(
            new Hashtable<>(Map.of("slot", place.slot().name(), "device", place.device(), "function", place.function(),
            "dma.mask", -1L)));
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
