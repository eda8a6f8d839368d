// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import machine.api.Errno;
import machine.api.ErrnoException;
import vfio.api.Group;
import vfio.container.device.JoinedGroups;
import vfio.container.device.Owner;
import vfio.container.device.VfioDevice;
import vfio.container.device.VfioGroup;
import vfio.container.dma.Translation;
import vfio.container.host.Cleanup;
import vfio.container.host.IommuProvider;
import vfio.container.state.ContainerStatus;
import vfio.container.swap.ContainerParts;
import vfio.container.swap.HotSwap;
import vfio.container.swap.SwapReports;

/**
 * The groups of a container and its IOMMU type: VFIO_GROUP_SET_CONTAINER and VFIO_SET_IOMMU, and their opposites. The
 * caller holds the topology lock and the container's.
 */
final class Membership {
    private final String name;
    private final Owner owner;
    private final ContainerParts parts;
    private final JoinedGroups groups;
    private final ContainerStatus status;
    private final Translation translation;
    private final HotSwap swap;
    private final SwapReports reports;

    /** @param owner the container as its groups know it */
    Membership(Owner owner, ContainerParts parts, JoinedGroups groups, HotSwap swap, SwapReports reports) {
        this.name = parts.name();
        this.owner = owner;
        this.parts = parts;
        this.groups = groups;
        this.status = parts.status();
        this.translation = parts.translation();
        this.swap = swap;
        this.reports = reports;
    }

    void add(Group group) {
        status.requireOpen();
        if (status.type() != null) {
            status.requireActive();
        }
        VfioGroup joining = mine(group);
        requireFree(joining);
        groups.add(joining, owner);
        try {
            if (status.type() != null) {
                parts.banks().requireSafe(translation.capabilities(), name);
            }
            translation.attachAll();
            holdBack();
        } catch (RuntimeException | Error e) {
            groups.remove(joining);
            throw e;
        }
    }

    private static VfioGroup mine(Group group) {
        if (group instanceof VfioGroup known) {
            return known;
        }
        throw new IllegalArgumentException(group + " is not a group of this VFIO service");
    }

    private void requireFree(VfioGroup joining) {
        if (parts.ledger().invalidVaddrs() > 0) {
            throw new ErrnoException(Errno.EBUSY, "the vaddr of %d mappings of container %s is invalid; give them "
                + "another first", parts.ledger().invalidVaddrs(), name);
        }
        if (joining.owner() == owner) {
            throw new ErrnoException(Errno.EINVAL, "%s is in container %s already", joining, name);
        }
        if (joining.owner() != null) {
            throw new ErrnoException(Errno.EBUSY, "%s is in container %s; take it out there first", joining,
                joining.owner().name());
        }
    }

    /** Whose accesses are held back when something is swapped. */
    private void holdBack() {
        parts.gate().requesters(status.type() == null ? Set.of() : groups.ids());
    }

    void remove(Group group) {
        VfioGroup leaving = mine(group);
        if (leaving.owner() != owner) {
            throw new ErrnoException(Errno.EINVAL, "%s is not in container %s", leaving, name);
        }
        if (!leaving.openDevices().isEmpty()) {
            throw new ErrnoException(Errno.EBUSY, "device %s of %s is open; close it first",
                leaving.openDevices().get(0).name(), leaving);
        }
        translation.requireBlocked();
        if (groups.size() > 1) {
            translation.detachAbsent(groups.requestersWithout(leaving));
        } else {
            swap.closeDomain();
        }
        groups.remove(leaving);
        holdBack();
        if (groups.isEmpty()) {
            release();
        }
    }

    /** @param wanted the type */
    void set(String wanted) {
        status.requireOpen();
        if (groups.isEmpty()) {
            throw new ErrnoException(Errno.EINVAL, "container %s has no group; add one before the IOMMU is set", name);
        }
        if (status.type() != null) {
            throw new ErrnoException(Errno.EINVAL, "container %s uses %s; it cannot be set twice", name, status.type());
        }
        IommuProvider found = parts.providers().serving(parts.providers().require(wanted));
        translation.requireBlocked();
        parts.banks().requireSafe(found.iommu().capabilities(), name);
        ErrnoException obstacle = translation.replayOn(found, wanted);
        if (obstacle != null) {
            throw obstacle;
        }
        status.set(wanted);
        try {
            holdBack();
            parts.msi().resolve();
        } catch (RuntimeException | Error e) {
            translation.abandon(e);
            Cleanup steps = new Cleanup();
            steps.take(() -> {
                throw e;
            });
            steps.take(this::release);
            steps.end();
        }
    }

    /** A device has come to, or gone from, one of the groups. */
    void changed() {
        if (translation.present()) {
            translation.detachAbsent(groups.requesters());
            translation.attachAll();
        }
        holdBack();
    }

    /**
     * Closes the container: if the domain cannot be closed, devices may still reach memory, and all stays as it is.
     *
     * @param steps gets what goes wrong after that
     * @return what is left to be done with no lock held: device models are waited for
     */
    List<Runnable> close(Cleanup steps) {
        List<Runnable> left = new ArrayList<>();
        translation.requireBlocked();
        swap.closeDomain();
        for (VfioDevice device : groups.devices()) {
            Cleanup its = device.detach();
            if (its != null) {
                left.add(() -> device.settle(its));
            }
        }
        groups.clear();
        steps.take(this::release);
        parts.gate().close();
        status.close();
        return left;
    }

    /** With the domain closed: releases the memory and clears everything, whatever one of the steps throws. */
    private void release() {
        Cleanup steps = new Cleanup();
        steps.take(parts.msi()::unset);
        steps.take(parts.ledger()::clear);
        steps.take(parts.dirty()::reset);
        steps.take(translation::unset);
        steps.take(reports::forget);
        steps.take(status::unset);
        steps.take(parts.gate()::open);
        steps.take(() -> parts.gate().requesters(Set.of()));
        steps.end();
    }
}
