// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.PamuDriver;
import iommu.pamu.PamuSettings;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Fault;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Slot;
import machine.fdt.FdtMachineSource;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.irq.LocalEventFd;

/**
 * The whole story with {@code new} alone: a device writes to memory, to an interrupt, and where it must not.
 *
 * <pre>
 *  DmaPort.write ─► Pamu.translate ─┬─► memory
 *                                   └─► Mpic.write ─► Cpu.pin ─► MpicDriver ─► EventFd.signal
 * </pre>
 */
class RoadTest {
    private static final long MIB = 1L << 20;

    @DisplayName("The road: a word to memory, an MSI through window 4 to an eventfd (4, then 5), a refusal, in the "
        + "example board")
    @Test
    void road() throws IOException {
        byte[] board = Files.readAllBytes(Path.of("boards", "p4080.dtb"));
        Machine machine = new FdtMachineSource().open("p4080.dtb", board, Map.of());
        Node iommu = node(machine, "fsl,pamu");
        Node pic = node(machine, "fsl,mpic");
        List<Fault> faults = new ArrayList<>();
        machine.onFault(faults::add);

        // The hardware, then its drivers, which meet it on the bus only.
        machine.attach(iommu, Pamu.unit(machine, iommu, PamuModel.DEFAULT));
        machine.attach(pic, new Mpic(MpicModel.of(machine, pic, 0), machine.cpus()).unit(pic));
        try (PamuDriver pamu = new PamuDriver(machine, iommu, PamuSettings.DEFAULT);
             MpicDriver mpic = new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (text, e) -> {
                 throw new AssertionError(text, e);
             });
             DmaBuffer memory = machine.memory().allocate(64 * MIB, 64 * MIB, DmaMemory.Layout.CONTIGUOUS)) {
            Slot pcie0 = machine.slots().get(0);
            DmaPort device = machine.openPort(pcie0, 0, 0);

            // No domain yet: nothing passes.
            assertEquals(Refusal.NO_REQUESTER, device.write(0, 4, 0xcafebabeL));

            IommuDomain domain = pamu.open();
            domain.set(new Geometry(0, 512 * MIB));
            domain.set(new Windows(8));
            domain.map(0, memory, 0, 64 * MIB, Access.READ_WRITE);
            domain.mapDoorbell(0x10000000, mpic.doorbells().banks().get(0).page(), 0x1000);
            domain.attach(device.requester());

            // Memory.
            assertEquals(Bus.OK, device.write(0x1234, 4, 0xcafebabeL));
            byte[] word = new byte[4];
            memory.read(0x1234, word, 0, 4);
            assertArrayEquals(new byte[] {(byte) 0xbe, (byte) 0xba, (byte) 0xfe, (byte) 0xca}, word);

            // An interrupt. The host owns the data, whoever mapped the window owns the address.
            LocalEventFd eventFd = new LocalEventFd(4);
            MsiVector vector = mpic.doorbells()
                .allocate(new MsiRequest(device.requester().id(), List.of(0), eventFd::signal));
            MsiMessage message = mpic.doorbells().compose(vector);
            assertEquals(0x140, message.offset());
            assertEquals(Bus.OK, device.write(0x10000000 + message.offset(), 4, message.data()));
            assertEquals(5, eventFd.poll());

            // What must not work.
            assertEquals(Refusal.UNMAPPED, device.write(0x1c000000, 4, 1));
            assertEquals(Refusal.OUTSIDE, device.write(0x20000000, 4, 1));
            assertEquals(Refusal.DENIED, device.read(0x10000140, word, 0, 4));
            assertEquals(List.of(Refusal.NO_REQUESTER, Refusal.UNMAPPED, Refusal.OUTSIDE, Refusal.DENIED),
                faults.stream().map(Fault::refusal).toList());
            assertEquals(0, eventFd.poll());

            domain.close();
            assertEquals(Refusal.NO_REQUESTER, device.write(0x1234, 4, 0));
            device.close();
        }
    }

    private static Node node(Machine machine, String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }
}
