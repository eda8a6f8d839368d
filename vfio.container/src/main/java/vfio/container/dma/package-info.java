// SPDX-License-Identifier: Apache-2.0
/**
 * Memory: the rules of mapping and unmapping, and the domain that is made from the ledger. It knows no message, an
 * interrupt controller or a swap; it calls {@link vfio.container.state}, {@link vfio.container.host} and the provider
 * of the IOMMU.
 */
package vfio.container.dma;
