// SPDX-License-Identifier: Apache-2.0
/**
 * The hardware: one VT-d unit per DRHD, byte exact, reading its tables from the machine's memory. Nothing here is
 * called by the driver; the two meet in registers and memory.
 */
package iommu.vtd.unit;
