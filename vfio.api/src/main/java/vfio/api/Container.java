// SPDX-License-Identifier: Apache-2.0
package vfio.api;

import iommu.api.DomainAttribute;
import iommu.api.ReservedRegion;
import java.util.List;
import java.util.Optional;
import machine.api.DmaBuffer;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A set of groups behind one set of translations. Owned by its opener, until {@link #close}.
 *
 * <p>The container keeps a ledger of everything its user asked for: attributes, mappings, doorbells, interrupts. The
 * ledger is the truth; the IOMMU's tables are made from it, and made again when the IOMMU's bundle is replaced. Until
 * then the container is {@link ContainerState#BLOCKED}, and operations that need the IOMMU throw EAGAIN; those that
 * only read the ledger, taking groups out and {@link #close} work. A closed container throws EINVAL.
 *
 * <p>Its methods are those of Linux's containers, and what shows how it is. What only some VFIOs can do is in its
 * extensions: {@link vfio.api.msi.Msis} and {@link vfio.api.swap.Backends}, both asked for with {@link #as}.
 */
@ProviderType
public interface Container extends Extensible<Container>, AutoCloseable {
    /** For {@link #checkExtension}: {@link DmaFlags#UNMAP_ALL} works. */
    String UNMAP_ALL = "unmap_all";
    /** For {@link #checkExtension}: {@link DmaFlags#UNMAP_VADDR} and {@link DmaFlags#MAP_VADDR} work. */
    String UPDATE_VADDR = "update_vaddr";

    /** {@return the name it was opened with} */
    String name();

    /** {@return its state} */
    ContainerState state();

    /**
     * {@return the reason of this state, of an interrupt that waits, or of a backend that was not replaced, see {@link
     * vfio.api.swap.Swaps#notReplaced}; empty if there is nothing to say}
     */
    String reason();

    /** {@return its groups in the order they were added} */
    List<Group> groups();

    /** {@return the IOMMU type, empty before {@link #setIommu}} */
    Optional<String> iommu();

    /**
     * {@return the kind of hardware that translates for it now, such as {@code vtd} for {@code type1v2}; empty while
     *     there is none}
     */
    Optional<String> iommuKind();

    /**
     * Tells whether {@link #setIommu} would find a provider of that type: before one is set any provider counts,
     * afterwards only the one that is set. {@link #UNMAP_ALL} and {@link #UPDATE_VADDR} ask for flags of the
     * type that is set, or else of any, see {@link iommu.api.IommuType}.
     *
     * @param type {@code pamu}, {@code type1}, {@code type1v2}, another provider's type, or one of the two constants
     */
    boolean checkExtension(String type);

    /**
     * Adds a group; all its devices come under this container's translations.
     *
     * @throws machine.api.ErrnoException EBUSY if some mapping's vaddr is invalid, or the group is in another
     *     container; EINVAL if it is in this one, if its devices cannot be attached to the IOMMU that is set or sit
     *     behind another one, if a mapping or a doorbell touches a region reserved for them, or if no valid address
     *     would be left; EPERM as {@link #setIommu}; EAGAIN while the IOMMU is away
     * @throws IllegalArgumentException for a group of another VFIO service
     */
    void addGroup(Group group);

    /**
     * Takes a group out; its devices are blocked. When the last group leaves, the IOMMU is unset and all mappings are
     * dropped.
     *
     * @throws machine.api.ErrnoException EINVAL if it is not in this container; EBUSY while a device of it is open
     */
    void removeGroup(Group group);

    /**
     * Chooses the IOMMU type and attaches all groups.
     *
     * @throws machine.api.ErrnoException EINVAL without a group, if one is set, or if what is reserved for the devices
     *     leaves no valid address, or if a device sits behind an IOMMU that no provider of the type drives; ENODEV if
     *     no provider has that type; EPERM if doorbells lie outside its translation and no interrupt controller
     *     verifies who rings them, unless the host allows that, or if firmware wants memory mapped for a device (an
     *     RMRR) that is not of a class that can do without; what the provider throws
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
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set or for a value it cannot take; ENOTTY if the type
     *     has no such attribute; EBUSY while something is mapped that depends on it
     */
    void set(DomainAttribute attribute);

    /**
     * {@return an attribute's value}
     *
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set; ENOTTY if the type has no such attribute
     */
    <A extends DomainAttribute> A get(Class<A> attribute);

    /**
     * Lets the devices reach part of a buffer (VFIO_IOMMU_MAP_DMA). The container holds the memory until it is
     * unmapped. The part must begin and end at multiples of {@link ContainerInfo#pageSizes}' lowest. Checked in this
     * order:
     * <ul>
     * <li>EINVAL: an unknown flag; no access at all, or an access with MAP_VADDR; a windowed type and MAP_VADDR
     * <li>EINVAL: length 0; iova, offset or length not aligned; iova + length or offset + length wraps
     * <li>EEXIST: it overlaps a mapping
     * <li>ENOSPC: no entry is left, see {@link ContainerInfo#mappingsAvailable}
     * <li>EINVAL: not inside one of {@link ContainerInfo#ranges}
     * <li>ENOMEM: it would exceed the container's limit of locked memory; memory mapped twice counts twice
     * <li>EFAULT: the buffer has no such memory, or was closed
     * <li>what the MSI strategy objects, see {@link vfio.api.msi.strategy.MsiSession#mapping}
     * <li>what the IOMMU throws, such as EFAULT for memory of a shape it cannot map
     * </ul>
     *
     * <p>With {@link DmaFlags#MAP_VADDR} nothing is mapped: the mapping of exactly that iova and length, whose vaddr is
     * invalid, from now on belongs to this buffer. Its memory must be the very same, byte by byte; devices go on
     * reaching it. Instead of EEXIST and all that follows:
     * <ul>
     * <li>ENOENT: no mapping touches the range
     * <li>EINVAL: iova or length is not exactly the mapping's; its vaddr is valid
     * <li>EFAULT: the buffer has no such memory, or was closed
     * <li>EINVAL: it is other memory. (Linux cannot see that and warns of it.)
     * </ul>
     *
     * @param iova first device address
     * @param offset into the buffer
     * @param length bytes
     * @param flags {@link machine.api.Access} bits, seen from the device, or else {@link DmaFlags#MAP_VADDR}
     * @throws machine.api.ErrnoException as above
     */
    void map(long iova, DmaBuffer buffer, long offset, long length, int flags);

    /**
     * Takes mappings away (VFIO_IOMMU_UNMAP_DMA). When it returns, no access in flight uses them.
     *
     * @return bytes unmapped, 0 if nothing was mapped there
     * @throws machine.api.ErrnoException EINVAL for a wrong alignment, a length of 0, a wrap, or if the range would cut
     *     a mapping where the type does not allow it: {@code type1v2} never; {@code type1} takes each mapping whole
     *     whose first address is in the range, but none at all if the range begins inside one; a windowed type cuts
     *     between windows. ETIMEDOUT, naming the device, if one of its accesses does not end: all stays mapped
     */
    long unmap(long iova, long length);

    /**
     * As {@link #unmap(long, long)}, with flags. A windowed type has none.
     *
     * <ul>
     * <li>{@link DmaFlags#UNMAP_ALL} takes everything.
     * <li>{@link DmaFlags#UNMAP_VADDR}, alone or with ALL, takes nothing away: it makes the vaddr of what would go
     *     invalid. The memory stays held and reachable by devices; no group can be added until
     *     {@link DmaFlags#MAP_VADDR} or a true unmap.
     * <li>{@link DmaFlags#UNMAP_GET_DIRTY_BITMAP} reports the pages that go as {@link #dirtyPages} does, beginning at
     *     {@code iova}. The report is written before they go; if they cannot go, the bitmap is as it was.
     * </ul>
     *
     * @param bitmap for UNMAP_GET_DIRTY_BITMAP; otherwise ignored and may be null
     * @return bytes unmapped, or whose vaddr became invalid
     * @throws machine.api.ErrnoException EINVAL for an unknown flag; UNMAP_GET_DIRTY_BITMAP with another flag, without
     *     a bitmap, while tracking is off, or with a wrong page size or bitmap size; UNMAP_ALL with an iova or length
     *     that is not 0; UNMAP_VADDR where some vaddr is invalid already, and then none has changed; and what
     *     {@link #unmap(long, long)} says. EFAULT for a read-only bitmap
     */
    long unmap(long iova, long length, int flags, DirtyBitmap bitmap);

    /**
     * Controls and reports dirty tracking, the pages that devices may have written (VFIO_IOMMU_DIRTY_PAGES). Only
     * {@code type1v2} has it.
     *
     * <p>No device here reports what it writes, so with tracking on every page that is mapped is dirty, each time it is
     * asked, as in Linux with such devices. A report may span several mappings and holes, but not cut a mapping.
     *
     * @param flags one of {@link DmaFlags#DIRTY_START}, {@link DmaFlags#DIRTY_STOP}, {@link DmaFlags#DIRTY_GET_BITMAP}
     * @param iova first device address of a report, otherwise ignored, as are the others
     * @param length bytes of a report
     * @param bitmap where a report goes; may be null for START and STOP
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set; ENOTTY for a windowed type; EACCES for
     *     {@code type1}; EINVAL for none or more than one of the flags, or an unknown one; for GET_BITMAP: EINVAL
     *     without a bitmap, if iova or length is not aligned, length is 0, the range wraps, the bitmap's size is less
     *     than {@link DirtyBitmap#bytes} says or more than {@link ContainerInfo.Migration#maxDirtyBitmapSize}, its page
     *     size is not the smallest, tracking is off, or the range cuts a mapping; EFAULT if the bitmap is read-only
     */
    void dirtyPages(int flags, long iova, long length, DirtyBitmap bitmap);

    /** {@return the mappings by ascending iova} */
    List<Mapping> mappings();

    /**
     * {@return the ranges a user must not map, by ascending start: the hardware's, those of the devices in its groups,
     *     and what an MSI strategy announces that it keeps}
     */
    List<ReservedRegion> reserved();

    /**
     * {@return what a device of this container would reach at an address, read from the IOMMU's own tables: a physical
     *     address or a negative {@link machine.api.Refusal}; BLOCKED while the domain is switched off}
     *
     * @param access {@link machine.api.Access#READ} or {@link machine.api.Access#WRITE}
     */
    long lookup(long iova, int access);

    /**
     * Blocks its groups, closes its devices, releases the memory and the groups. Idempotent.
     *
     * @throws machine.api.ErrnoException what the IOMMU throws if it cannot block them: then all is as before
     */
    @Override
    void close();
}
