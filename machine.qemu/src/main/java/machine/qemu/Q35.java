// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import machine.api.Board;
import machine.api.Cpu;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.PciFunction;
import machine.local.LocalCpu;
import machine.qemu.process.Launch;
import machine.qemu.process.Qemu;

/**
 * QEMU's q35 with VT-d and, unless the user says otherwise, two edu devices. The nodes are those that machine.acpi
 * would make of the DMAR table that QEMU gives its firmware.
 */
final class Q35 {
    static final String NAME = "q35";
    /** MiB: enough for what scenarios map, little enough to start at once. */
    static final int MEMORY = 512;
    /** Each in a group of its own; QEMU's edu reaches 256 MiB unless configured otherwise. */
    static final List<String> DEVICES = List.of("edu,addr=3.0,dma_mask=0xffffffffffffffff",
        "edu,addr=4.0,dma_mask=0xffffffffffffffff");

    /** Properties of intel-iommu: interrupts can be remapped. */
    static final String IOMMU = "intremap=on";

    private static final Node.Range VTD = new Node.Range(0xfed9_0000L, 0x1000);
    private static final Node.Range LAPICS = new Node.Range(0xfee0_0000L, 0x10_0000);
    /** Real mode's megabyte, the core's own memory, and what ISA DMA reaches. */
    private static final long LOW = 16L << 20;
    private static final String CORE = "core";
    private static final int DEVICES_OF_A_BUS = 32;
    /** The host bridge's and the chipset's own places. */
    private static final int HOST_BRIDGE = 0;
    private static final int CHIPSET = 0x1f;
    private static final int FUNCTIONS = 8;
    private static final int HEADER_TYPE = 0x0e;
    private static final int MULTIFUNCTION = 0x80;
    private static final int BRIDGE = 0x01;
    private static final int NOBODY = 0xffff;

    private Q35() {
    }

    static QemuMachine start(QemuOptions options) {
        List<String> devices = new ArrayList<>(
            List.of("intel-iommu" + (options.iommu().isEmpty() ? "" : "," + options.iommu())));
        devices.addAll(options.devices());
        devices.add(String.format("isa-debugcon,iobase=0x%x,chardev=%s", CoreRom.PORT, CORE));
        Qemu qemu = Qemu.start(options.by(Launch.q35(options.memory(), devices.toArray(String[]::new)).channel(CORE)
            .file("bios.rom", CoreRom.bytes())));
        try {
            return assemble(qemu, (long) options.memory() << 20);
        } catch (RuntimeException | Error e) {
            qemu.close();
            throw e;
        }
    }

    private static QemuMachine assemble(Qemu qemu, long memory) {
        Node lapic = Node.at("/lapic").compatible("intel,lapic").registers(LAPICS).builtIn(true);
        Node drhd = Node.at(String.format("/drhd@%x", VTD.physical())).compatible("intel,vt-d").registers(VTD)
            .with("segment", 0)
            .with("include-pci-all", 1).with("interrupt-remapping", 1).builtIn(true);
        Node pci = Node.at("/pci0").compatible("acpi,pnp0a08").with("segment", 0).with("bus", 0).with("conventional", 0)
            .builtIn(true);
        Node root = Node.at("/").compatible("acpi,dmar").children(lapic, drhd, pci).builtIn(true);
        String model = "QEMU " + qemu.version() + ' ' + NAME;
        List<Cpu> cpus = List.of(new LocalCpu(0));
        Pins pins = new Pins(cpus);
        try {
            PcCore core = new PcCore(qemu.qtest(), qemu.channel(CORE), pins);
            QemuBus bus = new QemuBus(qemu.qtest(), List.of(new Node.Range(0, memory)), List.of(VTD), PcCore.LAPIC,
                core);
            PciBus slot = new PciBus(qemu.qtest(), pci, drhd.path());
            return new QemuMachine(qemu,
                new QemuMachine.Hardware(model, bus, List.of(new Node.Range(LOW, memory - LOW)),
                Board.flat(List.of(root)), List.of(slot), cpus, functions(slot), Map.of()), pins);
        } catch (RuntimeException | Error e) {
            pins.close();
            throw e;
        }
    }

    /** Everything on the bus but the chipset. */
    private static List<PciFunction> functions(PciBus bus) {
        PciSpace space = new PciSpace();
        List<PciFunction> functions = new ArrayList<>();
        for (int device = HOST_BRIDGE + 1; device < DEVICES_OF_A_BUS; device++) {
            if (device == CHIPSET || bus.read(device << 3, 0, 2) == NOBODY) {
                continue;
            }
            boolean several = (bus.read(device << 3, HEADER_TYPE, 1) & MULTIFUNCTION) != 0;
            for (int function = 0; function < (several ? FUNCTIONS : 1); function++) {
                if (bus.read(device << 3 | function, 0, 2) != NOBODY) {
                    if ((bus.read(device << 3 | function, HEADER_TYPE, 1) & BRIDGE) != 0) {
                        throw new ErrnoException(Errno.EOPNOTSUPP,
                            "%s is a bridge; only devices on the root bus can be used", bus.address(device, function));
                    }
                    functions.add(new QemuFunction(bus, device, function, space));
                }
            }
        }
        return List.copyOf(functions);
    }
}
