// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import machine.api.Requester;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.Group;
import vfio.container.host.Cleanup;

/** One isolation group. Changed under the service's topology lock, read at any time. */
final class VfioGroup implements Group {
    private final int number;
    private final VfioService service;
    private final Map<String, PciFunction> functions = new ConcurrentSkipListMap<>();
    private final Map<String, VfioDevice> open = new ConcurrentHashMap<>();
    /** Devices that are about to be open. Under the service's topology lock. */
    private final Set<String> opening = new HashSet<>();
    /** Names of functions that can do without what firmware wants mapped for them. */
    private final Set<String> relaxed = ConcurrentHashMap.newKeySet();
    private volatile VfioContainer owner;

    VfioGroup(int number, VfioService service) {
        this.number = number;
        this.service = service;
    }

    @Override
    public int number() {
        return number;
    }

    @Override
    public Status status() {
        return new Status(!functions.isEmpty(), owner != null);
    }

    @Override
    public Optional<Container> container() {
        return Optional.ofNullable(owner);
    }

    @Override
    public List<String> devices() {
        return List.copyOf(functions.keySet());
    }

    @Override
    public List<Integer> requesters() {
        return functions.values().stream().map(function -> function.requester().id()).distinct().sorted().toList();
    }

    /** {@return who of it speaks on the bus, each once} */
    List<Requester> members() {
        return functions.values().stream().map(PciFunction::requester).distinct().toList();
    }

    /** The device model is reset with no lock held. */
    @Override
    public Device device(String name) {
        PciFunction function;
        VfioContainer container;
        service.enter();
        try {
            function = functions.get(name);
            if (function == null) {
                throw new ErrnoException(Errno.ENODEV, "group %d has no device %s; it has %s", number, name, devices());
            }
            container = owner;
            if (container == null || container.iommu().isEmpty()) {
                throw new ErrnoException(Errno.EINVAL,
                    "group %d is not in a container with an IOMMU set: device %s could reach all memory. Add the group, then set the IOMMU",
                    number, name);
            }
            if (open.containsKey(name) || !opening.add(name)) {
                throw new ErrnoException(Errno.EBUSY, "device %s is open", name);
            }
        } finally {
            service.leave();
        }
        VfioDevice device = null;
        boolean there;
        try {
            device = new VfioDevice(function, container, this);
        } finally {
            there = opened(name, device, function, container);
        }
        if (!there) {
            device.config().quiet();
            throw new ErrnoException(Errno.ENODEV, "device %s was taken away, or its group out of container %s, while it was opened; look "
                + "where it is and open it there", name, container.name());
        }
        return device;
    }

    /** {@return whether the device is open: all is as it was when its opening began} */
    private boolean opened(String name, VfioDevice device, PciFunction function, VfioContainer container) {
        service.enter();
        try {
            opening.remove(name);
            boolean there = device != null && functions.get(name) == function && owner == container && container.iommu().isPresent();
            if (there) {
                open.put(name, device);
            }
            return there;
        } finally {
            service.leave();
        }
    }

    VfioContainer owner() {
        return owner;
    }

    void owner(VfioContainer next) {
        owner = next;
    }

    List<VfioDevice> openDevices() {
        return List.copyOf(open.values());
    }

    /** {@return the requester ids of which every device can do without what firmware wants mapped for it} */
    Set<Integer> relaxedRequesters() {
        Set<Integer> found = new TreeSet<>(requesters());
        functions.values().stream().filter(function -> !relaxed.contains(function.name()))
            .forEach(function -> found.remove(function.requester().id()));
        return found;
    }

    /**
     * A device is there.
     *
     * @param canDoWithout what firmware wants mapped for it
     * @throws ErrnoException EEXIST if it has a device of that name
     */
    void add(PciFunction function, boolean canDoWithout) {
        if (functions.putIfAbsent(function.name(), function) != null) {
            throw new ErrnoException(Errno.EEXIST, "%s has a device %s already; take that one out first", this, function.name());
        }
        if (canDoWithout) {
            relaxed.add(function.name());
        }
    }

    /**
     * Tells the device's user, takes the device from him and forgets it; does nothing if it is not in the group.
     *
     * @return what is left to be done with no lock held
     */
    Runnable remove(PciFunction function) {
        if (functions.remove(function.name(), function)) {
            relaxed.remove(function.name());
            VfioDevice device = open.get(function.name());
            if (device != null) {
                device.leaving();
                Cleanup steps = device.detach();
                if (steps != null) {
                    return () -> device.settle(steps);
                }
            }
        }
        return () -> {
        };
    }

    void closed(VfioDevice device) {
        open.remove(device.name(), device);
    }

    @Override
    public String toString() {
        return "group " + number;
    }
}
