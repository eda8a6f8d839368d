// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;

import device.edu.Edu;
import device.edu.EduSettings;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import machine.api.Machine;
import machine.api.Node;
import machine.fdt.FdtMachineSource;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.VfioService;
import vfio.msi.BankStrategy;

/** Runs the program of the first page. */
class FirstInterruptTest {
    @DisplayName("The program in README.md gets its interrupt on the example board")
    @Test
    void works() throws Exception {
        byte[] board = Files.readAllBytes(Path.of("boards", "p4080.dtb"));
        Machine machine = new FdtMachineSource().open("p4080.dtb", board, Map.of());
        Node iommu = node(machine, "fsl,pamu");
        Node pic = node(machine, "fsl,mpic");
        machine.attach(iommu, Pamu.unit(machine, iommu, PamuModel.DEFAULT));
        machine.attach(pic, new Mpic(MpicModel.of(machine, pic, 0), machine.cpus()).unit(pic));
        try (PamuDriver pamu = new PamuDriver(machine, iommu, PamuSettings.DEFAULT);
             MpicDriver mpic = new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (text, e) -> {
                 throw new AssertionError(text, e);
             });
             VfioService vfio = new VfioService(machine);
             Edu edu = new Edu(machine, machine.slots().get(0), 0, 0, EduSettings.DEFAULT)) {
            vfio.addIommu(pamu, "pamu");
            vfio.addController(mpic);
            vfio.addStrategy(new BankStrategy(), 0);
            vfio.addFunction(edu);
            assertEquals(1, new FirstInterrupt(vfio, machine).run());
        }
    }

    private static Node node(Machine machine, String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }
}
