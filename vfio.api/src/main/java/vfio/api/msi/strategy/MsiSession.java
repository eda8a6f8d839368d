// SPDX-License-Identifier: Apache-2.0
package vfio.api.msi.strategy;

import iommu.api.ReservedRegion;
import java.util.List;
import org.osgi.annotation.versioning.ConsumerType;
import vfio.api.msi.MsiPlacement;

/** A strategy's work for one container. Called with the container's lock held. */
@ConsumerType
public interface MsiSession extends AutoCloseable {
    /**
     * Lists the banks a new vector may come from, in order of preference.
     *
     * @return indexes; never empty
     * @throws machine.api.ErrnoException ENODEV if the user has to do something first, saying what
     */
    List<Integer> reachable();

    /**
     * Prepares a bank of which a device is about to use a vector, for the first time or again. Over a swap of the
     * interrupt controller a device's bank is enabled again, and then disabled for the earlier time.
     *
     * @return the first device address of the bank's placement; of its page, if it needs no placement
     * @throws machine.api.ErrnoException ENODEV if the bank is not reachable and the strategy does not place it itself;
     *     ENOSPC if it finds no window for it
     */
    long enable(int bank);

    /** A device has ceased to use a vector of that bank; {@link MsiEnvironment#banks} tells how many are left. */
    void disable(int bank);

    /**
     * Checks a range before the user maps memory there: the strategy may refuse it.
     *
     * @throws machine.api.ErrnoException EINVAL or EEXIST if it needs that range
     */
    void mapping(long iova, long length);

    /**
     * {@return the ranges this strategy keeps from the user and announces, by ascending start, of kind SOFTWARE_MSI:
     *     mapping memory there is EINVAL; the strategy itself may place banks there} They may change when the geometry
     *     does.
     */
    default List<ReservedRegion> reserved() {
        return List.of();
    }

    /**
     * The container moves to this session from another strategy's, which had banks placed, or that has left: this one
     * may take them over where they are, and owns them from then on. Called at most once, before anything else.
     *
     * @param placements all that are placed
     * @return false to take over none: they are then taken away, and the vectors in use enabled here, each of which may
     *     place its bank
     */
    default boolean adopt(List<MsiPlacement> placements) {
        return false;
    }

    /**
     * The strategy has left the container, its bundle was replaced for one, and has come back: this session may take
     * over where the banks are that its predecessor had placed, and owns them from then on. What has no place any more,
     * as memory was mapped there meanwhile, is not among them. Called at most once, before anything else.
     *
     * @param placements those that are left; the vectors in use will be enabled here afterwards
     * @return false to take over none: they are then taken away. By default as {@link #adopt}
     */
    default boolean resume(List<MsiPlacement> placements) {
        return adopt(placements);
    }

    /**
     * One of {@link MsiStrategy#operations}, by its first word.
     *
     * @return its result, 0 if it has none
     * @throws machine.api.ErrnoException ENOTTY if there is no such operation; EINVAL for a wrong number of arguments;
     *     what the operation throws
     */
    long call(String operation, long... arguments);

    /**
     * Removes every bank it has placed; the container removes the rest. The container has disabled the vectors. If
     * another session has taken over, or the strategy is leaving, the environment shows no placements any more, and
     * removing one does nothing: they stay for the strategy that takes over, or for {@link #resume}.
     */
    @Override
    void close();
}
