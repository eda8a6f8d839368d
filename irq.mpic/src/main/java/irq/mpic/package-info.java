// SPDX-License-Identifier: Apache-2.0
/**
 * The driver of the Freescale MPIC and of its MSI banks. It programs them through {@link machine.api.Bus} only; the
 * registers it finds there are {@link irq.mpic.MpicRegisters} and {@link irq.mpic.MsiLayout}, whether the model in
 * {@code irq.mpic.unit} or a chip answers.
 *
 * <p>{@link irq.mpic.MpicDriver} owns the controller, {@link irq.mpic.MpicDoorbells} hands out vectors and composes
 * messages, and {@link irq.mpic.MpicCore} is the interrupt handler of the core all of them go to.
 */
package irq.mpic;
