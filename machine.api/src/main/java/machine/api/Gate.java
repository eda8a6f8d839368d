// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.Set;
import org.osgi.annotation.versioning.ConsumerType;
import org.osgi.annotation.versioning.ProviderType;

/**
 * A gate in front of the translations of some requesters, for a caller that is about to change the translation behind
 * it: while it is shut, no access reaches an IOMMU, so that none can see half a change or be recorded as a violation.
 * Made by {@link Machine#gate}; open at first, and then not on the road at all: a port meets its gate only while it is
 * shut.
 *
 * <p>Shut, accesses to memory wait until the gate opens, at most for a bound from the moment it was shut; those that
 * have waited so long, and those that come later, are refused {@link Refusal#BLOCKED}. So are those of a device that is
 * being reset, see {@link DmaPort#dismiss}. Messages do not wait: as the posted writes they are, the gate takes them
 * and its {@link Keeper} remembers them. Who waits at a gate is not in flight: {@link Bus#sync} does not wait for it.
 * An access inside another one of the same thread is part of that one, which is: the thread that shuts the gate waits
 * for it, until the bound lets it go.
 *
 * <p>Where a method waits for what is in flight and an access does not end, it waits as long as {@link Bus#sync} does
 * and logs which; the gate has moved all the same. Who gives memory back relies on {@link Bus#sync}, which throws then.
 *
 * <p>Control path. Belongs to its creator, which calls one method at a time; the counts may be read by any thread.
 */
@ProviderType
public interface Gate extends AutoCloseable {
    /**
     * In front of devices that cannot be held back, such as those of another process: never shut, it holds no device.
     */
    Gate NONE = new Gate() {
        @Override
        public void requesters(Set<Integer> requesters) {
        }

        @Override
        public void shut(long boundNanos) {
        }

        @Override
        public void keepMessages(long... pages) {
        }

        @Override
        public void open() {
        }

        @Override
        public long stalled() {
            return 0;
        }

        @Override
        public long refused() {
            return 0;
        }

        @Override
        public void close() {
        }
    };

    /** Keeps the messages of devices, which must not wait. */
    @FunctionalInterface
    @ConsumerType
    interface Keeper {
        /**
         * A device writes 4 bytes at a shut gate. Called on the device's thread, inside its access: must be quick and
         * must not block.
         *
         * @param iova the address, a multiple of 4
         * @param data the value
         * @return whether this is a message that the keeper keeps; for the device it has been written
         */
        boolean keep(int requester, long iova, int data);
    }

    /**
     * Sets the requesters this gate controls. A requester added while the gate is shut is held from then on; one
     * removed is released.
     *
     * @throws IllegalArgumentException if one of them has another gate
     */
    void requesters(Set<Integer> requesters);

    /**
     * Shuts it. When this returns, nothing of its requesters is in flight. A gate that is shut already begins a new
     * bound.
     *
     * @param boundNanos how long accesses may wait from now on, in nanoseconds; 0 or less refuses them at once
     */
    void shut(long boundNanos);

    /**
     * Shuts it for messages alone: writes of 4 bytes to some pages, that the keeper takes. Everything else passes, and
     * what waits goes on. When this returns, nothing that it would stop is in flight.
     *
     * @param pages one device address of each page of 4 KiB
     */
    void keepMessages(long... pages);

    /** Opens it. When this returns, the keeper is not asked any more. */
    void open();

    /** {@return how many accesses have waited since it was made} */
    long stalled();

    /** {@return how many accesses were refused because the bound had passed, since it was made} */
    long refused();

    /** Opens it for good; its requesters have no gate any more. */
    @Override
    void close();
}
