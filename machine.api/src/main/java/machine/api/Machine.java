// SPDX-License-Identifier: Apache-2.0
package machine.api;

import java.util.List;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import org.osgi.annotation.versioning.ProviderType;

/**
 * One machine: the place where units, devices and drivers meet without knowing each other. A service; there is one per
 * framework. Everything here is control path.
 */
@ProviderType
public interface Machine extends AutoCloseable {
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
     * {@return what is wrong with the machine's description and was gone on with, in the order it was found: one line
     * each, with the place (node or offset) and what was done about it; empty if nothing is}
     */
    default List<String> warnings() {
        return List.of();
    }

    /**
     * Plugs a hardware model into the place a node describes: its register windows onto the bus, its translation units
     * in front of the ports behind them, its interrupt inputs onto the wires; then the node is ready. All or nothing.
     *
     * @return takes the unit out again: the node is not ready any more, the ports behind it are blocked, never
     *     bypassed, what was in flight has left, and only then the windows are gone; an access that does not end is
     *     waited for as long as {@link Bus#sync} does, then logged. Idempotent
     * @throws ErrnoException EBUSY if a unit is attached to the node or to one of its instances; EEXIST if a window is
     *     taken; EOPNOTSUPP if the machine's hardware is its own
     */
    Attachment attach(Node node, Unit unit);

    /**
     * {@return who holds the nodes, as their hardware and as their drivers; a bundle takes hold before it attaches a
     *     unit, or writes a register}
     */
    Holds holds();

    /** {@return whether hardware answers at the node: a unit is attached to it, or it is {@link Node#builtIn()}} */
    boolean ready(Node node);

    /** Is told, on the attaching thread, of every node that becomes ready or ceases to be; see {@link #ready}. */
    Attachment onReady(Consumer<Node> listener);

    /**
     * Opens a device's door to memory at a slot.
     *
     * @throws ErrnoException EBUSY if there is a device at that place already; EOPNOTSUPP if the machine's devices are
     *     its own; see {@link Slot#requester} for others
     */
    DmaPort openPort(Slot slot, int device, int function);

    /**
     * Makes a gate, for nobody yet. A machine whose devices it cannot hold back gives {@link Gate#NONE}.
     *
     * @param keeper takes the messages that devices send while it is shut
     */
    default Gate gate(Gate.Keeper keeper) {
        return Gate.NONE;
    }

    /**
     * The device's end of a wire whose level follows from the device's state. The machine asks for the level rather
     * than being told, so that of two threads that change it the later one wins; and it remembers it for a controller
     * that comes later.
     *
     * @param level whether the device asserts the wire now; asked by any thread with a lock held: must be quick, must
     *     take no lock that is held while {@link PolledLine#update} is called; if it throws, that is logged and the
     *     wire stays as it is
     * @return the caller closes it when the device leaves; a unit's when it has been taken out ({@link #attach}), so
     *     that nothing raises it any more: the machine does not know whose it is
     */
    PolledLine line(Wire wire, BooleanSupplier level);

    /** {@return the device's end of a wire that the device drives directly; the caller closes it} */
    default InterruptLine line(Wire wire) {
        AtomicBoolean level = new AtomicBoolean();
        PolledLine line = line(wire, level::get);
        return new InterruptLine() {
            @Override
            public void set(boolean asserted) {
                level.set(asserted);
                line.update();
            }

            @Override
            public void close() {
                line.close();
            }
        };
    }

    /** Is told of every refused access of any device. See {@link FaultListener} for the rules. */
    Attachment onFault(FaultListener listener);

    /**
     * Gives back the machine's resources of the host, such as a process. Called by the machine's creator when it is not
     * used any more. Idempotent.
     */
    @Override
    default void close() {
    }
}
