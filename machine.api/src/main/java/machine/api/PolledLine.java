// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A device's end of a wire whose level the machine asks for. Whoever asked the machine for it closes it, as soon as the
 * device, or the unit that drives it, has left: a wire that is left asserted interrupts for ever.
 */
@ProviderType
public interface PolledLine extends Attachment {
    /** That of a device that has no wire. */
    PolledLine NONE = new PolledLine() {
        @Override
        public void update() {
        }

        @Override
        public void close() {
        }
    };

    /** To be called whenever the level may have changed; may run interrupt handlers. Does nothing once it is closed. */
    void update();

    /**
     * Lowers the wire, and lets go of it: the level is not asked for any more when this returns, whatever it is. Other
     * devices on the same input are not concerned. May run interrupt handlers.
     */
    @Override
    void close();
}
