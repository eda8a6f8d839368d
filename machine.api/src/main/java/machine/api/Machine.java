// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import java.util.function.Consumer;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One machine: the place where units, devices and drivers meet without knowing each other. A service; there is one per
 * framework. Everything here is control path.
 */
@ProviderType
public interface Machine {
    /** {@return what the machine is called in its description, e.g. {@code fsl,P4080DS}} */
    String model();

    /** {@return the physical bus} */
    Bus bus();

    /** {@return the pool of memory that nobody uses} */
    DmaMemory memory();

    /** {@return all nodes, parents before children} */
    List<Node> nodes();

    /** {@return the places for devices, PCIe controllers first} */
    List<Slot> slots();

    /** {@return the cores} */
    List<Cpu> cpus();

    /**
     * Plugs a hardware model into the place a node describes: its register windows onto the bus, its translation units
     * in front of the ports behind them, its interrupt inputs onto the wires; then the node is ready. All or nothing.
     *
     * @return takes the unit out again: the node is not ready any more, the ports behind it are blocked, never bypassed,
     *     what was in flight has left, and only then the windows are gone. Idempotent
     * @throws ErrnoException EBUSY if a unit is attached to the node or to one of its instances; EEXIST if a window is taken
     */
    Attachment attach(Node node, Unit unit);

    /** {@return whether a unit is attached to the node} */
    boolean ready(Node node);

    /** Is told, on the attaching thread, of every node that becomes ready or ceases to be; see {@link #ready}. */
    Attachment onReady(Consumer<Node> listener);

    /**
     * Opens a device's door to memory at a slot.
     *
     * @throws ErrnoException EBUSY if there is a device at that place already; see {@link Slot#requester} for others
     */
    DmaPort openPort(Slot slot, int device, int function);

    /** {@return the device's end of a wire; the machine remembers its level} */
    InterruptLine line(Wire wire);

    /** Is told of every refused access of any device. See {@link FaultListener} for the rules. */
    Attachment onFault(FaultListener listener);
}
