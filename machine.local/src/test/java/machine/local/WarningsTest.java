// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.logging.Handler;
import java.util.logging.Level;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Gate;
import machine.api.Holds;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** What the machine can tell nobody but its log: who it called back and what failed, and what it waits for. */
@Timeout(30)
class WarningsTest {
    private final Logger log = Logger.getLogger("machine.local");
    private final List<LogRecord> records = new CopyOnWriteArrayList<>();
    private final IllegalStateException failure = new IllegalStateException("foreign code");
    private final Handler handler = new Handler() {
        @Override
        public void publish(LogRecord record) {
            records.add(record);
        }

        @Override
        public void flush() {
        }

        @Override
        public void close() {
        }
    };

    @BeforeEach
    void listen() {
        log.addHandler(handler);
        log.setUseParentHandlers(false);
    }

    @AfterEach
    void leave() {
        log.removeHandler(handler);
        log.setUseParentHandlers(true);
    }

    private static LocalMachine machine(Duration patience) {
        return new LocalMachine(new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()),
            new PhysicalBus(List.of(new Ram(0, 0x100000)), patience));
    }

    private void failed(String role) {
        assertEquals(1, records.size(), role);
        LogRecord record = records.remove(0);
        assertEquals(Level.SEVERE, record.getLevel());
        assertTrue(record.getMessage().startsWith(role + " failed ("), record.getMessage());
        assertSame(failure, record.getThrown());
    }

    @Test
    @DisplayName("a listener of faults, a handler, a wire, a controller's input: each that throws is named, "
        + "with what it "
        + "threw, and nobody else is kept from anything")
    void calledBack() {
        LocalMachine machine = machine(Duration.ofSeconds(5));
        machine.onFault(fault -> {
            throw failure;
        });
        assertTrue(machine.openPort(new Requester(1, "/none", 0)).write(0, 4, 0) < 0);
        failed("a listener of refused accesses");

        machine.cpus().get(0).attach(() -> {
            throw failure;
        });
        machine.cpus().get(0).pin(true);
        failed("the interrupt handler of core 0");

        boolean[] settles = {true};
        machine.attach(Node.at("/pic"), new Unit(List.of(), Map.of(), new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                if (input == 3) {
                    throw failure;
                }
            }

            @Override
            public void settle() {
                if (!settles[0]) {
                    throw failure;
                }
            }
        }));
        machine.line(new Wire("/pic", 3, true, "")).set(true);
        failed("input 3 of /pic");
        settles[0] = false;
        machine.line(new Wire("/pic", 4, true, "")).set(true);
        failed("driving the pins of /pic");
    }

    @Test
    @DisplayName("who stands by for a node is told for whom, as hardware or as a driver; who takes over is told "
        + "so; what "
        + "fails then is logged with its class")
    void holds() {
        Holds holds = new LocalHolds();
        Node node = Node.at("/node");
        var first = holds.take(Holds.Role.UNIT, List.of(node), "old", () -> () -> {
        });
        holds.take(Holds.Role.UNIT, List.of(node), "new", () -> {
            throw failure;
        });
        String text = records.remove(0).getMessage();
        assertTrue(text.startsWith("new stands by: ") && text.contains("/node is held by old as its hardware"), text);
        var driver = holds.take(Holds.Role.DRIVER, List.of(node), "its driver", () -> () -> {
        });
        holds.take(Holds.Role.DRIVER, List.of(node), "next", () -> () -> {
        });
        assertTrue(records.remove(0).getMessage().contains("is held by its driver as its driver"));
        first.close();
        assertEquals("new takes over", records.remove(0).getMessage());
        failed("new, which took over,");
        driver.close();
        assertEquals("next takes over", records.remove(0).getMessage());
    }

    /** A device's write that stays in a register until told; it is inside when this returns. */
    private static CountDownLatch stays(LocalMachine machine) throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        machine.attach(Node.at("/iommu"), new Unit(List.of(new Unit.Window(0x200000, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                inside.countDown();
                try {
                    go.await(20, TimeUnit.SECONDS);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        })), Map.of("/iommu", (requester, iova, length, access) -> iova), InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(0x11, "/iommu", 0));
        Thread device = new Thread(() -> port.write(0x200000, 4, 1), "device thread");
        device.setDaemon(true);
        device.start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        return go;
    }

    /** {@return what was said of waiting; whoever collects a machine of an earlier test may say other things} */
    private List<String> waits() {
        return records.stream().map(LogRecord::getMessage).filter(text -> text.startsWith("waiting for ")).toList();
    }

    @Test
    @DisplayName("P1: an access that does not end is named in one warning when half the patience is gone, or a second, "
        + "and is waited for until it has ended")
    void slowAccess() throws Exception {
        LocalMachine machine = machine(Duration.ofSeconds(4));
        CountDownLatch go = stays(machine);
        long since = System.nanoTime();
        long[] warned = new long[1];
        Thread watcher = new Thread(() -> {
            while (waits().isEmpty()) {
                Thread.onSpinWait();
            }
            warned[0] = System.nanoTime() - since;
            try {
                Thread.sleep(50);
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            go.countDown();
        });
        watcher.setDaemon(true);
        watcher.start();
        machine.bus().sync();
        watcher.join();
        assertEquals(1, waits().size(), () -> "it is told once: " + waits());
        String text = waits().get(0);
        assertTrue(text.contains("requester 0x11")
            && text.contains(" on thread device thread, at ") && text.contains("machine.local.WarningsTest$"), text);
        assertTrue(warned[0] >= 900_000_000L, warned[0] + " ns");
    }

    @Test
    @DisplayName("P1: a patience of less than two seconds warns at its half; when it ends: ETIMEDOUT, with the limit")
    void impatient() throws Exception {
        LocalMachine machine = machine(Duration.ofMillis(600));
        CountDownLatch go = stays(machine);
        try {
            ErrnoException e = assertThrows(ErrnoException.class, machine.bus()::sync);
            assertEquals(Errno.ETIMEDOUT, e.errno());
            assertTrue(e.getMessage().contains("not waited for any longer than 600 ms"), e.getMessage());
            assertEquals(1, waits().size(), "half of it had gone");
        } finally {
            go.countDown();
        }
    }

    @Test
    @DisplayName("a gate that is shut leaves an access behind that does not end, and says which")
    void leftBehind() throws Exception {
        LocalMachine machine = machine(Duration.ofMillis(50));
        CountDownLatch go = stays(machine);
        try {
            Gate gate = machine.gate((requester, iova, data) -> false);
            gate.requesters(Set.of(0x11));
            assertTrue(records.stream().anyMatch(one -> one.getMessage().contains("requester 0x11")
                && one.getMessage().contains("not waited for any longer than 50 ms")), "nothing says so");
        } finally {
            go.countDown();
        }
    }

    @Test
    @DisplayName("a machine answers with its board's warnings, its bus, its memory and its holds")
    void answers() {
        LocalMachine machine = new LocalMachine(new Board("bench", List.of(new Node.Range(0x1000, 0x3000)), List.of(),
            List.of(), List.of(), 1, List.of("a node was left out")));
        assertEquals(List.of("a node was left out"), machine.warnings());
        assertEquals(Bus.OK, machine.bus().write(0x1000, 8, 1));
        assertTrue(machine.bus().write(0x4000, 8, 1) < 0);
        assertFalse(machine.holds().holder(Holds.Role.UNIT, Node.at("/x")).isPresent());
        assertSame(machine.holds(), machine.holds());
    }
}
