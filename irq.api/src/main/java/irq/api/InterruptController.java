// SPDX-License-Identifier: Apache-2.0
package irq.api;

import machine.api.Attachment;
import machine.api.Wire;
import org.osgi.annotation.versioning.ProviderType;

/** The driver of the machine's interrupt controller. A service with the property {@value #KIND}. */
@ProviderType
public interface InterruptController {
    /** Service property, String: {@code mpic}, {@code apic}. */
    String KIND = "irq.kind";

    /**
     * Routes a wire to a handler and unmasks it. A wire may have several handlers; each is called.
     *
     * @param wire an interrupt of a node, or of a slot
     * @return masks it again if this was the last handler; when that returns, the handler does not run any more (unless
     *     it was the handler that called)
     * @throws machine.api.ErrnoException EINVAL if the controller has no such input or the wire leads to another
     *     controller
     */
    Attachment request(Wire wire, InterruptHandler handler);

    /**
     * Masks or unmasks a requested wire. An edge that arrives while it is masked is delivered when it is unmasked; so
     * is a level that is still asserted.
     *
     * @throws machine.api.ErrnoException ENOENT if nobody has requested it
     */
    void mask(Wire wire, boolean masked);

    /** {@return the doorbells of this controller} */
    MsiDoorbells doorbells();
}
