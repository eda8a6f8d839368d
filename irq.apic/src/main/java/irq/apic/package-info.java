// SPDX-License-Identifier: Apache-2.0
/**
 * The driver of the x86 local APICs. It programs them through {@link machine.api.Bus} only; the registers it finds
 * there are {@link irq.apic.ApicRegisters}, whether the model in {@code irq.apic.unit} or something else answers.
 *
 * <p>{@link irq.apic.ApicDriver} owns the cores, {@link irq.apic.ApicCore} is the interrupt handler of one of them, and
 * {@link irq.apic.ApicDoorbells} hands out vectors and composes messages. {@link irq.apic.ApicRegistrar} makes a
 * service of it.
 */
package irq.apic;
