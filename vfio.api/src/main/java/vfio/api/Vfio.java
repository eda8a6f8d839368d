// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.Violation;
import java.util.List;
import java.util.Set;
import machine.api.Fault;
import org.osgi.annotation.versioning.ProviderType;

/** The entry point, as {@code /dev/vfio} on Linux. A service; there is one per machine. */
@ProviderType
public interface Vfio {
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

    /** {@return the reports of the latest swaps, oldest first, at most 1024} */
    List<Swap> swaps();

    /**
     * Reports that the replacement of a backend has failed. Each container that uses such a backend, or waits for one,
     * gives the cause with its {@link Container#reason} until a swap of its succeeds or {@link Container#retry} finds
     * it at work, and reports it: by {@link Swap#to} the present backend if there is one. Changes nothing else.
     *
     * @param backend the part that was to be replaced
     * @param types the types of an IOMMU, see {@link iommu.api.Iommu#TYPE}; ignored for other backends
     * @param cause one line
     */
    void notReplaced(Swap.Backend backend, Set<String> types, String cause);
}
