// SPDX-License-Identifier: Apache-2.0
package iommu.api;

import java.util.Collection;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import machine.api.Wire;
import org.osgi.annotation.versioning.ProviderType;

/**
 * The driver of one kind of IOMMU on this machine: of all its instances. A service with the properties below, one
 * object for everybody; see the package page.
 */
@ProviderType
public interface Iommu {
    /** Service property, String: the kind of hardware, such as {@code pamu} or {@code vtd}, as reports name it. */
    String KIND = "iommu.kind";

    /**
     * Service property, String or several: the names of {@link IommuCapabilities#types}, readable without
     * the service, such as from a bundle that is not started.
     */
    String TYPE = "vfio.type";

    /**
     * {@return the names in a value of {@link #TYPE}: one, or an array or a collection; empty if it is anything else or
     *     has an empty one}
     */
    static List<String> types(Object property) {
        List<?> all = property instanceof Collection<?> several ? List.copyOf(several)
            : property instanceof Object[] several ? List.of(several) : property == null ? List.of()
            : List.of(property);
        return all.stream().allMatch(one -> one instanceof String text && !text.isEmpty())
            ? all.stream().map(String.class::cast).toList() : List.of();
    }

    /** {@return what this hardware can do; the same answer for as long as the service lives} */
    IommuCapabilities capabilities();

    /**
     * {@return the ranges that must not be mapped in a domain this requester is attached to, by ascending start: those
     *     of {@link #capabilities} and the requester's own, such as firmware's identity mappings}
     */
    List<ReservedRegion> reservedRegions(Requester requester);

    /**
     * {@return whether the requester sits behind hardware that this driver drives ({@link Requester#unit}); only then
     * is it under the translations of a domain it is attached to. The container attaches no others, and {@link
     * IommuDomain#attach} refuses them. The same answer for as long as the service lives; quick}
     */
    boolean serves(Requester requester);

    /**
     * {@return a new domain with no requester and no mapping}
     *
     * @throws machine.api.ErrnoException ENOSPC or ENOMEM if the hardware has no room for one more; ENODEV if the
     *     driver has ended
     */
    IommuDomain open();

    /**
     * Makes a value of an attribute of this provider's own, for {@link IommuDomain#set}. The data may come from another
     * revision of the provider's bundle; what that did not know has a default.
     *
     * @throws machine.api.ErrnoException ENOTTY if this provider has no such attribute; EINVAL for a value it cannot
     *     take
     */
    default DomainAttribute attribute(NamedAttribute data) {
        throw new ErrnoException(Errno.ENOTTY, "this IOMMU has no attribute %s", data.name());
    }

    /** {@return the wires on which the hardware reports refused accesses; empty if it has none. A listener to one
     *     calls {@link #violations} when it fires} */
    List<Wire> violationWires();

    /**
     * Reads and clears what all instances have recorded since the last call; their wires are low then. May be called
     * from an interrupt handler, which runs inside an access: so it takes no lock that is held over
     * {@link machine.api.Bus#sync}. Also called without any wire, at any time.
     *
     * @return the records, oldest first; empty if there are none
     */
    List<Violation> violations();
}
