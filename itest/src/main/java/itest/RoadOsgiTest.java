// SPDX-License-Identifier: Apache-2.0
package itest;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.Iommu;
import iommu.api.Windows;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import java.util.jar.Manifest;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.Node;
import machine.api.PciFunction;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.ExtendWith;
import org.osgi.framework.Bundle;
import org.osgi.service.cm.Configuration;
import org.osgi.service.cm.ConfigurationAdmin;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.Vfio;
import vfio.api.msi.MsiChoice;
import vfio.api.msi.MsiPlacement;
import vfio.api.msi.Msis;

/** The twin of the launcher's RoadTest: the same road, built by Declarative Services out of running bundles. */
@ExtendWith(Cleaned.class)
class RoadOsgiTest {
    private static final long MIB = 1L << 20;

    private Machines machines;
    private Machine machine;
    private Configuration plugged;

    @BeforeEach
    void load() throws Exception {
        Framework.awaitStart();
        machines = Framework.service(Machines.class);
        machine = machines.load(Framework.board("p4080.dtb"), Map.of());
        plugged = Framework.service(ConfigurationAdmin.class).createFactoryConfiguration("device.edu", "?");
        plugged.update(new Hashtable<>(Map.of("slot", "pcie0", "device", 0, "function", 0, "dma.mask", -1L)));
    }

    @AfterEach
    void unload() throws Exception {
        // The configuration is forgotten in another thread: if the machine went first, the next one could meet this
        // device again.
        plugged.delete();
        Framework.await("the device to be gone", () -> !Framework.present(PciFunction.class, null));
        machines.unload();
        assertFalse(Framework.present(Vfio.class, null));
        assertFalse(Framework.present(Node.class, null));
    }

    @DisplayName("The road through services: DMA both ways, an MSI to an eventfd, a refusal with its AVS1")
    @Test
    void road() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            assertEquals(0x010000edL, device.read(Region.BAR0, 0, 4));

            byte[] source = {1, 2, 3, 4, 5, 6, 7, 8};
            container.mappings().get(0).buffer().write(0x3ffc, source, 0, 8);
            dma(device, 0x3ffc, 0x40000, 8, 1);
            dma(device, 0x40000, 0x5000, 8, 3);
            byte[] found = new byte[8];
            container.mappings().get(0).buffer().read(0x5000, found, 0, 8);
            assertEquals(List.of(1, 2, 3, 4, 5, 6, 7, 8),
                List.of((int) found[0], (int) found[1], (int) found[2], (int) found[3],
                (int) found[4], (int) found[5], (int) found[6], (int) found[7]));

            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            assertEquals(0, device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd)));
            device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
            assertEquals(0x10000140, container.as(Msis.class).routes().get(0).address());

            Vfio vfio = Framework.service(Vfio.class);
            long faults = vfio.faultCount();
            dma(device, 0x40000, 0x14001000, 4, 3);
            assertEquals(faults + 1, vfio.faultCount());
            assertEquals("AVS1=0x00c10101 AVA=0x14001000", registers(vfio));
        }
    }

    @DisplayName("No device before its group is in a container with an IOMMU set; with nothing mapped everything is "
        + "blocked")
    @Test
    void order() throws Exception {
        Vfio vfio = Framework.service(Vfio.class);
        Framework.await("the device's group", () -> !vfio.groups().isEmpty());
        assertErrno(Errno.EINVAL, () -> vfio.group(0).device("0000:01:00.0"));
        try (Container container = vfio.openContainer("empty")) {
            container.addGroup(vfio.group(0));
            assertErrno(Errno.EINVAL, () -> vfio.group(0).device("0000:01:00.0"));
            Framework.await("the pamu", () -> container.checkExtension("pamu"));
            container.setIommu("pamu");
            Device device = vfio.group(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            long faults = vfio.faultCount();
            dma(device, 0x0, 0x40000, 4, 1);
            assertEquals(faults + 1, vfio.faultCount());
        }
    }

    @DisplayName("Nodes are services with their compatible strings, ready while a unit is attached")
    @Test
    void nodes() throws Exception {
        Framework.service(Vfio.class);
        Framework.await("the pamu to be ready",
            () -> Framework.present(Node.class, "(&(compatible=fsl,pamu)(machine.ready=true))"));
        assertTrue(Framework.present(Node.class, "(compatible=fsl,qoriq-pcie-v2.1)"));
        Bundle bundle = Framework.bundle("iommu.pamu");
        bundle.stop();
        try {
            assertTrue(Framework.present(Node.class, "(&(compatible=fsl,pamu)(machine.ready=false))"));
        } finally {
            bundle.start();
        }
        Framework.await("the pamu to be ready",
            () -> Framework.present(Node.class, "(&(compatible=fsl,pamu)(machine.ready=true))"));
    }

    @DisplayName("P2, P4: stopping iommu.pamu blocks, starting it restores every mapping; DMA and MSIs work as before")
    @Test
    void restart() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
            long before = container.lookup(0x7123456, Access.WRITE);
            Vfio vfio = Framework.service(Vfio.class);
            Bundle bundle = Framework.bundle("iommu.pamu");
            bundle.stop();
            try {
                assertEquals(ContainerState.BLOCKED, container.state());
                assertErrno(Errno.EAGAIN, () -> container.unmap(0, 64 * MIB));
                long faults = vfio.faultCount();
                dma(device, 0x0, 0x40000, 4, 1);
                assertEquals(faults + 1, vfio.faultCount());
            } finally {
                bundle.start();
            }
            Framework.await("the container to work again", () -> container.state() == ContainerState.ACTIVE);
            assertEquals(before, container.lookup(0x7123456, Access.WRITE));
            long faults = vfio.faultCount();
            dma(device, 0x0, 0x40000, 4, 1);
            assertEquals(faults, vfio.faultCount());
            device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
        }
    }

    @DisplayName("A stopped and started irq.mpic: the device's MSI is routed again")
    @Test
    void restartController() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
            Bundle bundle = Framework.bundle("irq.mpic");
            bundle.stop();
            bundle.start();
            Framework.await("the route", () -> container.as(Msis.class).routes().size() == 1);
            device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
        }
    }

    @DisplayName("Copies of iommu.pamu and irq.mpic with another version stand by, and take over when the first ones "
        + "leave")
    @Test
    void standby() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
            for (String name : List.of("iommu.pamu", "irq.mpic")) {
                Bundle first = Framework.bundle(name);
                Node node = machine.nodes().stream()
                    .filter(each -> each.compatibleWith(name.equals("irq.mpic") ? "fsl,mpic" : "fsl,pamu"))
                    .findFirst().orElseThrow();
                Bundle copy = Framework.CONTEXT.installBundle("copy of " + name, Framework.copy(first, "9.0.0"));
                try {
                    copy.start();
                    assertHeld(node, name + " " + first.getVersion());
                    assertEquals(ContainerState.ACTIVE, container.state());
                    works(container, device, eventFd);

                    first.stop();
                    Framework.await("the copy of " + name + " to take over", () -> held(node, name + " 9.0.0")
                        && container.as(Msis.class).routes().size() == 1 && container.state() == ContainerState.ACTIVE
                        && container.reason().isEmpty());
                    works(container, device, eventFd);
                    first.start();
                    assertHeld(node, name + " 9.0.0");
                    works(container, device, eventFd);
                } finally {
                    copy.uninstall();
                    first.start();
                }
                Framework.await(name + " to be back",
                    () -> held(node, name + " " + first.getVersion()) && container.as(Msis.class).routes().size() == 1
                    && container.state() == ContainerState.ACTIVE && container.reason().isEmpty());
                works(container, device, eventFd);
            }
        }
    }

    private boolean held(Node node, String holder) {
        return List.of(Holds.Role.values()).stream()
            .allMatch(role -> machine.holds().holder(role, node).filter(found -> found.startsWith(holder)).isPresent());
    }

    private void assertHeld(Node node, String holder) {
        assertTrue(held(node, holder), node.path() + ": " + machine.holds().holder(Holds.Role.UNIT, node) + ", "
            + machine.holds().holder(Holds.Role.DRIVER, node));
    }

    /** DMA is let through where something is mapped, and a message arrives. */
    private static void works(Container container, Device device, EventFd eventFd) throws Exception {
        Vfio vfio = Framework.service(Vfio.class);
        long faults = vfio.faultCount();
        dma(device, 0x0, 0x40000, 4, 1);
        dma(device, 0x40000, 0x6000, 4, 3);
        assertEquals(faults, vfio.faultCount());
        assertTrue(container.lookup(0x7123456, Access.WRITE) >= 0);
        rings(device, eventFd);
    }

    @DisplayName("A strategy in somebody else's bundle: comes, is considered, is used by a container at work, "
        + "leaves, comes back, leaves")
    @Test
    void thirdParty() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            device.setIrqs(IrqSet.eventFds(Irq.MSI, 0, eventFd));
            assertErrno(Errno.ENOENT, () -> container.as(Msis.class).strategy("lowest"));

            Bundle bundle = Framework.CONTEXT.installBundle("third", pack("itest/third/Activator.class",
                "itest/third/LowestStrategy.class", "itest/third/LowestStrategy$Session.class"));
            try {
                bundle.start();
                List<MsiChoice> choices = container.as(Msis.class).explain();
                MsiChoice choice = choices.get(choices.size() - 1);
                assertEquals("lowest", choice.name());
                assertEquals(-100, choice.ranking());
                assertTrue(choice.assessment().feasible() && !choice.chosen());
                rings(device, eventFd);

                container.set(new Enable(true));
                container.as(Msis.class).call("UNMAP_MSI_BANK", 0x14000000);
                container.as(Msis.class).strategy("lowest");
                assertEquals("lowest", container.as(Msis.class).strategy().orElseThrow());
                assertEquals(0x10000140, container.as(Msis.class).routes().get(0).address());
                rings(device, eventFd);

                bundle.stop();
                assertTrue(container.as(Msis.class).strategy().isEmpty(),
                    "it is asked for by name: no other takes over");
                assertEquals(List.of(0x10000000L),
                    container.as(Msis.class).placements().stream().map(MsiPlacement::iova).toList(),
                    "kept for its return");
                assertTrue(container.reason().contains("the MSI of device 0000:01:00.0 waits"), container.reason());
                bundle.start();
                assertEquals("", container.reason());
                assertEquals(0, eventFd.poll(), "none was sent meanwhile");
                rings(device, eventFd);

                container.as(Msis.class).strategy("");
                assertEquals("bank", container.as(Msis.class).strategy().orElseThrow());
                rings(device, eventFd);
                bundle.stop();
                assertEquals("bank", container.as(Msis.class).strategy().orElseThrow());
                rings(device, eventFd);
            } finally {
                bundle.uninstall();
            }
            assertErrno(Errno.ENOENT, () -> container.as(Msis.class).strategy("lowest"));
        }
    }

    private static void rings(Device device, EventFd eventFd) throws InterruptedException {
        device.write(Region.BAR0, 0x60, 4, 1);
        assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
    }

    /** {@return a bundle of some of this bundle's classes, as a builder outside would make it} */
    private static InputStream pack(String... classes) throws IOException {
        Manifest manifest = new Manifest();
        manifest.getMainAttributes().putValue("Manifest-Version", "1.0");
        manifest.getMainAttributes().putValue("Bundle-ManifestVersion", "2");
        manifest.getMainAttributes().putValue("Bundle-SymbolicName", "itest.third");
        manifest.getMainAttributes().putValue("Bundle-Activator", "itest.third.Activator");
        manifest.getMainAttributes().putValue("Import-Package",
            "org.osgi.framework,iommu.api,machine.api,vfio.api,vfio.api.msi,vfio.api.msi.strategy;version=\"[1,2)\"");
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        try (JarOutputStream jar = new JarOutputStream(bytes, manifest)) {
            for (String name : classes) {
                jar.putNextEntry(new JarEntry(name));
                try (InputStream content = Framework.CONTEXT.getBundle().getResource(name).openStream()) {
                    content.transferTo(jar);
                }
            }
        }
        return new ByteArrayInputStream(bytes.toByteArray());
    }

    @DisplayName("INTx: the pin reaches its eventfd, masks itself, and fires again when it is unmasked while still "
        + "asserted")
    @Test
    void pin() throws Exception {
        try (Container container = guest()) {
            Device device = container.groups().get(0).device("0000:01:00.0");
            device.write(Region.CONFIG, 4, 2, 6);
            EventFd eventFd = Framework.service(Vfio.class).eventFd();
            device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
            device.write(Region.BAR0, 0x60, 4, 1);
            assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
            device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
            assertEquals(1, eventFd.read(Framework.seconds(5), TimeUnit.SECONDS));
            device.write(Region.BAR0, 0x64, 4, 1);
            device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
            assertEquals(0, eventFd.read(50, TimeUnit.MILLISECONDS));
        }
    }

    /** The container of the proposal: 512 MiB in 8 windows, memory in 0 to 3, bank 0 in 4. */
    private Container guest() throws Exception {
        Vfio vfio = Framework.service(Vfio.class);
        Framework.service(PciFunction.class);
        Framework.service(Iommu.class);
        Framework.await("the device's group", () -> !vfio.groups().isEmpty() && vfio.iommuTypes().contains("pamu"));
        Container container = vfio.openContainer("guest");
        container.addGroup(vfio.group(0));
        container.setIommu("pamu");
        container.set(new Geometry(0, 512 * MIB));
        container.set(new Windows(8));
        try (DmaBuffer memory = machine.memory().allocate(256 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            container.map(0, memory, 0, 256 * MIB, Access.READ_WRITE);
        }
        container.as(Msis.class).call("MAP_MSI_BANK", 0, 0x10000000);
        container.as(Msis.class).call("MAP_MSI_BANK", 1, 0x14000000);
        return container;
    }

    private static void dma(Device device, long source, long destination, int bytes, int command) throws Exception {
        device.write(Region.BAR0, 0x80, 8, source);
        device.write(Region.BAR0, 0x88, 8, destination);
        device.write(Region.BAR0, 0x90, 8, bytes);
        device.write(Region.BAR0, 0x98, 8, command);
        Framework.await("the transfer", () -> (device.read(Region.BAR0, 0x98, 8) & 1) == 0);
    }

    private static String registers(Vfio vfio) {
        return vfio.violations().get(vfio.violations().size() - 1).registers();
    }

    private static void assertErrno(Errno errno, Runnable call) {
        try {
            call.run();
        } catch (ErrnoException e) {
            assertEquals(errno, e.errno(), e.getMessage());
            return;
        }
        throw new AssertionError("no " + errno);
    }
}
