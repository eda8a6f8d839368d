// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import device.edu.Edu;
import device.edu.EduSettings;
import iommu.vtd.VtdDriver;
import iommu.vtd.VtdDriverSettings;
import iommu.vtd.unit.VtdSettings;
import iommu.vtd.unit.VtdUnit;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.acpi.AcpiMachineSource;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Slot;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.container.VfioService;
import vfio.container.host.ContainerLimits;

/** The example PC's table has an RMRR, 0x7f800000..0x7f81ffff, for 00:1d.0. Real units, driver and device. */
class RmrrTest {
    private final List<AutoCloseable> resources = new ArrayList<>();
    private Machine machine;
    private VtdDriver driver;

    @BeforeEach
    void board() throws Exception {
        machine = new AcpiMachineSource().open("q35.dmar", Files.readAllBytes(Path.of("boards", "q35.dmar")), Map.of());
        List<Node> units = machine.nodes().stream().filter(node -> node.compatibleWith("intel,vt-d")).toList();
        units.forEach(node -> machine.attach(node,
            new VtdUnit(machine.bus(), VtdSettings.DEFAULT, node.registers().get(0).physical()).plug(node.path())));
        driver = keep(new VtdDriver(machine, units, VtdDriverSettings.DEFAULT));
    }

    @AfterEach
    void close() throws Exception {
        for (int i = resources.size() - 1; i >= 0; i--) {
            resources.get(i).close();
        }
    }

    @DisplayName("RMRR: the device firmware wants memory mapped for is refused, EPERM; its neighbour without one is "
        + "given away")
    @Test
    void refused() {
        VfioService vfio = service(List.of("0c03", "03"));
        Container container = vfio.openContainer("guest");
        container.addGroup(vfio.groupOf(plug(vfio, 0x1d)));
        ErrnoException e = assertThrows(ErrnoException.class, () -> container.setIommu("type1v2"));
        assertEquals(Errno.EPERM, e.errno());
        assertTrue(e.getMessage()
            .contains("requester 0xe8 is ineligible for IOMMU domain attach due to platform RMRR requirement: firmware "
            + "wants 0x7f800000..0x7f81ffff"), e.getMessage());
        assertEquals(ContainerState.UNSET, container.state());
        Container other = vfio.openContainer("other");
        other.addGroup(vfio.groupOf(plug(vfio, 3)));
        other.setIommu("type1v2");
        assertEquals(Errno.EPERM, assertThrows(ErrnoException.class, () -> {
            container.removeGroup(vfio.groupOf("0000:00:1d.0"));
            other.addGroup(vfio.groupOf("0000:00:1d.0"));
        }).errno());
        assertEquals(List.of("0000:00:03.0"), other.groups().get(0).devices());
    }

    @DisplayName("RMRR: relaxed by configuration the device is given away, and the RMRR's addresses are its user's")
    @Test
    void relaxed() {
        VfioService vfio = service(List.of("00ff"));
        Container container = vfio.openContainer("guest");
        container.addGroup(vfio.groupOf(plug(vfio, 0x1d)));
        container.setIommu("type1v2");
        DmaBuffer memory = keep(machine.memory().allocate(0x1000, 0x1000, DmaMemory.Layout.CONTIGUOUS));
        container.map(0x7f80_0000L, memory, 0, 0x1000, Access.READ_WRITE);
        assertEquals(memory.physical(0), container.lookup(0x7f80_0000L, Access.WRITE));
        assertEquals(Refusal.UNMAPPED, container.lookup(0x7f80_1000L, Access.WRITE), "nothing is mapped for firmware");
    }

    private VfioService service(List<String> relaxable) {
        VfioService vfio = keep(new VfioService(machine, new ContainerLimits(100, ContainerLimits.UNLIMITED, true,
            Duration.ofSeconds(1), Duration.ofSeconds(10), relaxable)));
        vfio.addIommu(driver, "type1");
        return vfio;
    }

    private String plug(VfioService vfio, int device) {
        Slot slot = machine.slots().stream().filter(one -> one.name().equals("pci0")).findFirst().orElseThrow();
        Edu edu = keep(new Edu(machine, slot, device, 0, EduSettings.DEFAULT));
        vfio.addFunction(edu);
        return edu.name();
    }

    private <T extends AutoCloseable> T keep(T resource) {
        resources.add(resource);
        return resource;
    }
}
