// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

import java.util.Set;
import machine.api.Requester;

/** The requesters of the devices in a container's groups, as of now. */
public interface Members {
    /** {@return all of them, each once} */
    Set<Requester> requesters();

    /** {@return the ids of those that can do without what firmware wants mapped for them} */
    Set<Integer> relaxed();

    /** {@return the ids of all, ascending} */
    default Set<Integer> ids() {
        return IovaRanges.ids(requesters());
    }
}
