// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.List;
import java.util.Map;
import java.util.stream.IntStream;
import machine.api.Board;
import machine.api.Cpu;
import machine.api.Node;
import machine.api.Wire;
import machine.local.LocalCpu;
import machine.qemu.process.Launch;
import machine.qemu.process.Qemu;

/**
 * QEMU's boards with an e500 core and Freescale's MPIC. There is no IOMMU on them, so no device can be isolated and
 * there is no place for one: their use is the interrupt controller.
 *
 * <p>One core: QEMU shows the pins of one core from outside.
 */
enum E500 {
    /** MPIC 4.2. */
    PPCE500("ppce500", 0xf_e000_0000L),
    /** MPIC 2.0, whose MSIs swap their bytes on a chip and are left alone by irq.mpic. */
    MPC8544DS("mpc8544ds", 0xe000_0000L);

    /** From the start of CCSR, as on every chip with this MPIC. */
    private static final long PIC = 0x40000;
    private static final long PIC_SIZE = 0x40000;
    private static final long MSI_BANK = 0x1600;
    private static final long MSI_BANK_SIZE = 0x200;
    /** QEMU's MPIC has one bank, of 8 message registers. */
    private static final int MSI_REGISTERS = 8;
    private static final int FIRST_MSI_SOURCE = 224;
    /** The number of a core's INT pin among the inputs that QEMU gives an e500. */
    private static final int INT = 4;
    /** The addresses of the payload and the device tree. */
    private static final long FIRMWARE = 32L << 20;

    private final String board;
    private final long ccsr;

    E500(String board, long ccsr) {
        this.board = board;
        this.ccsr = ccsr;
    }

    String board() {
        return board;
    }

    QemuMachine start(QemuOptions options) {
        Qemu qemu = Qemu.start(options.by(Launch.e500(board, options.memory(), 1)));
        try {
            return assemble(qemu, (long) options.memory() << 20);
        } catch (RuntimeException | Error e) {
            qemu.close();
            throw e;
        }
    }

    private QemuMachine assemble(Qemu qemu, long memory) {
        Node.Range registers = new Node.Range(ccsr + PIC, PIC_SIZE);
        String at = String.format("/soc@%x", ccsr);
        Node pic = Node.at(at + String.format("/pic@%x", PIC)).compatible("fsl,mpic").registers(registers)
            .builtIn(true);
        Node bank = Node.at(at + String.format("/msi@%x", PIC + MSI_BANK)).compatible("fsl,mpic-msi").builtIn(true)
            .registers(new Node.Range(registers.physical() + MSI_BANK, MSI_BANK_SIZE))
            .with("msi-available-ranges", 0, 32 * MSI_REGISTERS)
            .interrupts(IntStream.range(FIRST_MSI_SOURCE, FIRST_MSI_SOURCE + MSI_REGISTERS)
                .mapToObj(source -> new Wire(pic.path(), source, true, source + " 0 0 0")).toArray(Wire[]::new));
        Node soc = Node.at(at).compatible("simple-bus").children(pic, bank).builtIn(true);
        Node root = Node.at("/").compatible("qemu," + board).with("model", "QEMU " + qemu.version() + ' ' + board)
            .children(soc)
            .builtIn(true);
        List<Cpu> cpus = List.of(new LocalCpu(0));
        QemuBus bus = new QemuBus(qemu.qtest(), List.of(new Node.Range(0, memory)), List.of(registers), null, null);
        Pins pins = new Pins(cpus);
        try {
            qemu.qtest().listen((line, raised) -> {
                if (line == INT) {
                    pins.level(0, raised);
                }
            });
            qemu.qtest().interceptIrqIn(qemu.qmp().execute("query-cpus-fast").getAsJsonArray().get(0).getAsJsonObject()
                .get("qom-path").getAsString());
            return new QemuMachine(qemu, new QemuMachine.Hardware("QEMU " + qemu.version() + ' ' + board, bus,
                List.of(new Node.Range(FIRMWARE, memory - FIRMWARE)), Board.flat(List.of(root)), List.of(), cpus,
                List.of(), Map.of(pic.path(), "/machine/pic")), pins);
        } catch (RuntimeException | Error e) {
            pins.close();
            throw e;
        }
    }
}
