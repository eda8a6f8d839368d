// SPDX-License-Identifier: Apache-2.0
/**
 * The hardware: the model of a Freescale MPIC with the MSI banks inside its block, {@link irq.mpic.unit.Mpic}. Nothing
 * here is called by the driver; the two meet at the registers.
 */
package irq.mpic.unit;
