// SPDX-License-Identifier: Apache-2.0
package vfio.container.dma;

/** The physical pages of the banks that the ledger has placed. */
public interface Doorbells {
    /** Whether there are any now; while there are not, placements wait. */
    boolean present();

    /**
     * {@return the physical address of a bank's page}
     *
     * @throws machine.api.ErrnoException ENODEV if there is no such bank
     */
    long page(int bank);
}
