// SPDX-License-Identifier: Apache-2.0
/**
 * The PAMU as hardware: the register block and the table walk of each instance, and the bypass register they share. It
 * reads its tables from the machine's memory and knows nothing of the driver in {@code iommu.pamu}; any driver that
 * writes those tables will do.
 */
package iommu.pamu.unit;
