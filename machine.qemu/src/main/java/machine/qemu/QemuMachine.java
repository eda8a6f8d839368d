// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.FaultListener;
import machine.api.Holds;
import machine.api.Machine;
import machine.api.Node;
import machine.api.PciFunction;
import machine.api.PolledLine;
import machine.api.Slot;
import machine.api.Unit;
import machine.api.Wire;
import machine.local.LocalHolds;
import machine.local.LocalMemory;
import machine.qemu.process.Qemu;
import machine.qemu.process.Qtest;

/**
 * A machine that is a QEMU process. Its hardware is there from the start, so every node is ready and no unit can be
 * plugged in; its devices are QEMU's own, so there is no port to open. What an IOMMU of QEMU's refuses is known from
 * its registers only: fault listeners are not called.
 *
 * <p>Interrupt handlers run on one thread of the machine's own, after the access that caused them, not inside it.
 * Thread-safe.
 */
public final class QemuMachine implements Machine {
    /**
     * What a board makes of a process.
     *
     * @param free memory to hand out
     * @param functions QEMU's PCI functions that programs may use
     * @param inputs QOM path of the interrupt controller whose wires can be driven, by the path of its node
     */
    record Hardware(String model, QemuBus bus, List<Node.Range> free, List<Node> nodes, List<Slot> slots,
        List<Cpu> cpus,
            List<PciFunction> functions, Map<String, String> inputs) {
    }

    /** All wires of one input, which is asserted while any of them is. */
    private static final class Input {
        private int driven;
    }

    private final Qemu qemu;
    private final Hardware board;
    private final DmaMemory memory;
    private final Pins pins;
    private final Holds holds = new LocalHolds();
    /** Guarded by itself; each input by itself. */
    private final Map<Wire, Input> inputs = new HashMap<>();

    QemuMachine(Qemu qemu, Hardware board, Pins pins) {
        this.qemu = qemu;
        this.board = board;
        this.pins = pins;
        memory = new LocalMemory(board.bus(), board.free());
    }

    @Override
    public String model() {
        return board.model();
    }

    @Override
    public Bus bus() {
        return board.bus();
    }

    @Override
    public DmaMemory memory() {
        return memory;
    }

    @Override
    public List<Node> nodes() {
        return board.nodes();
    }

    @Override
    public List<Slot> slots() {
        return board.slots();
    }

    @Override
    public List<Cpu> cpus() {
        return board.cpus();
    }

    @Override
    public Holds holds() {
        return holds;
    }

    /** {@return QEMU's PCI functions that programs may use} */
    public List<PciFunction> functions() {
        return board.functions();
    }

    /** {@return the process, for what only it knows} */
    public Qemu qemu() {
        return qemu;
    }

    /** @throws ErrnoException EOPNOTSUPP always: the hardware of each node is QEMU's */
    @Override
    public Attachment attach(Node node, Unit unit) {
        throw new ErrnoException(Errno.EOPNOTSUPP, "the hardware of %s is QEMU's own; no model can take its place",
            node.path());
    }

    /** {@return true for a node of this machine: its hardware is there} */
    @Override
    public boolean ready(Node node) {
        return board.nodes().contains(node);
    }

    /** Nodes neither become ready nor cease to be: the listener is not called. */
    @Override
    public Attachment onReady(Consumer<Node> listener) {
        return () -> {
        };
    }

    /** @throws ErrnoException EOPNOTSUPP always: qtest cannot make an access in a device's name */
    @Override
    public DmaPort openPort(Slot slot, int device, int function) {
        throw new ErrnoException(Errno.EOPNOTSUPP,
            "no device of ours can be at %s of %s: devices there are QEMU's own, which the machine's options "
            + "name", slot.address(device, function), slot.name());
    }

    /** {@inheritDoc} Each change of the level takes a round trip to QEMU. */
    @Override
    public PolledLine line(Wire wire, BooleanSupplier level) {
        String device = board.inputs().get(wire.controller());
        if (device == null) {
            throw new ErrnoException(Errno.EINVAL, "no interrupt controller %s has wires here; there are %s",
                wire.controller(), board.inputs().keySet());
        }
        Input input;
        synchronized (inputs) {
            input = inputs.computeIfAbsent(new Wire(wire.controller(), wire.input(), true, ""), any -> new Input());
        }
        return new PolledLine() {
            // Guarded by the input.
            private boolean last;
            private boolean closed;

            @Override
            public void update() {
                follow(false);
            }

            @Override
            public void close() {
                follow(true);
            }

            private void follow(boolean end) {
                synchronized (input) {
                    closed |= end;
                    boolean asserted = !closed && level.getAsBoolean();
                    if (last != asserted) {
                        last = asserted;
                        input.driven += asserted ? 1 : -1;
                        if (input.driven == (asserted ? 1 : 0)) {
                            qemu.qtest().setIrqIn(device, Qtest.UNNAMED_IN, wire.input(), input.driven);
                        }
                    }
                }
            }
        };
    }

    /** Is never told: QEMU does not say what its IOMMU refuses but in the IOMMU's registers. */
    @Override
    public Attachment onFault(FaultListener listener) {
        return () -> {
        };
    }

    /** Ends the process. Handlers do not run any more when this returns, unless it was one that called. */
    @Override
    public void close() {
        board.bus().close();
        qemu.close();
        pins.close();
    }
}
