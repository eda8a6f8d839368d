// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Requester;
import vfio.container.host.Host;
import vfio.container.host.IommuProvider;

/** The choice of a container's IOMMU among those available: one of its type that all its devices sit behind. */
public final class ProviderChoice {
    private final Host host;
    private final Members members;

    public ProviderChoice(Host host, Members members) {
        this.host = host;
        this.members = members;
    }

    /** {@return the providers of that type in the order they are considered; the caller's} */
    public List<IommuProvider> find(String type) {
        List<IommuProvider> found = new ArrayList<>(host.iommus());
        found.removeIf(one -> !one.types().contains(type));
        return found;
    }

    /**
     * As {@link #find}.
     *
     * @throws ErrnoException ENODEV if there is none
     */
    public List<IommuProvider> require(String type) {
        List<IommuProvider> found = find(type);
        if (found.isEmpty()) {
            throw new ErrnoException(Errno.ENODEV, "no IOMMU of type %s on this machine; there are %s", type,
                host.iommuTypes());
        }
        return found;
    }

    /**
     * {@return the first of some providers whose hardware is what all requesters sit behind: a board may have two
     *     IOMMUs of a type, each with a driver of its own}
     *
     * @param candidates one at least
     * @throws ErrnoException EINVAL if none is, naming whom the first does not serve
     */
    public IommuProvider serving(List<IommuProvider> candidates) {
        ErrnoException obstacle = null;
        for (IommuProvider candidate : candidates) {
            ErrnoException next = unserved(candidate);
            if (next == null) {
                return candidate;
            }
            obstacle = obstacle == null ? next : obstacle;
        }
        throw obstacle;
    }

    /**
     * {@return whom a provider does not serve, as an error; null if it serves all, or cannot say: then the replay says
     *     why}
     */
    public ErrnoException unserved(IommuProvider candidate) {
        Set<Requester> all = members.requesters();
        try {
            Requester stranger = host.calls().call(candidate.iommu(), "looking at whom it serves",
                progress -> IovaRanges.stranger(all, candidate.iommu()), nobody -> {
                });
            if (stranger == null) {
                return null;
            }
            ErrnoException unserved = IovaRanges.unserved(stranger);
            return new ErrnoException(unserved.errno(), unserved, "%s: %s", candidate.label(), unserved.reason());
        } catch (RuntimeException e) {
            return null;
        }
    }
}
