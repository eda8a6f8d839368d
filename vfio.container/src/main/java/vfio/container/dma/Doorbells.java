// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

/** The physical pages of the banks that the ledger has placed. */
public interface Doorbells {
    /** Whether there are any now; while there are not, placements wait. */
    boolean present();

    /**
     * {@return the physical address of the block that is mapped for a bank: its page, or the larger block around it}
     *
     * @param length bytes of the block, a power of two
     * @throws machine.api.ErrnoException ENODEV if there is no such bank
     */
    long block(int bank, long length);
}
