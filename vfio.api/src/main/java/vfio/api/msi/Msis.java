// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi;

import java.util.List;
import java.util.Optional;
import org.osgi.annotation.versioning.ProviderType;
import vfio.api.Container;
import vfio.api.Extension;

/** The way of a container's MSIs to their doorbells: the strategy that decides it, and the user's part in it. */
@ProviderType
public interface Msis extends Extension<Container> {
    /**
     * Calls an operation of the active MSI strategy, one of {@link vfio.api.msi.strategy.MsiStrategy#operations}.
     *
     * @return the operation's result, 0 if it has none
     * @throws machine.api.ErrnoException ENOTTY, naming the active strategy, if it does not have the operation; EAGAIN
     *     while the IOMMU is away; what the operation throws
     */
    long call(String operation, long... arguments);

    /** {@return the active strategy's name, empty before {@link Container#setIommu}} */
    Optional<String> strategy();

    /**
     * Selects the MSI strategy by name; an empty name, the default, leaves the choice to the resolver.
     *
     * <p>Vectors that are enabled move along and stay enabled: a strategy that can takes over the banks where they are,
     * another places them anew, and devices get new messages. An MSI sent meanwhile arrives when the road is open,
     * several as one. If that fails, everything is as before.
     *
     * @throws machine.api.ErrnoException ENOENT if there is no such strategy; EINVAL, with its reason, if it is not
     *     feasible here; EBUSY if vectors are enabled and it cannot make their banks reachable, saying why
     */
    void strategy(String name);

    /**
     * Explains the choice of the active MSI strategy.
     *
     * @return all available strategies in the order the resolver considers them, assessed as of now
     * @throws machine.api.ErrnoException EINVAL if no IOMMU is set
     */
    List<MsiChoice> explain();

    /** {@return where banks are reachable now, by ascending iova} */
    List<MsiPlacement> placements();

    /** {@return the MSIs that are enabled now: who, through which bank, with which message} */
    List<MsiRoute> routes();

    /** Sets the policy that selects the bank of a new vector. The default is {@link VectorPolicy#FIRST_FIT}. */
    void vectorPolicy(VectorPolicy policy);

    /** {@return the policy} */
    VectorPolicy vectorPolicy();
}
