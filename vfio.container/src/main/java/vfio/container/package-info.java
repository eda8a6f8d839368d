// SPDX-License-Identifier: Apache-2.0
/**
 * The one place that sees both sides: groups of devices, the IOMMU's domains and the interrupt controller's doorbells.
 *
 * <p>Control path only. {@link vfio.container.VfioService} knows what is there, {@link vfio.container.VfioContainer}
 * keeps the {@link vfio.container.Ledger} and makes tables from it, {@link vfio.container.VfioDevice} is vfio-pci.
 */
package vfio.container;
