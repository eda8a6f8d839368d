// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.IntSupplier;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Fault;
import machine.api.Gate;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Unit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class LocalGateTest {
    private static final long LONG = TimeUnit.SECONDS.toNanos(25);
    private static final int MESSAGE = 0x7000;

    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 0x100000)));
    private final LocalMachine machine = new LocalMachine(
        new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), bus);
    private final ConcurrentLinkedQueue<Fault> faults = new ConcurrentLinkedQueue<>();
    private final ConcurrentLinkedQueue<String> kept = new ConcurrentLinkedQueue<>();
    private final AtomicLong translated = new AtomicLong();
    private final Gate gate = machine.gate((requester, iova, data) -> {
        boolean message = iova == MESSAGE;
        if (message) {
            kept.add(String.format("%x:%x<-%x", requester, iova, data));
        }
        return message;
    });
    private final DmaPort port = machine.openPort(new Requester(0x11, "/iommu", 0));
    private final DmaPort other = machine.openPort(new Requester(0x12, "/iommu", 0));
    private volatile Runnable inTranslation = () -> {
    };

    @BeforeEach
    void plug() {
        machine.onFault(faults::add);
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            inTranslation.run();
            translated.incrementAndGet();
            return iova + 0x10000;
        }), InterruptInputs.NONE));
        gate.requesters(Set.of(0x11));
    }

    /** Begins an access in another thread and returns when it waits. */
    private FutureTask<Integer> waiting(IntSupplier access) {
        long before = gate.stalled();
        FutureTask<Integer> task = new FutureTask<>(access::getAsInt);
        new Thread(task, "device").start();
        while (gate.stalled() == before) {
            assertFalse(task.isDone(), "it did not wait");
            Thread.onSpinWait();
        }
        return task;
    }

    @Test
    @DisplayName("open: it is not on the road; shut with no bound: refused BLOCKED, one fault, no unit is asked; "
        + "others pass")
    void refuses() {
        assertEquals(Bus.OK, port.write(0, 4, 1));
        gate.shut(0);
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 2));
        assertEquals(Refusal.BLOCKED, port.read(0, new byte[4], 0, 4));
        assertEquals(1, translated.get());
        assertEquals(
            List.of(new Fault(0x11, 0, 4, Access.WRITE, Refusal.BLOCKED),
                new Fault(0x11, 0, 4, Access.READ, Refusal.BLOCKED)),
            List.copyOf(faults));
        assertEquals(Bus.OK, other.write(4, 4, 3));
        gate.open();
        assertEquals(Bus.OK, port.write(8, 4, 4));
        assertEquals(0x0000_0003_0000_0001L, bus.read(0x10000, 8));
        assertEquals(2, gate.refused());
        assertEquals(0, gate.stalled());
    }

    @Test
    @DisplayName("stall: an access waits and then happens once, without a fault; Bus.sync does not wait for a "
        + "waiting access (P3)")
    void waits() throws Exception {
        gate.shut(LONG);
        FutureTask<Integer> write = waiting(() -> port.write(0, 8, 0x55));
        bus.sync();
        assertFalse(write.isDone());
        assertEquals(0, translated.get());
        gate.open();
        assertEquals(Bus.OK, write.get());
        assertEquals(0x55, bus.read(0x10000, 8));
        assertEquals(1, translated.get());
        assertEquals(0, faults.size());
        assertEquals(0, gate.refused());
    }

    @Test
    @DisplayName("stall: a transfer of several pages goes on where it had to wait")
    void goesOn() throws Exception {
        byte[] data = new byte[0x3000];
        for (int i = 0; i < data.length; i++) {
            data[i] = (byte) (i / 7);
        }
        inTranslation = () -> {
            if (translated.get() == 1) {
                inTranslation = () -> {
                };
                new Thread(() -> gate.shut(LONG)).start();
                // The shutting thread waits for this access, so its bar is there as soon as the port meets it.
                while (!((LocalPort) port).atBar()) {
                    Thread.onSpinWait();
                }
            }
        };
        FutureTask<Integer> write = waiting(() -> port.write(0, data, 0, data.length));
        assertEquals(2, translated.get());
        gate.open();
        assertEquals(Bus.OK, write.get());
        byte[] found = new byte[data.length];
        bus.read(0x10000, found, 0, found.length);
        assertArrayEquals(data, found);
        assertEquals(3, translated.get());
    }

    @Test
    @DisplayName("stall: the bound passes: BLOCKED for waiting and for later accesses; a message is kept all the same")
    void bound() throws Exception {
        gate.shut(TimeUnit.MILLISECONDS.toNanos(20));
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1));
        assertEquals(1, gate.stalled());
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1));
        assertEquals(1, gate.stalled());
        assertEquals(2, gate.refused());
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 0x61));
        assertEquals(List.of("11:7000<-61"), List.copyOf(kept));
    }

    @Test
    @DisplayName("P5: a message does not wait: the keeper has it and the device goes on; 4 bytes that are none wait")
    void messages() throws Exception {
        gate.shut(LONG);
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 0x80000041L));
        assertEquals(List.of("11:7000<-80000041"), List.copyOf(kept));
        FutureTask<Integer> write = waiting(() -> port.write(MESSAGE + 4, 4, 1));
        gate.open();
        assertEquals(Bus.OK, write.get());
        assertEquals(0, bus.read(0x17000, 4), "what was kept is the keeper's");
        port.write(MESSAGE, 4, 2);
        assertEquals(1, kept.size());
    }

    @Test
    @DisplayName("kept messages alone: memory passes, also near them; who waited goes on")
    void messagesOnly() throws Exception {
        gate.shut(LONG);
        FutureTask<Integer> write = waiting(() -> port.write(0, 8, 7));
        gate.keepMessages(0x3123, MESSAGE + 0xabc);
        assertEquals(Bus.OK, write.get());
        assertEquals(Bus.OK, port.write(MESSAGE + 8, 8, 8));
        assertEquals(Bus.OK, port.write(MESSAGE + 4, 4, 9));
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 0x61));
        assertEquals(List.of("11:7000<-61"), List.copyOf(kept));
        assertEquals(0x9_0000_0000L, bus.read(0x17000, 8));
        assertEquals(0, faults.size());
    }

    @Test
    @DisplayName("P2: when shut returns, nothing is in flight that had passed before")
    void drains() throws Exception {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        inTranslation = () -> {
            inside.countDown();
            try {
                go.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        };
        FutureTask<Integer> write = new FutureTask<>(() -> port.write(0, 4, 1));
        new Thread(write).start();
        inside.await();
        FutureTask<Void> shut = new FutureTask<>(() -> gate.shut(LONG), null);
        new Thread(shut).start();
        assertThrows(TimeoutException.class, () -> shut.get(50, TimeUnit.MILLISECONDS));
        go.countDown();
        shut.get();
        assertTrue(write.isDone() || write.get() == Bus.OK);
        assertEquals(1, bus.read(0x10000, 4));
    }

    @Test
    @DisplayName("a port that opens behind a shut gate, a unit that comes behind it, a requester that leaves it")
    void comings() throws Exception {
        gate.shut(LONG);
        DmaPort late = machine.openPort(new Requester(0x11, "/late", 0));
        FutureTask<Integer> write = waiting(() -> late.write(0x20, 4, 5));
        Attachment unit = machine.attach(Node.at("/late"), new Unit(List.of(), Map.of("/late",
            (requester, iova, length, access) -> iova + 0x30000), InterruptInputs.NONE));
        assertFalse(write.isDone());
        gate.requesters(Set.of(0x12));
        assertEquals(Bus.OK, write.get());
        assertEquals(5, bus.read(0x30020, 4));
        FutureTask<Integer> joined = waiting(() -> other.write(0x40, 4, 6));
        gate.open();
        assertEquals(Bus.OK, joined.get());
        unit.close();
    }

    @Test
    @DisplayName("a port that is closed lets go of who waits there: BLOCKED")
    void closing() throws Exception {
        gate.shut(LONG);
        FutureTask<Integer> write = waiting(() -> port.write(0, 4, 1));
        port.close();
        assertEquals(Refusal.BLOCKED, write.get());
        assertEquals(0, bus.read(0x10000, 4));
    }

    @Test
    @DisplayName("a device that is being reset: who waits is refused BLOCKED at once, so is who comes; messages are "
        + "kept, others wait on")
    void dismissed() throws Exception {
        DmaPort neighbour = machine.openPort(new Requester(0x11, "/iommu", 0));
        gate.shut(LONG);
        FutureTask<Integer> write = waiting(() -> port.write(0, 4, 1));
        FutureTask<Integer> read = waiting(() -> port.read(0, new byte[64], 0, 64));
        FutureTask<Integer> waits = waiting(() -> neighbour.write(0, 4, 5));
        Attachment first = port.dismiss();
        Attachment second = port.dismiss();
        assertEquals(Refusal.BLOCKED, write.get(10, TimeUnit.SECONDS));
        assertEquals(Refusal.BLOCKED, read.get(10, TimeUnit.SECONDS));
        assertEquals(Refusal.BLOCKED, port.write(0, new byte[64], 0, 64));
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 9));
        assertEquals(List.of("11:7000<-9"), List.copyOf(kept));
        first.close();
        first.close();
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1));
        second.close();
        FutureTask<Integer> again = waiting(() -> port.write(8, 4, 6));
        assertFalse(waits.isDone());
        gate.open();
        assertEquals(Bus.OK, again.get(10, TimeUnit.SECONDS));
        assertEquals(Bus.OK, waits.get(10, TimeUnit.SECONDS));
        assertEquals(5, bus.read(0x10000, 4));
        assertEquals(0, gate.refused(), "the bound has not passed for anybody");
    }

    @Test
    @DisplayName("a requester has one gate; a closed gate lets everything pass; NONE keeps nobody")
    void owners() {
        Gate second = machine.gate((requester, iova, data) -> false);
        assertThrows(IllegalArgumentException.class, () -> second.requesters(Set.of(0x12, 0x11)));
        second.requesters(Set.of(0x12));
        second.shut(0);
        assertEquals(Refusal.BLOCKED, other.write(0, 4, 1));
        second.close();
        assertEquals(Bus.OK, other.write(0, 4, 1));
        gate.shut(0);
        gate.close();
        assertEquals(Bus.OK, port.write(0, 4, 1));
        Gate.NONE.requesters(Set.of(0x11));
        Gate.NONE.shut(0);
        assertEquals(Bus.OK, port.write(0, 4, 1));
        Gate.NONE.close();
    }

    @Test
    @DisplayName("P2: what one gate does, its requesters' change and its end too, moves no other gate")
    void independent() {
        Gate second = machine.gate((requester, iova, data) -> false);
        second.requesters(Set.of(0x12));
        second.shut(0);
        gate.requesters(Set.of(0x11, 0x13));
        assertEquals(Refusal.BLOCKED, other.write(0, 4, 1), "still behind its own gate");
        assertEquals(Bus.OK, port.write(0, 4, 1));
        gate.shut(0);
        second.open();
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1));
        assertEquals(Bus.OK, other.write(0, 4, 1));
        second.close();
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1), "another gate's end does not open it");
        assertThrows(IllegalArgumentException.class, () -> second.requesters(Set.of(0x13)));
        gate.requesters(Set.of());
        second.requesters(Set.of(0x11, 0x13));
        gate.open();
        assertEquals(Bus.OK, port.write(0, 4, 1));
    }

    /**
     * Runs an operation while an access is between its translation and its last byte, and that it does not end before
     * the access.
     */
    private void waitsForAccess(DmaPort by, Runnable operation) throws Exception {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        ConcurrentLinkedQueue<String> order = new ConcurrentLinkedQueue<>();
        inTranslation = () -> {
            inTranslation = () -> {
            };
            inside.countDown();
            try {
                go.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            order.add("access");
        };
        FutureTask<Integer> write = new FutureTask<>(() -> by.write(0, 4, 1));
        new Thread(write, "device").start();
        inside.await();
        Thread thread = new Thread(() -> {
            operation.run();
            order.add("operation");
        });
        thread.start();
        thread.join(50);
        go.countDown();
        write.get();
        thread.join();
        assertEquals(List.of("access", "operation"), List.copyOf(order));
    }

    @Test
    @DisplayName("P2: who joins a shut gate, or is taken out of the machine, has nothing in flight when that returns")
    void drainsWhoJoins() throws Exception {
        gate.shut(0);
        waitsForAccess(other, () -> gate.requesters(Set.of(0x11, 0x12)));
        assertEquals(Refusal.BLOCKED, other.write(0, 4, 1));
        gate.open();
        waitsForAccess(port, port::close);
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 1));
    }

    @Test
    @DisplayName("kept messages alone: of the two lists of pages the last counts, to the page; a shut that follows "
        + "holds everything back")
    void pages() {
        gate.keepMessages(0x8000);
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 1));
        assertEquals(List.of(), List.copyOf(kept));
        long[] pages = {MESSAGE};
        gate.keepMessages(pages);
        pages[0] = 0;
        assertEquals(Bus.OK, port.write(MESSAGE, 4, 2));
        assertEquals(List.of("11:7000<-2"), List.copyOf(kept));
        assertEquals(Bus.OK, port.write(MESSAGE - 4, 4, 3));
        assertEquals(Bus.OK, port.write(MESSAGE + 0x1000, 4, 4));
        assertEquals(1, kept.size());
        byte[] back = new byte[4];
        assertEquals(Bus.OK, port.read(MESSAGE, back, 0, 4));
        assertEquals(1, back[0], "what was written before");
        gate.shut(0);
        assertEquals(Refusal.BLOCKED, port.write(MESSAGE + 0x1000, 4, 5));
    }

    @Test
    @DisplayName("P1, P2 under load: while it is shut no byte changes; when it opens every write has happened once")
    void underLoad() throws Exception {
        int rounds = 2_000;
        FutureTask<Long> device = new FutureTask<>(() -> {
            long sequence = 0;
            while (!Thread.currentThread().isInterrupted()) {
                assertEquals(Bus.OK, port.write(0, 8, ++sequence));
            }
            return sequence;
        });
        Thread thread = new Thread(device);
        thread.start();
        for (int i = 0; i < rounds; i++) {
            gate.shut(LONG);
            long frozen = bus.read(0x10000, 8);
            if ((i & 15) == 0) {
                Thread.yield();
            }
            assertEquals(frozen, bus.read(0x10000, 8), "round " + i);
            gate.open();
        }
        thread.interrupt();
        assertEquals(device.get(), bus.read(0x10000, 8));
        assertEquals(device.get(), translated.get());
        assertEquals(0, faults.size());
    }

    @Test
    @DisplayName("a gate that is closed lets go of who waits at it, and its requesters can be behind another")
    void closes() throws Exception {
        gate.shut(LONG);
        FutureTask<Integer> task = waiting(() -> port.write(0, 4, 1));
        gate.close();
        assertEquals(Bus.OK, task.get(10, TimeUnit.SECONDS));
        Gate next = machine.gate((requester, iova, data) -> false);
        next.requesters(Set.of(0x11));
        next.shut(0);
        assertEquals(Refusal.BLOCKED, port.write(0, 4, 2));
        next.close();
        assertEquals(Bus.OK, port.write(0, 4, 3));
    }
}
