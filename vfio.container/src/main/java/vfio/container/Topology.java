// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.ArrayList;
import java.util.List;
import java.util.TreeMap;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;
import vfio.api.Group;
import vfio.container.device.Owner;
import vfio.container.device.VfioGroup;
import vfio.container.host.Cleanup;
import vfio.container.host.RelaxableClasses;
import vfio.container.host.TopologyLock;
import vfio.container.state.ContainerLock;

/** The devices and their groups. Guarded by the topology lock, which it takes. */
final class Topology {
    private final TopologyLock lock;
    private final TreeMap<Integer, VfioGroup> groups = new TreeMap<>();

    Topology(TopologyLock lock) {
        this.lock = lock;
    }

    List<Group> groups() {
        return lock.call(() -> List.copyOf(groups.values()));
    }

    /** @throws ErrnoException ENOENT if there is none of that number */
    Group group(int number) {
        return lock.call(() -> {
            VfioGroup group = groups.get(number);
            if (group == null) {
                throw new ErrnoException(Errno.ENOENT, "there is no group %d; there are %s", number, groups.keySet());
            }
            return group;
        });
    }

    /** @throws ErrnoException ENODEV if no group holds such a device */
    Group groupOf(String device) {
        return lock.call(() -> groups.values().stream().filter(group -> group.devices().contains(device)).findFirst()
            .orElseThrow(() -> new ErrnoException(Errno.ENODEV, "no group holds a device %s", device)));
    }

    /**
     * A device is there, perhaps in a group that is in use. If its container cannot attach it, it is not in the group.
     *
     * @param relaxable which classes can do without what firmware wants mapped for them
     */
    void add(PciFunction function, RelaxableClasses relaxable) {
        boolean relaxed = relaxable.include(RelaxableClasses.classCode(function));
        ContainerLock.runBoth(lock, () -> lockOf(function), () -> {
            int number = function.requester().group();
            VfioGroup group = groups.getOrDefault(number, new VfioGroup(number, lock));
            group.add(function, relaxed);
            Owner owner = group.owner();
            if (owner != null) {
                try {
                    owner.requestersChanged();
                } catch (Throwable e) {
                    group.remove(function);
                    throw e;
                }
            }
            groups.put(number, group);
        });
    }

    /** A device is about to go: its user is told, it is closed, and blocked unless others share its requester id. */
    void remove(PciFunction function) {
        Cleanup steps = new Cleanup();
        List<Runnable> left = new ArrayList<>();
        ContainerLock.runBoth(lock, () -> lockOf(function), () -> {
            VfioGroup group = groups.get(function.requester().group());
            if (group != null) {
                steps.take(() -> left.add(group.remove(function)));
                if (group.owner() != null) {
                    steps.take(group.owner()::requestersChanged);
                }
                forgetEmpty();
            }
        });
        // The device model is waited for with no lock held.
        left.forEach(steps::take);
        steps.end();
    }

    /** {@return the lock of the container which a device's group is in; null if it is in none} */
    private ContainerLock lockOf(PciFunction function) {
        VfioGroup group = groups.get(function.requester().group());
        return group == null || group.owner() == null ? null : group.owner().lock();
    }

    /** A group is there while it has devices, or is in a container. The caller holds the topology lock. */
    void forgetEmpty() {
        groups.values().removeIf(group -> group.owner() == null && group.devices().isEmpty());
    }
}
