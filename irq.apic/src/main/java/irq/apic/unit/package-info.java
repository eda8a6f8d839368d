// SPDX-License-Identifier: Apache-2.0
/**
 * The hardware: the local APIC of each core ({@link irq.apic.unit.Lapic}) and the address range where all of them live
 * and where devices write messages ({@link irq.apic.unit.LapicUnit}).
 */
package irq.apic.unit;
