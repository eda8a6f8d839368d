// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.MB;
import static vfio.container.Board.msi;

import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.ContainerState;
import vfio.api.msi.Msis;
import vfio.api.swap.Backends;
import vfio.container.host.ContainerLimits;
import vfio.container.irq.LocalEventFd;
import vfio.container.protocol.Scope;
import vfio.container.protocol.Script;
import vfio.container.protocol.State;

/**
 * The containers do what the model does: the same things happen to both, one after the other, and after each the
 * states, ledgers and vectors, what devices reach and what interrupts have arrived are compared.
 */
@Timeout(600)
class ConformanceTest {
    private static final long PAGE = 8 * MB;
    private static final long STRAY = 0x1000;

    /** What goes wrong: a step of the model, and the call of the fakes that is it. */
    private enum Fault {
        NONE("", "", false),
        CLOSE("closing the domain throws", "close", false),
        OPEN("replaying throws", "open", false),
        OPEN_ALWAYS("replaying throws", "open", true),
        MAP("replaying throws", "map", false),
        ATTACH("attaching throws", "attach", false),
        ATTACH_ALWAYS("attaching throws", "attach", true),
        LIE("something else replayed", "", true),
        ALLOCATE_ALWAYS("allocating a vector throws: its messages stay kept", "allocate", true);

        private final String step;
        private final String call;
        private final boolean always;

        Fault(String step, String call, boolean always) {
            this.step = step;
            this.call = call;
            this.always = always;
        }
    }

    /**
     * One thing that happens.
     *
     * @param who 0 for nobody in particular, else one more than the container
     */
    private record Event(int who, String what, Fault fault) {
        @Override
        public String toString() {
            return (who == 0 ? "" : "container " + who + ": ") + what + (fault == Fault.NONE ? "" : " (" + fault + ")");
        }
    }

    private static final String MAPS = "maps or unmaps";
    private static final String RINGS = "rings";
    private static final String PROVIDER_LEAVES = "the provider leaves";
    private static final String PROVIDER_ARRIVES = "a provider arrives";
    private static final String RETRY = "retry";
    private static final String RETRY_VECTOR = "retry, for a vector";
    private static final String SWAP = "swap";
    private static final String CONTROLLER_LEAVES = "the interrupt controller is about to leave";
    private static final String CONTROLLER_ARRIVES = "an interrupt controller arrives";
    private static final String STRATEGY_LEAVES = "the strategy is about to leave";
    private static final String STRATEGY_ARRIVES = "a strategy arrives";

    private static List<Event> alphabet(int containers) {
        List<Event> all = new ArrayList<>();
        add(all, 0, PROVIDER_LEAVES, Fault.NONE, Fault.CLOSE);
        add(all, 0, PROVIDER_ARRIVES, Fault.NONE, Fault.OPEN, Fault.OPEN_ALWAYS, Fault.MAP, Fault.ATTACH,
            Fault.ATTACH_ALWAYS, Fault.LIE);
        add(all, 0, RETRY, Fault.NONE, Fault.OPEN_ALWAYS, Fault.MAP);
        add(all, 0, RETRY_VECTOR, Fault.NONE, Fault.ALLOCATE_ALWAYS);
        add(all, 0, CONTROLLER_LEAVES, Fault.NONE);
        add(all, 0, CONTROLLER_ARRIVES, Fault.NONE, Fault.ALLOCATE_ALWAYS);
        add(all, 0, STRATEGY_LEAVES, Fault.NONE);
        add(all, 0, STRATEGY_ARRIVES, Fault.NONE, Fault.ALLOCATE_ALWAYS);
        for (int who = 1; who <= containers; who++) {
            add(all, who, SWAP, Fault.NONE, Fault.CLOSE, Fault.OPEN, Fault.OPEN_ALWAYS, Fault.MAP, Fault.ATTACH,
                Fault.ATTACH_ALWAYS);
            add(all, who, MAPS, Fault.NONE);
            add(all, who, RINGS, Fault.NONE);
        }
        return all;
    }

    private static void add(List<Event> to, int who, String what, Fault... faults) {
        Stream.of(faults).map(fault -> new Event(who, what, fault)).forEach(to::add);
    }

    private static boolean possible(Script script, Event event) {
        return switch (event.what()) {
            case MAPS, RINGS -> true;
            default -> !script.never(event.who(), event.what());
        };
    }

    /** Lets it happen in the model. */
    private static void imagine(Script script, Event event) {
        int index = event.who() - 1;
        if (event.what().equals(RINGS)) {
            script.ring(index);
        } else if (!event.what().equals(MAPS)) {
            boolean[] spent = new boolean[1];
            script.happens(event.who(), event.what(), (at, step) -> {
                boolean wrong = step.equals(event.fault().step) && (event.fault().always || !spent[0])
                    && (event.fault() != Fault.MAP || script.state().box(at).ledger());
                spent[0] |= wrong;
                return wrong;
            });
        } else if (script.active(index)) {
            script.mapOrUnmap(index);
        }
    }

    /** The containers, with all that happens to them. */
    private static final class Bench {
        private final Board board;
        private final FakeStrategy auto;
        private final List<VfioContainer> containers = new ArrayList<>();
        private final List<DmaBuffer> buffers = new ArrayList<>();
        private final List<FakeFunction> devices;
        private final List<DmaPort> ports = new ArrayList<>();
        private final List<LocalEventFd> eventFds = new ArrayList<>();
        private FakeIommu iommu;
        private FakeController controller;
        private int controllers;
        private long written;

        Bench(boolean windowed, int count) {
            ContainerLimits settings = new ContainerLimits(65_535, ContainerLimits.UNLIMITED, true, Duration.ZERO,
                Duration.ofMinutes(1));
            board = windowed ? Board.pamu(settings) : Board.type1(settings);
            auto = board.auto;
            iommu = board.iommu;
            controller = board.controller;
            board.vfio.removeStrategy(board.manual);
            board.vfio.addStrategy(auto, 0);
            devices = List.of(board.a, board.c);
            for (int i = 0; i < count; i++) {
                VfioContainer container = board.container("container " + (i + 1), i + 1);
                DmaBuffer buffer = board.memory(0x2000);
                container.map(PAGE, buffer, 0, 0x1000, Access.READ_WRITE);
                LocalEventFd eventFd = new LocalEventFd(0);
                board.vfio.group(i + 1).device(devices.get(i).name()).setIrqs(msi(eventFd));
                containers.add(container);
                buffers.add(buffer);
                ports.add(i == 0 ? board.portA : board.port(0x21, 2));
                eventFds.add(eventFd);
            }
        }

        void happens(Event event) {
            int index = event.who() - 1;
            board.trip.at(event.fault().call, event.fault().always);
            try {
                switch (event.what()) {
                    case MAPS -> maps(index);
                    case RINGS -> assertEquals(Bus.OK, devices.get(index).raise(), "P5: no message is refused");
                    case PROVIDER_LEAVES -> board.vfio.removeIommu(iommu);
                    case PROVIDER_ARRIVES -> {
                        iommu = board.newIommu();
                        iommu.lie = event.fault() == Fault.LIE ? STRAY : 0;
                        board.acts(iommu);
                        board.vfio.addIommu(iommu, board.kind);
                    }
                    case RETRY -> retry(ContainerState.BLOCKED);
                    case RETRY_VECTOR -> retry(ContainerState.ACTIVE);
                    case SWAP -> {
                        try {
                            assertTrue(containers.get(index).as(Backends.class).swap(board.kind).done());
                        } catch (ErrnoException e) {
                            assertTrue(event.fault() != Fault.NONE, e.toString());
                            assertEquals(Errno.EIO, e.errno(), e.toString());
                        }
                    }
                    case CONTROLLER_LEAVES -> {
                        board.vfio.removeController(controller);
                        assertEquals(0, controller.used());
                        controller.unplug();
                    }
                    case CONTROLLER_ARRIVES -> {
                        controller = new FakeController(board.bus, board.trip, Board.BANKS, 3, 4,
                        0x40 + 0x10 * ++controllers);
                        board.vfio.addController(controller);
                    }
                    case STRATEGY_LEAVES -> board.vfio.removeStrategy(auto);
                    case STRATEGY_ARRIVES -> board.vfio.addStrategy(auto, 0);
                    default -> throw new AssertionError(event);
                }
            } finally {
                board.trip.at("", false);
            }
            iommu.lie = 0;
        }

        private void maps(int index) {
            VfioContainer container = containers.get(index);
            boolean mapped = !container.mappings().isEmpty();
            Runnable call = mapped ? () -> assertEquals(0x1000, container.unmap(PAGE, 0x1000))
                : () -> container.map(PAGE, buffers.get(index), 0, 0x1000, Access.READ_WRITE);
            if (container.state() == ContainerState.ACTIVE) {
                call.run();
            } else {
                assertEquals(Errno.EAGAIN, assertThrows(ErrnoException.class, call::run).errno());
            }
        }

        private void retry(ContainerState which) {
            for (VfioContainer container : containers) {
                if (container.state() == which
                    && (which == ContainerState.BLOCKED || container.as(Msis.class).routes().isEmpty())) {
                    try {
                        container.as(Backends.class).retry();
                    } catch (ErrnoException e) {
                        assertTrue(!container.reason().isEmpty(), e.toString());
                    }
                }
            }
        }

        void compare(Script script) {
            int vectors = 0;
            for (int i = 0; i < containers.size(); i++) {
                VfioContainer container = containers.get(i);
                State.Box box = script.state().box(i);
                assertEquals(box.phase().name(), container.state().name(), container.reason());
                assertEquals(box.ledger() ? 1 : 0, container.mappings().size(), "P4: the ledger");
                boolean routed = box.route().vector() >= 0;
                vectors += routed ? 1 : 0;
                assertEquals(!script.active(i) || !routed, !container.reason().isEmpty(), container.reason());
                assertEquals(routed ? 1 : 0, container.as(Msis.class).routes().size(), "routes");
                if (routed) {
                    assertEquals(box.route().vector(), container.as(Msis.class).routes().get(0).vector());
                }
                assertEquals(script.arrived(i), eventFds.get(i).count(), "P5: interrupts that arrived");
                reach(i, script.reach(i));
            }
            assertEquals(vectors, controller.used(), "vectors in use");
        }

        private void reach(int index, Script.Reach expected) {
            DmaBuffer buffer = buffers.get(index);
            long before = read(buffer, 8);
            int status = ports.get(index).write(PAGE + 8, 8, ++written);
            String found = status == Bus.OK ? read(buffer, 8) == written ? "MEMORY" : "ASTRAY" : Refusal.name(status);
            assertEquals(expected.name(), found, "P1, P2: what the device reaches");
            assertEquals(expected == Script.Reach.MEMORY ? written : before, read(buffer, 8));
            assertEquals(0, read(buffer, STRAY + 8), "P1: memory behind the mapping");
        }

        private long read(DmaBuffer buffer, long offset) {
            return board.bus.read(buffer.physical(offset), 8);
        }

        /** All is let go of; what did not close does now. */
        void close() {
            for (int i = 0; i < containers.size(); i++) {
                containers.get(i).close();
                assertEquals(ContainerState.CLOSED, containers.get(i).state());
                assertTrue(ports.get(i).write(PAGE, 8, -1) < 0, "P1: after the end nothing is reached");
            }
            assertEquals("0 open", iommu.state());
            assertEquals(0, controller.used());
            long free = board.machine.memory().available();
            buffers.forEach(DmaBuffer::close);
            assertEquals(free + 0x2000L * buffers.size(), board.machine.memory().available(), "memory is let go of");
            board.vfio.close();
        }
    }

    /** Plays it to both from the start, and then what brings everything back. */
    private static void play(boolean windowed, int containers, Scope scope, List<Event> events) {
        Script script = new Script(scope);
        Bench bench = new Bench(windowed, containers);
        List<Event> done = new ArrayList<>();
        try {
            bench.compare(script);
            for (Event event : events) {
                both(script, bench, event, done);
            }
            for (Event event : comeback(containers)) {
                if (possible(script, event)) {
                    both(script, bench, event, done);
                }
            }
            for (int i = 0; i < containers; i++) {
                assertEquals(ContainerState.ACTIVE, bench.containers.get(i).state(), "all is back");
                assertEquals("", bench.containers.get(i).reason());
            }
            bench.close();
        } catch (AssertionError | RuntimeException e) {
            throw new AssertionError(e.getMessage() + "\nafter " + done, e);
        }
    }

    private static void both(Script script, Bench bench, Event event, List<Event> done) {
        done.add(event);
        imagine(script, event);
        bench.happens(event);
        bench.compare(script);
    }

    /** What is left of earlier events and should not be shows now: everything there is again, and swapped once more. */
    private static List<Event> comeback(int containers) {
        List<Event> all = new ArrayList<>();
        for (String what : List.of(CONTROLLER_ARRIVES, STRATEGY_ARRIVES, PROVIDER_ARRIVES, RETRY, RETRY_VECTOR,
            CONTROLLER_LEAVES,
                CONTROLLER_ARRIVES)) {
            add(all, 0, what, Fault.NONE);
        }
        for (int who = 1; who <= containers; who++) {
            add(all, who, RINGS, Fault.NONE);
            add(all, who, MAPS, Fault.NONE);
            add(all, who, SWAP, Fault.NONE);
        }
        return all;
    }

    private static Scope scope(int containers) {
        return new Scope(containers, true, true, true, true, true, true, false, true, true);
    }

    static Stream<Boolean> kinds() {
        // Both take a minute; both kinds are in the sequences anyway.
        return "all".equals(System.getProperty("gantry.protocol")) ? Stream.of(false, true) : Stream.of(false);
    }

    @ParameterizedTest(name = "windowed: {0}")
    @MethodSource("kinds")
    @DisplayName("one container: from every state it can be in at rest, whatever can happen next, as in the model")
    void everyTransition(boolean windowed) {
        Map<State, List<Event>> ways = new HashMap<>();
        ArrayDeque<Script> todo = new ArrayDeque<>();
        Script start = new Script(scope(1));
        ways.put(start.state(), List.of());
        todo.add(start);
        int plays = 0;
        while (!todo.isEmpty()) {
            Script script = todo.remove();
            List<Event> way = ways.get(script.state());
            for (Event event : alphabet(1)) {
                if (possible(script, event)) {
                    List<Event> events = new ArrayList<>(way);
                    events.add(event);
                    play(windowed, 1, scope(1), events);
                    plays++;
                    Script next = script.copy();
                    imagine(next, event);
                    if (ways.putIfAbsent(next.state(), events) == null) {
                        todo.add(next);
                    }
                }
            }
        }
        System.out.printf("conformance, one container, windowed %s: %d states at rest, %d transitions%n", windowed,
            ways.size(), plays);
        assertTrue(ways.size() > 50, ways.size() + " states");
    }

    @ParameterizedTest(name = "windowed: {0}")
    @ValueSource(booleans = {true, false})
    @DisplayName("two containers: every sequence of events up to a length, -Dgantry.depth, as in the model")
    void everySequence(boolean windowed) {
        int depth = Integer.getInteger("gantry.depth", 2);
        int[] count = new int[1];
        sequences(new Script(scope(2)), new ArrayList<>(), depth, windowed, count);
        System.out.printf("conformance, two containers, windowed %s: %d sequences of %d events%n", windowed, count[0],
            depth);
    }

    private void sequences(Script script, List<Event> events, int depth, boolean windowed, int[] count) {
        if (events.size() == depth) {
            play(windowed, 2, scope(2), events);
            count[0]++;
            return;
        }
        for (Event event : alphabet(2)) {
            if (possible(script, event)) {
                Script next = script.copy();
                imagine(next, event);
                events.add(event);
                sequences(next, events, depth, windowed, count);
                events.remove(events.size() - 1);
            }
        }
    }
}
