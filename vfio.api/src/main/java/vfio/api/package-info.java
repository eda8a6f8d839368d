// SPDX-License-Identifier: Apache-2.0
/**
 * VFIO for programs on this JVM: containers, groups, devices, regions, interrupts and eventfds, with the rules of the
 * Linux VFIO API. Provided by {@code vfio.container}; used by programs that drive a device.
 *
 * <p>The order that works is the kernel's: open a container, add a group, set the IOMMU type, set attributes and map
 * memory, and only then get a device. A device is refused before its group is in a container with an IOMMU set, and
 * with nothing mapped everything the device does is blocked.
 *
 * <p>The user picks device addresses for memory. On an IOMMU that translates MSIs the doorbells need device addresses,
 * too: the <em>MSI strategy</em> decides who picks them, see {@link vfio.api.msi}. The user never sees an MSI's address
 * or data: config space is virtualised.
 *
 * <p><b>Extensions</b> are what only some VFIOs have: the user's part in MSIs, {@link vfio.api.msi}, and the swap of
 * backends, {@link vfio.api.swap}. They are asked for by type, {@link vfio.api.Extensible#as}; a driver that is given a
 * container with its IOMMU set and its memory's addresses needs none.
 *
 * <p><b>Errors</b> are {@link machine.api.ErrnoException}s; a call that throws one has changed nothing. <b>Threads:</b>
 * any thread may call anything; calls on one container are serialised.
 *
 * <pre>
 *  Container container = vfio.openContainer("guest");
 *  container.addGroup(vfio.group(0));
 *  container.setIommu("pamu");
 *  container.set(new Geometry(0, 512L &lt;&lt; 20));
 *  container.set(new Windows(8));
 *  container.map(0, memory, 0, 256L &lt;&lt; 20, Access.READ_WRITE);
 *  container.as(Msis.class).call("MAP_MSI_BANK", 0, 0x10000000);
 *  Device device = vfio.group(0).device("0000:01:00.0");
 *  EventFd done = vfio.eventFd();
 *  device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, done));
 * </pre>
 */
@Export
@Version("1.0.0")
package vfio.api;

import org.osgi.annotation.bundle.Export;
import org.osgi.annotation.versioning.Version;
