// SPDX-License-Identifier: Apache-2.0
/**
 * Groups and the devices in them: vfio-pci. It calls {@link vfio.container.irq} and what lies below that, and knows the
 * container it is in as an {@link vfio.container.device.Owner}.
 */
package vfio.container.device;
