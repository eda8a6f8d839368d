// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentSkipListMap;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import machine.api.Requester;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.Group;
import vfio.container.dma.Members;
import vfio.container.host.Cleanup;
import vfio.container.host.TopologyLock;

/** One isolation group. Changed under the topology lock, read at any time. */
public final class VfioGroup implements Group {
    private final int number;
    private final TopologyLock topology;
    private final Map<String, PciFunction> functions = new ConcurrentSkipListMap<>();
    private final Map<String, VfioDevice> open = new ConcurrentHashMap<>();
    /** Devices that are about to be open. Under the topology lock. */
    private final Set<String> opening = new HashSet<>();
    /** Names of functions that can do without what firmware wants mapped for them. */
    private final Set<String> relaxed = ConcurrentHashMap.newKeySet();
    private volatile Owner owner;

    public VfioGroup(int number, TopologyLock topology) {
        this.number = number;
        this.topology = topology;
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
    public List<Requester> members() {
        return functions.values().stream().map(PciFunction::requester).distinct().toList();
    }

    /** The device model is reset with no lock held. */
    @Override
    public Device device(String name) {
        Opening begun = topology.call(() -> begin(name));
        VfioDevice device = null;
        boolean there;
        try {
            device = new VfioDevice(begun.function, begun.owner, this::closed);
        } finally {
            there = opened(name, device, begun);
        }
        if (!there) {
            device.config().quiet();
            throw new ErrnoException(Errno.ENODEV, "device %s was taken away, or its group out of container %s, while "
                + "it was opened; look where it is and open it there", name, begun.owner.name());
        }
        return device;
    }

    /** The device and the container of an opening that has begun. */
    private record Opening(PciFunction function, Owner owner) {
    }

    private Opening begin(String name) {
        PciFunction function = functions.get(name);
        if (function == null) {
            throw new ErrnoException(Errno.ENODEV, "group %d has no device %s; it has %s", number, name, devices());
        }
        Owner container = owner;
        if (container == null || container.iommu().isEmpty()) {
            throw new ErrnoException(Errno.EINVAL,
                "group %d is not in a container with an IOMMU set: device %s could reach all memory. Add the group, "
                + "then set the IOMMU", number, name);
        }
        if (open.containsKey(name) || !opening.add(name)) {
            throw new ErrnoException(Errno.EBUSY, "device %s is open", name);
        }
        return new Opening(function, container);
    }

    /** {@return whether the device is open: all is as it was when its opening began} */
    private boolean opened(String name, VfioDevice device, Opening begun) {
        return topology.call(() -> {
            opening.remove(name);
            boolean there = device != null && functions.get(name) == begun.function && owner == begun.owner
                && begun.owner.iommu().isPresent();
            if (there) {
                open.put(name, device);
            }
            return there;
        });
    }

    public Owner owner() {
        return owner;
    }

    public void owner(Owner next) {
        owner = next;
    }

    public List<VfioDevice> openDevices() {
        return List.copyOf(open.values());
    }

    /** {@return the requesters of which every device can do without what firmware wants mapped for it} */
    public Set<Requester> relaxed() {
        Set<Requester> found = Members.distinct(members());
        functions.values().stream().filter(function -> !relaxed.contains(function.name()))
            .forEach(function -> found.remove(function.requester()));
        return found;
    }

    /**
     * A device is there.
     *
     * @param canDoWithout what firmware wants mapped for it
     * @throws ErrnoException EEXIST if it has a device of that name
     */
    public void add(PciFunction function, boolean canDoWithout) {
        if (functions.putIfAbsent(function.name(), function) != null) {
            throw new ErrnoException(Errno.EEXIST, "%s has a device %s already; take that one out first", this,
                function.name());
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
    public Runnable remove(PciFunction function) {
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
