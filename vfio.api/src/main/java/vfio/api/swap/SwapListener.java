// SPDX-License-Identifier: Apache-2.0
package vfio.api.swap;

import org.osgi.annotation.versioning.ConsumerType;

/** A listener for the reports of all swaps. A service; every registered one is called. */
@FunctionalInterface
@ConsumerType
public interface SwapListener {
    /**
     * A swap has ended, or an attempt has failed. Called on the thread that did it, when the container can be used
     * again; must not block. What it throws is logged and changes nothing.
     */
    void swapped(Swap swap);
}
