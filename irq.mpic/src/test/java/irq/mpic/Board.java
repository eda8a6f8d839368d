// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import irq.mpic.unit.Mpic;
import irq.mpic.unit.MpicModel;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiConsumer;
import machine.api.Attachment;
import machine.api.InterruptLine;
import machine.api.Node;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;

/** A QorIQ machine as far as an interrupt controller sees it: CCSR at 0xf_fe000000, memory at 0. */
public final class Board {
    public static final String PIC_PATH = "/soc@ffe000000/pic@40000";
    public static final long CCSR = 0xffe000000L;
    public static final long PIC = 0xffe040000L;
    public static final Node PIC_NODE = Node.at(PIC_PATH).compatible("fsl,mpic", "chrp,open-pic")
        .registers(new Node.Range(PIC, 0x40000));

    public final List<String> reports = new ArrayList<>();
    public final BiConsumer<String, Throwable> report = (what, cause) -> reports.add(what + ": " + cause.getMessage());
    public final LocalMachine machine;
    public final Mpic mpic;
    public final Attachment attachment;

    public Board(int cores, List<Node> nodes) {
        this(cores, nodes, 0);
    }

    public Board(int cores, List<Node> nodes, int version) {
        machine = TestBoard.named("bench board").memory(0, 1L << 20).nodes(PIC_NODE).nodes(nodes).cores(cores)
            .machine();
        mpic = new Mpic(MpicModel.of(machine, PIC_NODE, version), machine.cpus());
        attachment = machine.attach(PIC_NODE, mpic.unit(PIC_NODE));
    }

    /** A P4080, one core. */
    public static Board p4080() {
        return new Board(1, threeBanks());
    }

    /** A T4240, one core. */
    public static Board t4240() {
        return new Board(1, fourBanks());
    }

    public static List<Node> threeBanks() {
        List<Node> banks = new ArrayList<>();
        for (int b = 0; b < 3; b++) {
            banks.add(bank("fsl,mpic-msi", 0x41600 + 0x200 * b, 0x44140 + 0x1000 * b, sources(0xe0 + 8 * b, 8))
                .with("msi-available-ranges", 0, 0x100));
        }
        return banks;
    }

    public static List<Node> fourBanks() {
        List<Node> banks = new ArrayList<>();
        for (int b = 0; b < 4; b++) {
            List<Wire> wires = new ArrayList<>(sources(0xe0 + 8 * b, 8));
            wires.addAll(sources(0x100 + 8 * b, 8));
            banks.add(bank("fsl,mpic-msi-v4.3", 0x41600 + 0x200 * b, 0x44148 + 0x1000 * b, wires));
        }
        return banks;
    }

    public static Node bank(String compatible, int registers, int doorbell, List<Wire> wires) {
        return Node.at("/soc@ffe000000/msi@" + Integer.toHexString(registers)).compatible(compatible)
            .registers(new Node.Range(CCSR + registers, 0x200), new Node.Range(CCSR + doorbell, 4))
            .interrupts(wires.toArray(Wire[]::new));
    }

    public static List<Wire> sources(int first, int count) {
        List<Wire> wires = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            wires.add(wire(first + i, 0));
        }
        return wires;
    }

    /** @param sense 0 rising edge, 1 level low, 2 level high, 3 falling edge */
    public static Wire wire(int source, int sense) {
        return new Wire(PIC_PATH, source, sense == 1 || sense == 2, source + " " + sense + " 0 0");
    }

    public InterruptLine line(int source) {
        return machine.line(wire(source, 2));
    }

    /** {@return a register as a core sees it, big-endian} */
    public int get(int offset) {
        return Integer.reverseBytes((int) machine.bus().read(PIC + offset, 4));
    }

    public void put(int offset, int value) {
        machine.bus().write(PIC + offset, 4, Integer.reverseBytes(value) & 0xffffffffL);
    }

    /** A device's message: a little-endian word. */
    public void ring(long doorbell, int data) {
        machine.bus().write(0x42, doorbell, 4, data & 0xffffffffL);
    }

    public boolean pin(int core) {
        return machine.cpus().get(core).asserted();
    }

    /** Sets a source up: unmasked, to core 0. */
    public void source(int source, int priority, int vector) {
        put(0x10000 + 0x20 * source, priority << 16 | vector);
        put(0x10010 + 0x20 * source, 1);
    }

    /** Mixed mode, and every core takes everything. */
    public Board enable() {
        put(0x1020, 0x20000000);
        for (int core = 0; core < machine.cpus().size(); core++) {
            put(0x20080 + 0x1000 * core, 0);
        }
        return this;
    }

    public int acknowledge(int core) {
        return get(0x200a0 + 0x1000 * core);
    }

    public void end(int core) {
        put(0x200b0 + 0x1000 * core, 0);
    }
}
