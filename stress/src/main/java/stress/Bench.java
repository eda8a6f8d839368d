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
import machine.api.LocalMachine;
import machine.api.PhysicalBus;
import machine.api.Ram;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Unit;

/**
 * Devices behind a unit that does next to nothing: its table is one word of memory for each device, whether it translates. Each trial has a
 * device, a table entry, a word of memory and a gate of its own.
 */
final class Bench {
    static final int SLOTS = 256;
    private static final long TABLE = 0x10000;
    private static final long LINE = 64;
    private static final long MESSAGE = 0x8000;

    private static final LocalMachine MACHINE = new LocalMachine("stress", new PhysicalBus(List.of(new Ram(0, 0x20000))), List.of(), List.of(),
        List.of(), 1);
    private static final List<Bench> ALL = new ArrayList<>();
    private static final AtomicInteger NEXT = new AtomicInteger();

    static {
        MACHINE.attach(Place.of("/unit", ""), new Unit(List.of(), Map.of("/unit", (requester, iova, length, access) ->
            MACHINE.bus().read(TABLE + requester * LINE, 8) == 0 ? Refusal.UNMAPPED : iova), InterruptInputs.NONE));
        for (int i = 0; i < SLOTS; i++) {
            ALL.add(new Bench(i));
        }
    }

    final Gate gate;
    /** What the keeper has kept. */
    final AtomicInteger kept = new AtomicInteger();
    private final int number;
    private final DmaPort port;

    private Bench(int number) {
        this.number = number;
        this.port = MACHINE.openPort(new Requester(number, "/unit", number));
        this.gate = MACHINE.gate((requester, iova, data) -> {
            boolean message = iova >= MESSAGE;
            if (message) {
                kept.incrementAndGet();
            }
            return message;
        });
        gate.requesters(Set.of(number));
    }

    /** {@return one that lets its device through and has been reached by nothing} */
    static Bench fresh() {
        Bench bench = ALL.get(NEXT.getAndIncrement() & SLOTS - 1);
        bench.gate.open();
        bench.kept.set(0);
        MACHINE.bus().write(Bus.CPU, bench.number * LINE, 8, 0);
        MACHINE.bus().write(Bus.CPU, bench.message(), 4, 0);
        MACHINE.bus().write(Bus.CPU, TABLE + bench.number * LINE, 8, 1);
        return bench;
    }

    private long message() {
        return MESSAGE + number * LINE;
    }

    /** The device writes ones. */
    void write() {
        port.write(number * LINE, 8, -1);
    }

    int memory() {
        return (int) MACHINE.bus().read(number * LINE, 8);
    }

    /** The device sends its message. */
    void ring() {
        port.write(message(), 4, 1);
    }

    /** {@return whether the message has arrived} */
    int rung() {
        return (int) MACHINE.bus().read(message(), 4);
    }

    /** Takes the table entry away and waits. */
    void withdraw() {
        MACHINE.bus().write(Bus.CPU, TABLE + number * LINE, 8, 0);
        MACHINE.bus().sync();
    }

    void sync() {
        MACHINE.bus().sync();
    }

    void keepMessages() {
        gate.keepMessages(message());
    }
}
