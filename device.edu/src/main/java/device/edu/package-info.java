// SPDX-License-Identifier: Apache-2.0
/**
 * A PCI device for lessons and tests, register for register compatible with the {@code edu} device of QEMU: {@link
 * device.edu.Edu} is the device, {@link device.edu.EduComponent} plugs one into the machine per configuration. Exports
 * nothing; the world sees a {@link machine.api.PciFunction}.
 */
package device.edu;
