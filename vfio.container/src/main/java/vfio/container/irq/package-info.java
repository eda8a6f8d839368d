// SPDX-License-Identifier: Apache-2.0
/**
 * Interrupts: vectors, messages and the strategy that places their banks. It knows no swaps; it calls {@link
 * vfio.container.dma}, what lies below that, the interrupt controller and the strategies.
 */
package vfio.container.irq;
