// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import java.util.List;
import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;

/** Devices that hardware cannot tell apart: the unit of isolation. Comes and goes with its devices. */
@ProviderType
public interface Group {
    /** VFIO_GROUP_GET_STATUS. */
    record Status(boolean viable, boolean containerSet) {
    }

    /** {@return the group's number} */
    int number();

    /** {@return its status; viable while it has devices} */
    Status status();

    /** {@return the container it is in} */
    Optional<Container> container();

    /** {@return the names of its devices, sorted} */
    List<String> devices();

    /** {@return the requester ids its devices speak as, sorted} */
    List<Integer> requesters();

    /**
     * Opens a device (VFIO_GROUP_GET_DEVICE_FD). It is reset, and its bus mastering is off.
     *
     * @throws machine.api.ErrnoException ENODEV if the group has no such device; EINVAL unless the group is in a
     *     container with an IOMMU set; EBUSY if it is open
     */
    Device device(String name);
}
