// SPDX-License-Identifier: Apache-2.0
/**
 * The driver of Intel VT-d units in legacy mode: page tables, context entries, invalidation, interrupt remapping. It
 * programs hardware through {@link machine.api.Bus} alone, and nothing about the hardware is taken for granted that CAP
 * and ECAP say. The hardware model is {@code iommu.vtd.unit}.
 */
package iommu.vtd;
