// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import machine.api.DmaBuffer;
import machine.api.Requester;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One set of translations, shared by the requesters attached to it. Made by {@link Iommu#open}; owned and closed by the
 * container. Any thread. Every method that throws an {@link machine.api.ErrnoException} has left the domain as it was;
 * any other exception or error leaves it in doubt: the container closes it and has the provider make another from the
 * ledger.
 *
 * <p>Hardware that does not confirm an invalidation is an exception (ETIMEDOUT, EIO): the tables are on the safe side
 * then, and memory it may still reach through its caches must not be used for anything else. {@link #attach} and {@link
 * #map} have undone what they did. {@link #detach}, {@link #unmap} and {@link #close} have taken their entries away and
 * are called again; the caller keeps the memory until one of them returns. After any exception, an Error too, all of
 * them can be called again.
 */
@ProviderType
public interface IommuDomain extends AutoCloseable {
    /**
     * Puts a requester under this domain's translations. Until then it is blocked.
     *
     * <p>Which entry of which tables that is, the record says: its id at its unit. Two records with the same id and
     * unit are one requester, whatever else is in them. The numbers that other hardware knows it by are there for a
     * provider that needs them.
     *
     * @throws machine.api.ErrnoException EINVAL, naming its unit, if this provider does not {@linkplain Iommu#serves
     *     serve} it; EINVAL if the hardware has no entry for such an id; EBUSY if it is attached to another domain;
     *     EEXIST if it is attached to this one; ENOSPC if tables are full
     */
    void attach(Requester requester);

    /**
     * Blocks a requester; when this returns none of its accesses is in flight any more. Where several units look one id
     * up in one table, it is blocked when it has been detached behind each of them.
     *
     * @throws machine.api.ErrnoException ENOENT if it is not attached
     */
    void detach(Requester requester);

    /**
     * Maps part of a buffer. The caller keeps the memory alive until it is unmapped.
     *
     * @param iova first device address
     * @param buffer the memory
     * @param offset into the buffer
     * @param length bytes
     * @param access {@link machine.api.Access} bits the device gets, not zero
     * @throws machine.api.ErrnoException EINVAL for an address, offset or length the hardware cannot map (the message
     *     says which rule), or if attributes that must come first are not set; EINVAL for a range beyond the buffer;
     *     EEXIST if any of the range is mapped, a doorbell too; EFAULT if memory behind a window or a page is not
     *     contiguous or not aligned as that; ENOSPC if tables are full
     */
    void map(long iova, DmaBuffer buffer, long offset, long length, int access);

    /**
     * Maps doorbells, write-only: physical addresses at which MSIs of attached requesters reach their interrupt
     * controller. They are no memory, and nobody has to keep them.
     *
     * <p>Exactly these bytes become reachable: a provider whose smallest page is larger than a doorbell's does not
     * widen the range, it refuses. What else lies in such a page the provider cannot know. Its caller, who knows, asks
     * for the whole page around the doorbell, or does without.
     *
     * @param iova first device address
     * @param physical first physical address, a multiple of {@link IommuCapabilities#smallestPage}
     * @param length bytes, a multiple of {@link IommuCapabilities#smallestPage}
     * @throws machine.api.ErrnoException as {@link #map}; EINVAL for what is no such multiple
     */
    void mapDoorbell(long iova, long physical, long length);

    /**
     * Takes away everything mapped in the range, doorbells too. When it returns, nothing in flight uses it, and it can
     * be mapped again at once.
     *
     * @return bytes of mappings removed, those of doorbells as well; 0 if there were none
     * @throws machine.api.ErrnoException EINVAL if the range would cut a mapping in two that the hardware cannot cut;
     *     ETIMEDOUT if an access of an attached requester does not end (see {@link machine.api.Bus#sync}): whether the
     *     range still translates, {@link #lookup} tells, and its memory must be kept until a later call has returned
     */
    long unmap(long iova, long length);

    /**
     * Looks an address up in the hardware's own tables: the control path's answer to "what would a device reach there",
     * for verification. With no requester attached it is read as well: what the first one would be given; and while
     * {@link Enable} is off, what would be reached if it were on. A container is verified before anybody is let in.
     *
     * @param iova any byte's
     * @param access {@link machine.api.Access#READ} or {@link machine.api.Access#WRITE}
     * @return the physical address of that byte, a doorbell's for WRITE; or a negative {@link machine.api.Refusal},
     *     whichever: nothing is mapped there, or not for this access
     */
    long lookup(long iova, int access);

    /**
     * Sets an attribute.
     *
     * @throws machine.api.ErrnoException ENOTTY if this type does not have it; EINVAL for a value the hardware cannot
     *     take; EBUSY if it cannot change while something is mapped; ENOSPC if tables are full. Protection never lapses
     *     while it changes
     */
    void set(DomainAttribute attribute);

    /**
     * {@return the attribute's value now, equal to what was {@link #set}, unless setting another has undone it; a
     *     windowed domain's {@link Geometry} and {@link Windows} also before they are set, with 0}
     *
     * @throws machine.api.ErrnoException ENOTTY if this type does not have it
     */
    <A extends DomainAttribute> A get(Class<A> attribute);

    /**
     * Blocks every requester, unmaps everything, gives all table space back. Idempotent. Any thread, such as another
     * than has opened it. Once the driver has ended it does nothing: the tables are somebody else's memory by then.
     *
     * @throws machine.api.ErrnoException ETIMEDOUT or EIO if the hardware does not confirm it: no operation but this
     *     one is possible any more, and no memory has gone back
     */
    @Override
    void close();
}
