// SPDX-License-Identifier: Apache-2.0
/**
 * Memory: what may be mapped and unmapped, and the domain that is made from the ledger. It has never heard of a
 * message, an interrupt controller or a swap; it calls {@link vfio.container.state}, {@link vfio.container.host} and
 * the provider of the IOMMU.
 */
package vfio.container.dma;
