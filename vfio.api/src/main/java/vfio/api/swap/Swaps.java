// SPDX-License-Identifier: Apache-2.0
package vfio.api.swap;

import java.util.List;
import java.util.Set;
import org.osgi.annotation.versioning.ProviderType;
import vfio.api.Container;
import vfio.api.Extension;
import vfio.api.Vfio;

/** The swaps of all containers of a VFIO. {@link SwapListener} is told of each as it ends. */
@ProviderType
public interface Swaps extends Extension<Vfio> {
    /** {@return the reports of the latest swaps, oldest first, at most 1024} */
    List<Swap> latest();

    /**
     * Reports that the replacement of a backend has failed. Each container that uses such a backend, or waits for one,
     * gives the cause with its {@link Container#reason} until a swap of its succeeds or {@link Backends#retry} finds it
     * at work, and reports it: by {@link Swap#to} the present backend if there is one. Changes nothing else.
     *
     * @param backend the part that was to be replaced
     * @param types the types of an IOMMU, see {@link iommu.api.Iommu#TYPE}; ignored for other backends
     * @param cause one line
     */
    void notReplaced(Swap.Backend backend, Set<String> types, String cause);
}
