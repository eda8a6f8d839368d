// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

/** The destination of one source's interrupts: the handlers of a wire, or those of 32 MSI vectors. */
interface Route {
    /**
     * Called by the core's handler between acknowledge and end of interrupt, by one thread at a time. Throws nothing.
     */
    void interrupt();
}
