// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.util.Collection;
import java.util.Comparator;
import java.util.Set;
import java.util.TreeSet;
import machine.api.Requester;

/** The requesters of the devices in a container's groups, as of now. */
public interface Members {
    /** The order by what an IOMMU tells requesters apart by: their ids at their units. */
    Comparator<Requester> ORDER = Comparator.comparingInt(Requester::id).thenComparing(Requester::unit);

    /** {@return all of them, each once} */
    Set<Requester> requesters();

    /** {@return those that can do without what firmware wants mapped for them; a set in {@link #ORDER}} */
    Set<Requester> relaxed();

    /** {@return those that an IOMMU tells apart, in {@link #ORDER}} */
    static Set<Requester> distinct(Collection<Requester> requesters) {
        Set<Requester> distinct = new TreeSet<>(ORDER);
        distinct.addAll(requesters);
        return distinct;
    }
}
