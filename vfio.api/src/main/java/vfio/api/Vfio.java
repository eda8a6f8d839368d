// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.Violation;
import java.util.List;
import machine.api.Fault;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The entry point, as {@code /dev/vfio} on Linux. A service; there is one per machine. Where backends can be swapped it
 * has the extension {@link vfio.api.swap.Swaps}.
 */
@ProviderType
public interface Vfio extends Extensible<Vfio> {
    /** {@return the groups that have devices, by number} */
    List<Group> groups();

    /**
     * {@return the group of that number}
     *
     * @throws machine.api.ErrnoException ENOENT if there is none
     */
    Group group(int number);

    /**
     * {@return the group that holds the device of that name}
     *
     * @throws machine.api.ErrnoException ENODEV if no group has it
     */
    Group groupOf(String device);

    /**
     * {@return the names {@link Container#setIommu} takes on this machine, most capable rules first; empty while there
     * is no provider}
     */
    List<String> iommuTypes();

    /**
     * Opens a new container with no group and no IOMMU.
     *
     * @param name unique among the open containers
     * @throws machine.api.ErrnoException EEXIST if an open container has that name
     */
    Container openContainer(String name);

    /** {@return the open containers in the order they were opened} */
    List<Container> containers();

    /** {@return a new eventfd that the devices of this VFIO can signal; its counter is 0} */
    EventFd eventFd();

    /** {@return the latest refused accesses of all devices as their ports saw them, oldest first, at most 1024} */
    List<Fault> faults();

    /** {@return how many accesses were refused since the machine started} */
    long faultCount();

    /** {@return the latest violations as the IOMMU's registers recorded them, oldest first, at most 1024} */
    List<Violation> violations();
}
