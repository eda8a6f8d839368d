// SPDX-License-Identifier: Apache-2.0
/**
 * A machine from a flattened device tree. {@link machine.fdt.FlatTree} reads the bytes, {@link machine.fdt.DeviceTree}
 * gives them meaning (addresses, interrupts, phandles), {@link machine.fdt.QorIq} adds what a boot loader would have
 * added, and {@link machine.fdt.FdtMachineSource} offers it all as a service.
 */
package machine.fdt;
