// SPDX-License-Identifier: Apache-2.0
package machine.api;

import org.osgi.annotation.versioning.ProviderType;

/**
 * A core as an interrupt controller sees it: one interrupt pin and the handler that software has put behind it. Stop 5
 * of the road for an interrupt; before it the controller's unit, after it the driver's handler.
 *
 * <p>The handler runs on the thread that asserted the pin, as an interrupt runs on whatever the core was doing, and
 * never on two threads at once: a second thread leaves word and goes on, the first looks again. It runs until the pin
 * is lowered, which the handler brings about by acknowledging. A thread does not serve what others assert for as long
 * as they like: after some runs of the handler it offers the duty, for a moment between two runs, to a thread that
 * asserts the pin then; if nobody does, it goes on. So nobody ever waits for another thread, and no assertion is left
 * to a thread that may not come.
 *
 * <p>What the handler throws is logged with its class, whatever it is, and is not the asserting thread's concern. The
 * handler is called again when the pin is asserted next.
 */
@ProviderType
public interface Cpu {
    /** {@return the core's number, from 0} */
    int number();

    /** {@return the level of the pin} */
    boolean asserted();

    /** The unit drives the pin. Lock-free. */
    void pin(boolean level);

    /**
     * The first half of {@link #pin}, for a unit that must not run handlers where it drives the pin, or that looks
     * again whether the level is right before it lets them run: notes the level. Who asserts it so calls {@link #serve}
     * afterwards, or has it called on another thread. Lock-free.
     */
    void level(boolean level);

    /**
     * The second half: runs the handler, if there is one, for as long as the pin is asserted; or leaves that to the
     * thread that is doing so, or hands it to one that asserts the pin meanwhile.
     */
    void serve();

    /**
     * The driver puts its handler behind the pin; it is called at once if the pin is asserted.
     *
     * @return takes the handler away; when that returns, the handler does not run any more (unless it was the handler
     *     itself that called)
     * @throws ErrnoException EBUSY if there is a handler already
     */
    Attachment attach(Runnable interruptHandler);

    /**
     * Waits until what has been asserted is served: the pin is low and no handler runs. Who has seen to it that nothing
     * new comes knows then that nothing is left in the controller.
     *
     * @param boundNanos how long at most, in nanoseconds: a level may stay asserted
     * @return whether it rests
     */
    boolean rest(long boundNanos);
}
