// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A wire from a device to an input of the interrupt controller. The machine remembers its level, so that a controller
 * that is attached later finds asserted what still is. Whoever asked the machine for it closes it when the device
 * leaves.
 */
@ProviderType
public interface InterruptLine extends Attachment {
    /** Drives the wire; repeating a level changes nothing. Called on the device's thread; does not block. */
    void set(boolean asserted);

    /** Lowers the wire, and lets go of it: it stays low. */
    @Override
    void close();
}
