// SPDX-License-Identifier: Apache-2.0
/**
 * A machine from an ACPI DMAR table.
 *
 * <p>Read it in this order: {@link machine.acpi.AcpiMachineSource} is asked for a machine,
 * {@link machine.acpi.DmarReader} turns bytes into a {@link machine.acpi.DmarTable}, {@link machine.acpi.PciTopology}
 * makes buses of its device scopes, and {@link machine.acpi.AcpiMachine} puts memory, nodes and slots together. All of
 * it is control path.
 */
package machine.acpi;
