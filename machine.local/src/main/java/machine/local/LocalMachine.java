// SPDX-License-Identifier: Apache-2.0
package machine.local;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.function.BooleanSupplier;
import java.util.function.Consumer;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.FaultListener;
import machine.api.Gate;
import machine.api.Holds;
import machine.api.InterruptInputs;
import machine.api.Machine;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.TranslationUnit;
import machine.api.Unit;
import machine.api.Wire;
import org.osgi.annotation.versioning.ProviderType;

/** A machine in this process. Thread-safe: its one lock guards the wiring, and no access of the road takes it. */
@ProviderType
public final class LocalMachine implements Machine {
    private static final System.Logger LOG = System.getLogger("machine.local");

    /** The unit plugged in at a node, from before its first window is added until after its last is removed. */
    private static final class Plugged {
        private final Unit unit;
        private final List<Attachment> windows = new ArrayList<>();
        private boolean ready;

        Plugged(Unit unit) {
            this.unit = unit;
        }
    }

    private final Board board;
    private final PhysicalBus bus;
    private final DmaMemory memory;
    private final List<Cpu> cpus;
    private final Holds holds = new LocalHolds();
    private final List<Consumer<Node>> readyListeners = new CopyOnWriteArrayList<>();
    private final List<FaultListener> faultListeners = new CopyOnWriteArrayList<>();

    /** Written under the lock, read without: a wire's level is on the road. */
    private final Map<String, InterruptInputs> inputs = new ConcurrentHashMap<>();

    // Guarded by this.
    private final Map<String, Plugged> plugged = new HashMap<>();
    private final Map<String, TranslationUnit> translations = new HashMap<>();
    private final Map<String, InterruptPin> pins = new HashMap<>();
    private final List<LocalPort> ports = new ArrayList<>();
    private final Map<Integer, LocalGate> gates = new HashMap<>();
    private final Set<String> taken = new HashSet<>();

    /**
     * Builds what a board describes; accesses under way are waited for five seconds.
     *
     * @throws IllegalArgumentException if two pieces of its memory overlap, or one is not of whole pages
     */
    public LocalMachine(Board board) {
        this(board, new PhysicalBus(rams(board)));
    }

    /**
     * Builds the machine of a board.
     *
     * @param limit the longest wait for an access, see {@link PhysicalBus#PhysicalBus(List, Duration)}
     */
    public LocalMachine(Board board, Duration limit) {
        this(board, new PhysicalBus(rams(board), limit));
    }

    /**
     * Builds a machine on a given bus; the board's memory is ignored.
     *
     * @param bus has all that the board says is free
     */
    public LocalMachine(Board board, PhysicalBus bus) {
        this.board = board;
        this.bus = bus;
        this.memory = new LocalMemory(bus, board.free());
        List<Cpu> cores = new ArrayList<>();
        for (int i = 0; i < board.cores(); i++) {
            cores.add(new LocalCpu(i));
        }
        this.cpus = List.copyOf(cores);
    }

    private static List<Ram> rams(Board board) {
        return board.memory().stream().map(piece -> new Ram(piece.physical(), piece.size())).toList();
    }

    @Override
    public String model() {
        return board.model();
    }

    @Override
    public PhysicalBus bus() {
        return bus;
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
        return cpus;
    }

    @Override
    public List<String> warnings() {
        return board.warnings();
    }

    @Override
    public Attachment attach(Node node, Unit unit) {
        Plugged here = plug(node.path(), unit);
        Attachment attachment = () -> takeOut(node, here);
        try {
            pins(node.path()).forEach(InterruptPin::replay);
            tell(node);
        } catch (RuntimeException | Error e) {
            try {
                attachment.close();
            } catch (RuntimeException | Error again) {
                e.addSuppressed(again);
            }
            throw e;
        }
        return attachment;
    }

    @Override
    public Holds holds() {
        return holds;
    }

    @Override
    public synchronized boolean ready(Node node) {
        Plugged here = plugged.get(node.path());
        return here != null && here.ready;
    }

    @Override
    public Attachment onReady(Consumer<Node> listener) {
        readyListeners.add(listener);
        return once(() -> readyListeners.remove(listener));
    }

    @Override
    public DmaPort openPort(Slot slot, int device, int function) {
        Requester requester = slot.requester(device, function);
        String address = slot.address(device, function);
        synchronized (this) {
            if (!taken.add(address)) {
                throw new ErrnoException(Errno.EBUSY, "there is a device at %s (%s) already; choose another place",
                    address, slot.name());
            }
        }
        return open(requester, String.format("device %s (requester 0x%x)", address, requester.id()),
            () -> taken.remove(address));
    }

    /** Opens a port for any requester, at no slot: for tests and for masters that have no place of their own. */
    public DmaPort openPort(Requester requester) {
        return open(requester, String.format("requester 0x%x", requester.id()), () -> {
        });
    }

    @Override
    public Gate gate(Gate.Keeper keeper) {
        return new LocalGate(this, keeper);
    }

    /** The gate is for these requesters and no others. When this returns, nothing is in flight that met another one. */
    void behind(LocalGate gate, Set<Integer> requesters) {
        List<LocalPort> changed = new ArrayList<>();
        synchronized (this) {
            for (int requester : requesters) {
                if (gates.getOrDefault(requester, gate) != gate) {
                    throw new IllegalArgumentException(
                        String.format("requester 0x%x is behind another gate", requester));
                }
            }
            for (LocalPort port : ports) {
                int id = port.requester().id();
                if (requesters.contains(id) != (gates.get(id) == gate)) {
                    changed.add(port);
                }
            }
            gates.values().removeIf(other -> other == gate);
            requesters.forEach(requester -> gates.put(requester, gate));
            changed.forEach(port -> port.gate(gateOf(port.requester())));
        }
        drain(changed);
    }

    /**
     * Every port behind the gate meets it as it is now; when this returns, nothing is in flight that met it as it was.
     */
    void moved(LocalGate gate) {
        List<LocalPort> moved;
        synchronized (this) {
            moved = ports.stream().filter(port -> gateOf(port.requester()) == gate).toList();
            moved.forEach(port -> port.gate(gate));
        }
        drain(moved);
    }

    /**
     * Waits for what is in flight there, at each port as long as the bus has patience. What does not end by then is
     * logged and left behind: it is where no gate and no unit can stop it any more, and who gives memory back waits for
     * it once more, in {@link Bus#sync}.
     */
    private void drain(List<LocalPort> ports) {
        for (LocalPort port : ports) {
            try {
                port.drain(bus.patience());
            } catch (ErrnoException e) {
                LOG.log(System.Logger.Level.WARNING, e.getMessage());
            }
        }
    }

    private LocalGate gateOf(Requester requester) {
        return gates.getOrDefault(requester.id(), LocalGate.OPEN);
    }

    @Override
    public PolledLine line(Wire wire, BooleanSupplier level) {
        return pin(wire.controller(), wire.input()).line(level);
    }

    @Override
    public Attachment onFault(FaultListener listener) {
        faultListeners.add(listener);
        return once(() -> faultListeners.remove(listener));
    }

    private static Attachment once(Runnable leave) {
        AtomicBoolean attached = new AtomicBoolean(true);
        return () -> {
            if (attached.getAndSet(false)) {
                leave.run();
            }
        };
    }

    /**
     * Calls every listener, whatever another one threw, with no lock held. The first that threw makes its caller's call
     * fail, and with it what it was told of.
     */
    private void tell(Node node) {
        Throwable failure = null;
        for (Consumer<Node> listener : readyListeners) {
            try {
                listener.accept(node);
            } catch (Throwable e) {
                if (failure == null) {
                    failure = e;
                } else {
                    failure.addSuppressed(e);
                }
            }
        }
        if (failure instanceof Error error) {
            throw error;
        }
        if (failure instanceof RuntimeException exception) {
            throw exception;
        }
        if (failure != null) {
            throw new ErrnoException(Errno.EIO, failure, "a listener that was told of %s threw %s", node.path(),
                failure);
        }
    }

    private void report(Fault fault) {
        for (FaultListener listener : faultListeners) {
            try {
                listener.fault(fault);
            } catch (Throwable e) {
                ForeignCode.failed("a listener of refused accesses", listener, e);
            }
        }
    }

    private synchronized LocalPort open(Requester requester, String device, Runnable leave) {
        TranslationUnit unit = translations.getOrDefault(requester.unit(), TranslationUnit.NONE);
        LocalPort[] self = new LocalPort[1];
        self[0] = new LocalPort(requester, device, bus, unit, gateOf(requester), this::report, () -> {
            synchronized (this) {
                if (ports.remove(self[0])) {
                    leave.run();
                }
            }
        });
        ports.add(self[0]);
        return self[0];
    }

    private synchronized Plugged plug(String path, Unit unit) {
        if (plugged.containsKey(path)) {
            throw new ErrnoException(Errno.EBUSY, "%s has a unit already; stop the bundle that brought it", path);
        }
        for (String instance : unit.translations().keySet()) {
            if (translations.containsKey(instance)) {
                throw new ErrnoException(Errno.EBUSY, "%s translates already; stop the bundle that brought it",
                    instance);
            }
        }
        Plugged here = new Plugged(unit);
        try {
            unit.windows()
                .forEach(window -> here.windows.add(bus.attach(window.physical(), window.size(), window.mmio())));
        } catch (RuntimeException | Error e) {
            here.windows.forEach(Attachment::close);
            throw e;
        }
        plugged.put(path, here);
        translations.putAll(unit.translations());
        ports.forEach(port -> {
            TranslationUnit translation = unit.translations().get(port.requester().unit());
            if (translation != null) {
                port.unit(translation);
            }
        });
        inputs.put(path, unit.inputs());
        here.ready = true;
        return here;
    }

    private synchronized InterruptPin pin(String controller, int input) {
        return pins.computeIfAbsent(controller + '#' + input,
            name -> new InterruptPin(controller, input, this::inputs));
    }

    private InterruptInputs inputs(String controller) {
        return inputs.getOrDefault(controller, InterruptInputs.NONE);
    }

    private synchronized List<InterruptPin> pins(String controller) {
        return pins.values().stream().filter(pin -> pin.controller().equals(controller)).toList();
    }

    private void takeOut(Node node, Plugged here) {
        synchronized (this) {
            if (!here.ready) {
                return;
            }
            here.ready = false;
        }
        try {
            tell(node);
        } finally {
            unplug(node.path(), here);
        }
    }

    /** Blocks first, then waits for what is under way, then takes the registers away; only then the place is free. */
    private void unplug(String path, Plugged here) {
        Unit unit = here.unit;
        List<LocalPort> behind = new ArrayList<>();
        synchronized (this) {
            inputs.remove(path);
            translations.keySet().removeAll(unit.translations().keySet());
            for (LocalPort port : ports) {
                if (unit.translations().containsKey(port.requester().unit())) {
                    port.unit(TranslationUnit.NONE);
                    behind.add(port);
                }
            }
        }
        drain(behind);
        here.windows.forEach(Attachment::close);
        synchronized (this) {
            plugged.remove(path);
        }
    }
}
