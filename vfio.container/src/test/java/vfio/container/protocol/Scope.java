// SPDX-License-Identifier: Apache-2.0
package vfio.container.protocol;

/**
 * What takes part. Everything at once would be a product of things that do not meet; each scope has together what can.
 *
 * @param containers how many, each with its device
 * @param dma devices do DMA
 * @param msi devices send MSIs
 * @param users map and unmap
 * @param providers the IOMMU's provider and its unit come and go, containers are swapped
 * @param throwing providers throw at any call, or are gone in the middle of one
 * @param lying a provider restores something else
 * @param hanging a provider's calls hang; blocked containers are closed
 * @param routing interrupt controller and strategy come and go
 * @param aborting the stall bound is zero at times; otherwise there is one, and it passes
 */
public record Scope(int containers, boolean dma, boolean msi, boolean users, boolean providers, boolean throwing,
    boolean lying,
        boolean hanging, boolean routing, boolean aborting) {
    /** One container: its memory, and providers that do everything wrong but hang. */
    static final Scope MEMORY = new Scope(1, true, false, true, true, true, true, false, false, true);
    /**
     * One container whose providers do everything wrong and hang, in swaps and in its user's calls, and which is
     * closed.
     */
    static final Scope HANGING = new Scope(1, true, false, true, true, true, true, true, false, true);
    /** One container: its MSI beside its DMA, everything it depends on comes and goes. */
    static final Scope MESSAGES = new Scope(1, true, true, false, true, true, false, false, true, false);
    /** Two containers on one provider. */
    static final Scope TWO_MEMORIES = new Scope(2, true, false, true, true, true, false, false, false, false);
    /** Two containers on one interrupt controller, whose vectors are dealt anew each time. */
    static final Scope TWO_MESSAGES = new Scope(2, false, true, false, false, false, false, false, true, false);

    // Only when asked for: more states, minutes.

    /** Two containers on one interrupt controller and one provider. */
    static final Scope TWO_MESSAGES_SWAPPED = new Scope(2, false, true, false, true, false, false, false, true, false);
    /** One container, its user, its MSI, its DMA, and everything it depends on. */
    static final Scope WHOLE = new Scope(1, true, true, true, true, true, false, false, true, false);
    /** Two containers on one provider that hangs and lies. */
    static final Scope TWO_HANGING = new Scope(2, true, false, true, true, true, true, true, false, false);
}
