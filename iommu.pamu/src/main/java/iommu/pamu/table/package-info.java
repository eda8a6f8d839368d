// SPDX-License-Identifier: Apache-2.0
/**
 * What the PAMU and its driver agree on: the bits of table entries and registers, and where they lie. No behaviour.
 * Used by {@code iommu.pamu.unit} (the hardware) and {@code iommu.pamu} (the driver), which do not know each other.
 */
package iommu.pamu.table;
