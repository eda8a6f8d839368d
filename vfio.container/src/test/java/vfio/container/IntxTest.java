// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.InterruptController;
import irq.api.InterruptHandler;
import irq.api.MsiDoorbells;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.BooleanSupplier;
import machine.api.Attachment;
import machine.api.Cpu;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.PciFunction;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.api.Device;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.container.irq.LocalEventFd;

/**
 * A shared, level-triggered wire under everything that touches it at once: as in hardware, a core gets no rest while it
 * is asserted.
 */
@Timeout(60)
class IntxTest {
    private static final String PIC = "/level";
    private static final int INPUT = 3;
    private static final long STRESS_NANOS = 2_000_000_000L;

    private final Board board = Board.type1();
    private final LevelController controller = new LevelController(board.machine.cpus().get(0));
    private final Attachment unit;
    private final Level user = new Level("0000:03:00.0", 0x31, 3);
    private final Level neighbour = new Level("0000:04:00.0", 0x41, 4);
    private final AtomicBoolean over = new AtomicBoolean();
    private final AtomicReference<Throwable> failure = new AtomicReference<>();
    private final List<Thread> threads = new ArrayList<>();

    IntxTest() {
        unit = board.machine.attach(Node.at(PIC), new Unit(List.of(), Map.of(), controller));
        board.vfio.removeController(board.controller);
        board.vfio.addController(controller);
        board.vfio.addFunction(user);
    }

    @AfterEach
    void end() {
        over.set(true);
        unit.close();
    }

    /** One input; its handlers run, on whatever thread, for as long as it is asserted. */
    private final class LevelController implements InterruptController, InterruptInputs {
        private final Cpu cpu;
        private final Set<Integer> asserted = ConcurrentHashMap.newKeySet();
        private final List<InterruptHandler> handlers = new CopyOnWriteArrayList<>();

        LevelController(Cpu cpu) {
            this.cpu = cpu;
            cpu.attach(() -> handlers.forEach(InterruptHandler::interrupt));
        }

        private boolean level() {
            return !asserted.isEmpty() && !handlers.isEmpty();
        }

        @Override
        public void set(int input, boolean high) {
            if (high) {
                asserted.add(input);
            } else {
                asserted.remove(input);
            }
            // The level at once, so that a handler which has lowered it is not called again.
            cpu.level(level());
        }

        @Override
        public void settle() {
            boolean level;
            do {
                level = level();
                cpu.level(level);
            } while (level != level());
            if (level) {
                cpu.serve();
            }
        }

        @Override
        public Attachment request(Wire wire, InterruptHandler handler) {
            handlers.add(handler);
            settle();
            return () -> {
                handlers.remove(handler);
                settle();
            };
        }

        @Override
        public void mask(Wire wire, boolean masked) {
            throw new AssertionError("a shared wire is not masked: the device is");
        }

        @Override
        public MsiDoorbells doorbells() {
            return board.controller;
        }
    }

    /** A function with nothing but a command and a status register, and a pin. */
    private final class Level implements PciFunction {
        private final String name;
        private final Requester requester;
        private final Wire wire = new Wire(PIC, INPUT, true, "3");
        private final PolledLine line;
        private int command;
        private boolean wanted;

        Level(String name, int requester, int group) {
            this.name = name;
            this.requester = new Requester(requester, "/iommu", group);
            line = board.machine.line(wire, this::asserted);
        }

        void want(boolean interrupt) {
            synchronized (this) {
                wanted = interrupt;
            }
            line.update();
        }

        synchronized boolean asserted() {
            return wanted && !masked();
        }

        synchronized boolean masked() {
            return (command & 0x400) != 0;
        }

        synchronized int command() {
            return command;
        }

        @Override
        public synchronized long readConfig(int offset, int size) {
            long dword = switch (offset & ~3) {
                case 0x00 -> 0x11e81234L;
                case 0x04 -> command | (wanted ? 0x0008_0000L : 0);
                case 0x3c -> 0x100;
                default -> 0;
            };
            return dword >>> 8 * (offset & 3) & (1L << 8 * size) - 1;
        }

        @Override
        public void writeConfig(int offset, int size, long value) {
            synchronized (this) {
                if (offset == 4) {
                    command = (int) value & 0x547;
                }
            }
            line.update();
        }

        @Override
        public void reset() {
            synchronized (this) {
                command = 0;
                wanted = false;
            }
            line.update();
        }

        @Override
        public String name() {
            return name;
        }

        @Override
        public Slot slot() {
            throw new UnsupportedOperationException();
        }

        @Override
        public Requester requester() {
            return requester;
        }

        @Override
        public Optional<Wire> interrupt() {
            return Optional.of(wire);
        }

        @Override
        public int configSize() {
            return 256;
        }

        @Override
        public long barSize(int index) {
            return 0;
        }

        @Override
        public long readBar(int bar, long offset, int size) {
            throw new AssertionError();
        }

        @Override
        public void writeBar(int bar, long offset, int size, long value) {
            throw new AssertionError();
        }
    }

    private interface Work {
        void once() throws Exception;
    }

    private void repeat(String name, Work work) {
        Thread thread = new Thread(() -> {
            try {
                while (!over.get()) {
                    work.once();
                }
            } catch (Throwable e) {
                failure.compareAndSet(null, e);
            }
        }, name);
        thread.setDaemon(true);
        thread.start();
        threads.add(thread);
    }

    /**
     * For a moment, or longer until enough has been done. All have ended within some seconds of being told to; who has
     * not, hangs.
     */
    private void stress(BooleanSupplier enough) throws InterruptedException {
        long latest = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
        do {
            LockSupport.parkNanos(STRESS_NANOS);
        } while (!enough.getAsBoolean() && System.nanoTime() < latest && failure.get() == null);
        over.set(true);
        for (Thread thread : threads) {
            thread.join(20_000);
            assertFalse(thread.isAlive(), () -> thread.getName() + " hangs: " + List.of(thread.getStackTrace()));
        }
        assertEquals(null, failure.get());
    }

    private Device open() {
        board.container("pins", 3);
        return board.vfio.group(3).device(user.name);
    }

    private void ringing() {
        controller.request(neighbour.wire, () -> neighbour.want(false));
        repeat("neighbour", () -> {
            neighbour.want(true);
            Thread.onSpinWait();
        });
    }

    @Test
    @DisplayName("UNMASK while the pin is asserted and a neighbour rings the wire: returns, and each is followed by "
        + "one signal")
    void unmask() throws Exception {
        Device device = open();
        LocalEventFd eventFd = new LocalEventFd(0);
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        ringing();
        AtomicInteger rounds = new AtomicInteger();
        user.want(true);
        repeat("user", () -> {
            assertEquals(1, eventFd.read(20, TimeUnit.SECONDS), "round " + rounds.get());
            rounds.incrementAndGet();
            device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
        });
        repeat("config", () -> {
            device.read(Region.CONFIG, 4, 4);
            device.write(Region.CONFIG, 4, 2, 0x0006);
        });
        stress(() -> rounds.get() > 100);
        assertTrue(rounds.get() > 100, rounds + " rounds");
        assertEquals(1, eventFd.poll(), "the last UNMASK's");
        assertTrue(user.masked());
    }

    @Test
    @DisplayName("enabling, UNMASK, RESET, disabling while the device and a neighbour ring the wire: all return, and "
        + "the pin ends up masked")
    void lifeCycle() throws Exception {
        Device device = open();
        device.write(Region.CONFIG, 4, 2, 0x0006);
        LocalEventFd eventFd = new LocalEventFd(0);
        ringing();
        repeat("device", () -> user.want(true));
        repeat("user", () -> {
            device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
            device.setIrqs(IrqSet.none(Irq.INTX, IrqSet.Action.UNMASK, 0, 1));
            device.reset();
            device.setIrqs(IrqSet.disable(Irq.INTX));
            assertTrue(user.masked(), "disabled");
        });
        stress(() -> true);
        assertEquals(0x0406, user.command());
        assertTrue(eventFd.poll() > 0);
    }
}
