// SPDX-License-Identifier: Apache-2.0
package irq.api;

import java.util.List;
import machine.api.Attachment;
import org.osgi.annotation.versioning.ProviderType;

/** The MSI doorbells of an interrupt controller: banks, vectors, messages. Any thread. */
@ProviderType
public interface MsiDoorbells {
    /**
     * {@return the banks by index; the same answer for as long as the service lives; empty if the controller has none}
     */
    List<MsiBank> banks();

    /**
     * {@return whether a message is let through only if it comes from the requester the vector was allocated for; if
     *     not, any device that reaches a bank's page can ring each of its vectors}
     */
    boolean verifiesSource();

    /** {@return how many vectors of a bank are free now} */
    int free(int bank);

    /**
     * Takes a vector: the lowest free one of the first bank in the request that has one.
     *
     * @throws machine.api.ErrnoException ENOSPC if no bank of the request has a free vector; EINVAL for a bank that
     *     does not exist
     */
    MsiVector allocate(MsiRequest request);

    /**
     * Gives a vector back. When this returns its handler does not run any more (unless it was the handler that called)
     * and a message that has reached the controller is dropped. One that is still on the bus may ring the number's next
     * owner; a caller that cannot bear that calls {@link machine.api.Bus#sync} first. Its number is free again, unless
     * a handler called: then as soon as the core has done with that handler.
     *
     * @throws machine.api.ErrnoException ENOENT if it is not allocated
     */
    void release(MsiVector vector);

    /**
     * Notifies a listener when a vector has become free, for callers that were refused one; perhaps more often. It is
     * called on the thread that made it free, which may be inside an interrupt handler: must be quick, must not block.
     * What it throws is reported and disturbs nobody.
     *
     * @return ends that; the listener may be running still when this returns
     */
    Attachment onFree(Runnable listener);

    /**
     * {@return what the device must write for this vector}
     *
     * @throws machine.api.ErrnoException ENOENT if it is not allocated
     */
    MsiMessage compose(MsiVector vector);
}
