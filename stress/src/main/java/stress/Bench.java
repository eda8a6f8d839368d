// SPDX-License-Identifier: Apache-2.0
package stress;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Gate;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Unit;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import machine.local.PhysicalBus;
import machine.local.Ram;

/**
 * A device behind a unit that does next to nothing: its table is one word of memory, whether it translates. Each has a
 * machine of its own, so that a drain looks at one port and at once.
 */
final class Bench {
    static final int SLOTS = 256;
    private static final long PAGE = 0x1000;
    /** One memory for all, of which each machine uses a page. */
    private static final Ram RAM = new Ram(0, SLOTS * PAGE);

    private static final List<Bench> ALL = new ArrayList<>();
    private static final AtomicInteger NEXT = new AtomicInteger();

    static {
        for (int i = 0; i < SLOTS; i++) {
            ALL.add(new Bench(i * PAGE));
        }
    }

    final Gate gate;
    /** The messages the keeper has kept. */
    final AtomicInteger kept = new AtomicInteger();
    private final Bus bus;
    private final DmaPort port;
    private final long memory;
    private final long table;
    private final long message;

    private Bench(long page) {
        memory = page;
        table = page + 0x400;
        message = page + 0x800;
        PhysicalBus physical = new PhysicalBus(List.of(RAM));
        LocalMachine machine = new LocalMachine(TestBoard.named("stress").board(), physical);
        bus = physical;
        machine.attach(Node.at("/unit"), new Unit(List.of(), Map.of("/unit", (requester, iova, length, access) ->
            physical.read(table, 8) == 0 ? Refusal.UNMAPPED : iova), InterruptInputs.NONE));
        port = machine.openPort(new Requester(1, "/unit", 1));
        gate = machine.gate((requester, iova, data) -> {
            boolean known = iova == message;
            if (known) {
                kept.incrementAndGet();
            }
            return known;
        });
        gate.requesters(Set.of(1));
    }

    /** {@return one that lets its device through and has been reached by nothing} */
    static Bench fresh() {
        Bench bench = ALL.get(NEXT.getAndIncrement() & SLOTS - 1);
        bench.gate.open();
        bench.kept.set(0);
        bench.bus.write(Bus.CPU, bench.memory, 8, 0);
        bench.bus.write(Bus.CPU, bench.message, 4, 0);
        bench.bus.write(Bus.CPU, bench.table, 8, 1);
        return bench;
    }

    /** The device writes ones. */
    void write() {
        port.write(memory, 8, -1);
    }

    int memory() {
        return (int) bus.read(memory, 8);
    }

    /** The device sends its message. */
    void ring() {
        port.write(message, 4, 1);
    }

    /** {@return whether the message has arrived} */
    int rung() {
        return (int) bus.read(message, 4);
    }

    /** Takes the table entry away and waits. */
    void withdraw() {
        bus.write(Bus.CPU, table, 8, 0);
        bus.sync();
    }

    void sync() {
        bus.sync();
    }

    void keepMessages() {
        gate.keepMessages(message);
    }
}
