// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.DomainAttribute;
import iommu.api.ReservedRegion;
import java.util.List;
import java.util.Optional;
import machine.api.DmaBuffer;
import org.osgi.annotation.versioning.ProviderType;
import vfio.api.msi.MsiPlacement;

/**
 * A set of groups behind one set of translations. Owned by whoever opened it, until {@link #close}.
 *
 * <p>The container keeps a ledger of everything its user asked for: attributes, mappings, doorbells, interrupts. The
 * ledger is the truth; the IOMMU's tables are made from it, and made again when the IOMMU's bundle is replaced.
 * Until then the container is {@link ContainerState#BLOCKED}, and whatever needs the IOMMU throws EAGAIN; what only reads the
 * ledger, taking groups out and {@link #close} work. A closed container throws EINVAL.
 */
@ProviderType
public interface Container extends AutoCloseable {
    /** {@return the name it was opened with} */
    String name();

    /** {@return what it can do at the moment} */
    ContainerState state();

    /** {@return why it is in this state, or what keeps an interrupt waiting; empty if there is nothing to say} */
    String reason();

    /** {@return its groups in the order they were added} */
    List<Group> groups();

    /** {@return the IOMMU type, empty before {@link #setIommu}} */
    Optional<String> iommu();

    /**
     * Whether {@link #setIommu} would find a provider of that type: before one is set any provider counts, afterwards
     * only the one that is set.
     *
     * @param type {@code pamu}, {@code type1}, {@code type1v2}, or another provider's kind
     */
    boolean checkExtension(String type);

    /**
     * Adds a group; all its devices come under this container's translations.
     *
     * @throws machine.api.ErrnoException EBUSY if the group is in a container; EINVAL if its devices cannot be attached to the IOMMU
     *     that is set, or a mapping touches a region reserved for them; EAGAIN while that IOMMU is away
     * @throws IllegalArgumentException for a group of another VFIO service
     */
    void addGroup(Group group);

    /**
     * Takes a group out; its devices are blocked. When the last group leaves, the IOMMU is unset and all mappings are dropped.
     *
     * @throws machine.api.ErrnoException EINVAL if it is not in this container; EBUSY while a device of it is open
     */
    void removeGroup(Group group);

    /**
     * Chooses the IOMMU type and attaches all groups.
     *
     * @throws machine.api.ErrnoException EINVAL without a group or if one is set; ENODEV if no provider has that type; what
     *     the provider throws
     */
    void setIommu(String type);

    /**
     * {@return limits and free resources}
     *
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set
     */
    ContainerInfo info();

    /**
     * Sets an attribute of the translations (VFIO_IOMMU_PAMU_SET_ATTR). Protection never lapses meanwhile.
     *
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set or for a value it cannot take; ENOTTY if the type has
     *     no such attribute; EBUSY while something is mapped that depends on it
     */
    void set(DomainAttribute attribute);

    /**
     * {@return an attribute's value}
     *
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set; ENOTTY if the type has no such attribute
     */
    <A extends DomainAttribute> A get(Class<A> attribute);

    /**
     * Lets the devices reach part of a buffer (VFIO_IOMMU_MAP_DMA). The container holds the memory until it is unmapped.
     *
     * @param iova first device address
     * @param offset into the buffer
     * @param length bytes
     * @param access {@link machine.api.Access} bits, seen from the device
     * @throws machine.api.ErrnoException EINVAL for no access at all, a length of 0, a wrong alignment, a wrap, or an address outside the
     *     valid ranges; EEXIST if it overlaps a mapping; ENOSPC if no entry is left; EFAULT for memory of a shape the
     *     IOMMU cannot map
     */
    void map(long iova, DmaBuffer buffer, long offset, long length, int access);

    /**
     * Takes mappings away (VFIO_IOMMU_UNMAP_DMA). When it returns, no access in flight uses them.
     *
     * @return bytes unmapped, 0 if nothing was mapped there
     * @throws machine.api.ErrnoException EINVAL for a wrong alignment, or if the range would cut a mapping where the type does not allow it
     */
    long unmap(long iova, long length);

    /** {@return the mappings by ascending iova} */
    List<Mapping> mappings();

    /** {@return the ranges a user must not map, by ascending start: the hardware's, and those of the devices in its groups} */
    List<ReservedRegion> reserved();

    /**
     * One operation of the active MSI strategy; which there are, says {@link vfio.api.msi.MsiStrategy#operations}.
     *
     * @return the operation's result, 0 if it has none
     * @throws machine.api.ErrnoException ENOTTY, naming the active strategy, if it does not have the operation; what the operation throws
     */
    long msi(String operation, long... arguments);

    /** {@return the active strategy's name, empty before {@link #setIommu}} */
    Optional<String> msiStrategy();

    /** {@return where banks are reachable now, by ascending iova} */
    List<MsiPlacement> msiPlacements();

    /** {@return the MSIs that are enabled now: who, through which bank, with which message} */
    List<MsiRoute> msiRoutes();

    /** Which of the strategy's banks new vectors come from. The default is {@link VectorPolicy#FIRST_FIT}. */
    void vectorPolicy(VectorPolicy policy);

    /** {@return the policy} */
    VectorPolicy vectorPolicy();

    /**
     * {@return what a device of this container would reach at an address, read from the IOMMU's own tables: a physical
     *     address or a negative {@link machine.api.Refusal}}
     *
     * @param access {@link machine.api.Access#READ} or {@link machine.api.Access#WRITE}
     */
    long lookup(long iova, int access);

    /**
     * Which strategy it should use, by name; an empty name leaves the choice to the resolver, which is the default.
     *
     * @throws machine.api.ErrnoException ENOENT if there is no such strategy; EINVAL, with its reason, if it is not feasible here;
     *     EBUSY while a vector is enabled
     */
    void msiStrategy(String name);

    /**
     * Blocks its groups, closes its devices, lets the memory go and gives the groups back. Idempotent.
     *
     * @throws machine.api.ErrnoException what the IOMMU throws if it cannot block them: then all is as before
     */
    @Override
    void close();
}
