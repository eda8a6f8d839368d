// SPDX-License-Identifier: Apache-2.0
package launcher;

import static machine.api.DmaMemory.Layout.CONTIGUOUS;

import iommu.api.Geometry;
import iommu.api.Windows;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.Machine;
import vfio.api.Container;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Group;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.Vfio;
import vfio.api.msi.Msis;

/** The program that the first page shows: from a group to the first interrupt of its device. */
final class FirstInterrupt {
    private static final long MIB = 1L << 20;

    private final Vfio vfio;
    private final Machine machine;

    FirstInterrupt(Vfio vfio, Machine machine) {
        this.vfio = vfio;
        this.machine = machine;
    }

    /** {@return how many interrupts were signalled: 1} */
    long run() throws InterruptedException {
        // README
        Group group = vfio.groupOf("0000:01:00.0");
        Container guest = vfio.openContainer("guest");
        guest.addGroup(group);
        guest.setIommu("pamu");
        guest.set(new Geometry(0, 512 * MIB));                          // the aperture: device addresses from 0
        guest.set(new Windows(8));                                      // in 8 windows of 64 MiB
        DmaBuffer memory = machine.memory().allocate(256 * MIB, 64 * MIB, CONTIGUOUS);
        guest.map(0, memory, 0, 256 * MIB, Access.READ_WRITE);          // windows 0 to 3: the device's memory
        guest.as(Msis.class).call("MAP_MSI_BANK", 0, 256 * MIB);       // window 4: its interrupts
        Device device = group.device("0000:01:00.0");
        EventFd done = vfio.eventFd();
        device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, done));
        device.write(Region.CONFIG, 4, 2, 6);                           // memory and bus master on
        device.write(Region.BAR0, 0x60, 4, 1);                          // edu's "raise interrupt" register
        long interrupts = done.read(1, TimeUnit.SECONDS);               // 1
        // end
        device.close();
        guest.close();
        memory.close();
        return interrupts;
    }
}
