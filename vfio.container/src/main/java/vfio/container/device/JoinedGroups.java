// SPDX-License-Identifier: Apache-2.0
package vfio.container.device;

import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CopyOnWriteArrayList;
import machine.api.Requester;
import vfio.api.Group;
import vfio.container.dma.Members;
import vfio.container.irq.Pin;

/** The groups in one container. Changed with the topology lock held, read at any time. */
public final class JoinedGroups implements Members {
    private final CopyOnWriteArrayList<VfioGroup> groups = new CopyOnWriteArrayList<>();

    public void add(VfioGroup group, Owner owner) {
        groups.add(group);
        group.owner(owner);
    }

    public void remove(VfioGroup group) {
        groups.remove(group);
        group.owner(null);
    }

    public void clear() {
        groups.forEach(group -> group.owner(null));
        groups.clear();
    }

    public boolean isEmpty() {
        return groups.isEmpty();
    }

    public int size() {
        return groups.size();
    }

    /** {@return them in the order they came} */
    public List<Group> list() {
        return List.copyOf(groups);
    }

    @Override
    public Set<Requester> requesters() {
        Set<Requester> members = new LinkedHashSet<>();
        groups.forEach(group -> members.addAll(group.members()));
        return members;
    }

    @Override
    public Set<Requester> relaxed() {
        return Members.distinct(groups.stream().flatMap(group -> group.relaxed().stream()).toList());
    }

    /** {@return the requesters of all groups but one} */
    public Set<Requester> requestersWithout(VfioGroup leaving) {
        return Members.distinct(groups.stream().filter(group -> group != leaving)
            .flatMap(group -> group.members().stream()).toList());
    }

    /** {@return all requesters' ids, by which a machine holds devices back} */
    public Set<Integer> ids() {
        Set<Integer> ids = new TreeSet<>();
        groups.forEach(group -> ids.addAll(group.requesters()));
        return ids;
    }

    /** {@return the devices that are open} */
    public List<VfioDevice> devices() {
        return groups.stream().flatMap(group -> group.openDevices().stream()).toList();
    }

    /** {@return the interrupt pins of the devices that are open} */
    public List<Pin> pins() {
        return devices().stream().map(VfioDevice::pin).toList();
    }
}
