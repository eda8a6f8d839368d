// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.InterruptRemapping;
import irq.api.MsiBank;
import irq.api.MsiDoorbells;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BiConsumer;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ApicDriverTest {
    private final List<String> reports = new ArrayList<>();

    private ApicDriver driver(Board board) {
        return new ApicDriver(board.machine, board.lapic(), Optional.empty(), (what, why) -> reports.add(what));
    }

    private static MsiRequest request(Runnable handler) {
        return new MsiRequest(0x18, List.of(0), handler::run);
    }

    private static void refused(Errno errno, Runnable call) {
        assertEquals(errno, assertThrows(ErrnoException.class, call::run).errno());
    }

    @Test
    @DisplayName("One bank: the range 0xFEE00000, 0x30..0xEF of each core")
    void bank() {
        try (ApicDriver driver = driver(new Board(4))) {
            assertEquals(List.of(new MsiBank(0, 0xfee00000L, 0x100000, 768)), driver.doorbells().banks());
            assertEquals(768, driver.doorbells().free(0));
            assertFalse(driver.doorbells().verifiesSource());
            refused(Errno.EINVAL, () -> driver.doorbells().free(1));
        }
    }

    @Test
    @DisplayName("Vectors spread over the cores; message = destination << 12, vector (6.4)")
    void spreads() {
        try (ApicDriver driver = driver(new Board(2))) {
            MsiDoorbells doorbells = driver.doorbells();
            List<MsiMessage> messages = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                messages.add(doorbells.compose(doorbells.allocate(request(() -> { }))));
            }
            assertEquals(
                List.of(new MsiMessage(0, 0, 0x30), new MsiMessage(0, 0x1000, 0x30), new MsiMessage(0, 0, 0x31)),
                messages);
        }
    }

    @Test
    @DisplayName("The lowest free vector is taken; a full bank is ENOSPC; a released vector is free at once")
    void exhausts() {
        try (ApicDriver driver = driver(new Board(1))) {
            MsiDoorbells doorbells = driver.doorbells();
            List<MsiVector> vectors = new ArrayList<>();
            for (int i = 0; i < 192; i++) {
                vectors.add(doorbells.allocate(request(() -> { })));
            }
            assertEquals(new MsiVector(0, 191), vectors.get(191));
            assertEquals(new MsiMessage(0, 0, 0xef), doorbells.compose(vectors.get(191)));
            assertEquals(0, doorbells.free(0));
            refused(Errno.ENOSPC, () -> doorbells.allocate(request(() -> { })));
            refused(Errno.EINVAL, () -> doorbells.allocate(new MsiRequest(1, List.of(0, 7), () -> { })));
            refused(Errno.ENOSPC, () -> doorbells.allocate(new MsiRequest(1, List.of(), () -> { })));
            doorbells.release(vectors.get(7));
            assertEquals(1, doorbells.free(0));
            refused(Errno.ENOENT, () -> doorbells.release(vectors.get(7)));
            refused(Errno.ENOENT, () -> doorbells.compose(vectors.get(7)));
            refused(Errno.ENOENT, () -> doorbells.compose(new MsiVector(0, 192)));
            refused(Errno.ENOENT, () -> doorbells.compose(new MsiVector(1, 0)));
            refused(Errno.ENOENT, () -> doorbells.release(new MsiVector(0, -1)));
            assertEquals(new MsiVector(0, 7), doorbells.allocate(request(() -> { })));
        }
    }

    @Test
    @DisplayName("A handler that throws is reported and disturbs nobody, itself included")
    void handlerThrows() {
        Board board = new Board(1);
        AtomicInteger good = new AtomicInteger();
        try (ApicDriver driver = driver(board)) {
            driver.doorbells().allocate(request(() -> {
                throw new IllegalStateException("gone mad");
            }));
            driver.doorbells().allocate(request(good::incrementAndGet));
            board.ring(0xfee00000, 0x30);
            board.ring(0xfee00000, 0x31);
            board.ring(0xfee00000, 0x30);
            assertEquals(
                List.of("the handler of vector 0x30 of core 0 failed", "the handler of vector 0x30 of core 0 failed"),
                reports);
            assertEquals(1, good.get());
            assertFalse(board.pin(0));
            assertEquals(0, board.get(0, 0x110), "nothing stays in service");
        }
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void throwAny(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    @DisplayName("A handler that throws a checked exception, and a report that throws too, leave the core and the "
        + "vector in order")
    void handlerThrowsAnything() {
        Board board = new Board(1);
        AtomicInteger good = new AtomicInteger();
        List<Throwable> told = new ArrayList<>();
        BiConsumer<String, Throwable> broken = (what, why) -> {
            told.add(why);
            throw new NoClassDefFoundError("stale");
        };
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.empty(), broken)) {
            MsiVector bad = driver.doorbells()
                .allocate(request(() -> ApicDriverTest.<RuntimeException>throwAny(new IOException("checked"))));
            driver.doorbells().allocate(request(good::incrementAndGet));
            board.ring(0xfee00000, 0x30);
            board.ring(0xfee00000, 0x31);
            assertEquals(1, good.get());
            assertEquals("checked", told.get(0).getMessage());
            assertEquals("stale", told.get(0).getSuppressed()[0].getMessage());
            driver.doorbells().release(bad);
            assertEquals(0, board.get(0, 0x110), "nothing stays in service");
        }
    }

    @Test
    @DisplayName("There are no wired inputs: request is EINVAL, mask is ENOENT")
    void noWires() {
        try (ApicDriver driver = driver(new Board(1))) {
            Wire wire = new Wire("/ioapic", 3, true, "3 2");
            refused(Errno.EINVAL, () -> driver.request(wire, () -> { }));
            refused(Errno.ENOENT, () -> driver.mask(wire, true));
        }
    }

    @Test
    @DisplayName("A second driver is refused (EBUSY) and the first goes on; after close the next one starts")
    void oneDriver() {
        Board board = new Board(2);
        AtomicInteger rung = new AtomicInteger();
        ApicDriver first = driver(board);
        first.doorbells().allocate(request(rung::incrementAndGet));
        refused(Errno.EBUSY, () -> driver(board));
        assertEquals(0x1ff, board.get(0, 0xf0), "still enabled");
        board.ring(0xfee00000, 0x30);
        assertEquals(1, rung.get());
        first.close();
        first.close();
        assertEquals(0xff, board.get(0, 0xf0), "SVR: disabled");
        board.ring(0xfee00000, 0x30);
        assertEquals(1, rung.get());
        refused(Errno.ENODEV, () -> first.doorbells().allocate(request(() -> { })));
        refused(Errno.ENOENT, () -> first.doorbells().release(new MsiVector(0, 0)));
        driver(board).close();
    }

    @Test
    @DisplayName("Without a unit there is nothing to drive: ENODEV, and no handler is left on a core")
    void noUnit() {
        Board board = new Board(1);
        board.attachment.close();
        refused(Errno.ENODEV, () -> driver(board));
        board.machine.cpus().get(0).attach(() -> { }).close();
    }

    @Test
    @DisplayName("An interrupt that a crashed driver left in service is ended when the next one starts")
    void inheritsInService() {
        Board board = new Board(1);
        board.enable();
        board.ring(0xfee00000, 0x41);
        assertEquals(0x41, board.get(0, 0x3f0));
        AtomicInteger rung = new AtomicInteger();
        try (ApicDriver driver = driver(board)) {
            driver.doorbells().allocate(request(rung::incrementAndGet));
            board.ring(0xfee00000, 0x30);
            assertEquals(1, rung.get(), "0x41 in service would hold back 0x30");
        }
    }

    @Test
    @DisplayName("A handler may release its own vector; it is free when the core has done with it")
    void releaseFromHandler() {
        Board board = new Board(1);
        try (ApicDriver driver = driver(board)) {
            AtomicReference<MsiVector> own = new AtomicReference<>();
            AtomicInteger freeInside = new AtomicInteger();
            own.set(driver.doorbells().allocate(request(() -> {
                board.ring(0xfee00000, 0x30);
                driver.doorbells().release(own.get());
                freeInside.set(driver.doorbells().free(0));
            })));
            board.ring(0xfee00000, 0x30);
            assertEquals(191, freeInside.get(), "one in service and one requested: not yet");
            assertEquals(192, driver.doorbells().free(0));
        }
    }

    @Test
    @DisplayName("A vector that is requested and nothing else (IRR) is not free: the message of its last owner is "
        + "not the next owner's")
    void requestedIsNotFree() {
        Board board = new Board(1);
        try (ApicDriver driver = driver(board)) {
            MsiDoorbells doorbells = driver.doorbells();
            AtomicInteger old = new AtomicInteger();
            AtomicInteger next = new AtomicInteger();
            AtomicInteger freeInside = new AtomicInteger(-1);
            MsiVector low = doorbells.allocate(request(old::incrementAndGet));
            for (int i = 1; i < 192; i++) {
                doorbells.allocate(request(() -> {
                    board.ring(0xfee00000, 0x30);
                    doorbells.release(low);
                    freeInside.set(doorbells.free(0));
                    refused(Errno.ENOSPC, () -> doorbells.allocate(request(next::incrementAndGet)));
                }));
            }
            board.ring(0xfee00000, 0xef);
            assertEquals(0, freeInside.get(), "its message is still in the APIC");
            assertEquals(List.of(), reports);
            assertEquals(1, doorbells.free(0));
            assertEquals(low, doorbells.allocate(request(next::incrementAndGet)));
            assertEquals(0, old.get() + next.get(), "it came after the release and before the next owner");
            board.ring(0xfee00000, 0x30);
            assertEquals(1, next.get());
        }
    }

    @Test
    @DisplayName("A listener is called when a vector has become free, also if a handler released it; one that throws "
        + "disturbs no other")
    void tellsWhenFree() {
        Board board = new Board(1);
        try (ApicDriver driver = driver(board)) {
            MsiDoorbells doorbells = driver.doorbells();
            List<Integer> told = new ArrayList<>();
            Attachment bad = doorbells.onFree(() -> {
                throw new IllegalStateException("a bad listener");
            });
            Attachment listening = doorbells.onFree(() -> told.add(doorbells.free(0)));
            doorbells.release(doorbells.allocate(request(() -> { })));
            assertEquals(192, told.get(told.size() - 1));
            assertTrue(reports.get(0).contains("a listener of free vectors of core 0"), reports.toString());
            bad.close();
            told.clear();
            AtomicReference<MsiVector> own = new AtomicReference<>();
            own.set(doorbells.allocate(request(() -> {
                board.ring(0xfee00000, 0x30);
                doorbells.release(own.get());
            })));
            board.ring(0xfee00000, 0x30);
            assertEquals(192, told.get(told.size() - 1), "told again when the core has done with it: " + told);
            listening.close();
            told.clear();
            doorbells.release(doorbells.allocate(request(() -> { })));
            assertEquals(List.of(), told);
        }
    }

    @Test
    @DisplayName("When release returns, the handler does not run any more")
    void releaseWaits() throws InterruptedException {
        Board board = new Board(1);
        try (ApicDriver driver = driver(board)) {
            CountDownLatch inside = new CountDownLatch(1);
            CountDownLatch leave = new CountDownLatch(1);
            AtomicReference<String> order = new AtomicReference<>("");
            MsiVector vector = driver.doorbells().allocate(request(() -> {
                inside.countDown();
                await(leave);
                order.updateAndGet(before -> before + "handler ");
            }));
            Thread device = new Thread(() -> board.ring(0xfee00000, 0x30));
            device.start();
            await(inside);
            Thread releaser = new Thread(() -> {
                driver.doorbells().release(vector);
                order.updateAndGet(before -> before + "released");
            });
            releaser.start();
            releaser.join(50);
            leave.countDown();
            releaser.join(5_000);
            device.join(5_000);
            assertEquals("handler released", order.get());
        }
    }

    @Test
    @DisplayName("Remapping: an entry per vector for its requester, its message, its end")
    void remapped() {
        Board board = new Board(2);
        Table table = new Table();
        ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.of(table),
            (what, why) -> reports.add(what));
        MsiDoorbells doorbells = driver.doorbells();
        assertTrue(doorbells.verifiesSource());
        MsiVector first = doorbells.allocate(new MsiRequest(0x18, List.of(0), () -> { }));
        MsiVector second = doorbells.allocate(new MsiRequest(0x20, List.of(0), () -> { }));
        assertEquals(Map.of(0, "18->30@0", 1, "20->30@1"), table.entries);
        // 6.2: index 1: handle in bits 19:5, format and SHV set.
        assertEquals(new MsiMessage(0, 0x38, 0), doorbells.compose(second));
        doorbells.release(first);
        assertEquals(Map.of(1, "20->30@1"), table.entries);

        table.broken = true;
        int free = doorbells.free(0);
        refused(Errno.ENOSPC, () -> doorbells.allocate(new MsiRequest(0x28, List.of(0), () -> { })));
        assertEquals(free, doorbells.free(0), "state unchanged");
        refused(Errno.EIO, () -> doorbells.release(second));
        assertEquals(new MsiMessage(0, 0x38, 0), doorbells.compose(second), "state unchanged");

        driver.close();
        assertEquals(List.of("interrupt remapping entry 0x1 is left behind"), reports);
    }

    @Test
    @DisplayName("Remapping: while an entry is made or given back its vector is nobody's; one made while the driver "
        + "closes goes back")
    void whileEntriesChange() {
        Board board = new Board(1);
        Table table = new Table();
        ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.of(table),
            (what, why) -> reports.add(what));
        MsiDoorbells doorbells = driver.doorbells();
        MsiVector first = new MsiVector(0, 0);
        table.during = () -> {
            refused(Errno.ENOENT, () -> doorbells.compose(first));
            refused(Errno.ENOENT, () -> doorbells.release(first));
            assertEquals(191, doorbells.free(0));
        };
        assertEquals(first, doorbells.allocate(request(() -> { })));
        doorbells.release(first);
        table.during = () -> { };
        assertEquals(192, doorbells.free(0));
        doorbells.allocate(request(() -> { }));
        table.during = driver::close;
        refused(Errno.ENODEV, () -> doorbells.allocate(request(() -> { })));
        table.during = () -> { };
        assertEquals(Map.of(), table.entries, "the first one, too, when the driver closed");
        assertEquals(0, doorbells.free(0));
        assertEquals(List.of(), reports);
    }

    @Test
    @DisplayName("Remapping: when an entry cannot be had, who waits for a vector is told that this one is free again")
    void tellsAfterFailure() {
        Board board = new Board(1);
        Table table = new Table();
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.of(table),
            (what, why) -> reports.add(what))) {
            List<Integer> told = new ArrayList<>();
            driver.doorbells().onFree(() -> told.add(driver.doorbells().free(0)));
            table.broken = true;
            refused(Errno.ENOSPC, () -> driver.doorbells().allocate(request(() -> { })));
            assertEquals(192, told.get(told.size() - 1));
        }
    }

    @Test
    @DisplayName("A driver finds a core that holds everything back, and lets it go; one that cannot have all cores "
        + "leaves those it had")
    void takesCores() {
        Board board = new Board(2);
        board.put(0, 0x80, 0xff);
        AtomicInteger rung = new AtomicInteger();
        try (ApicDriver driver = driver(board)) {
            driver.doorbells().allocate(request(rung::incrementAndGet));
            board.ring(0xfee00000, 0x30);
            assertEquals(1, rung.get());
        }
        Attachment other = board.machine.cpus().get(1).attach(() -> { });
        refused(Errno.EBUSY, () -> driver(board));
        assertEquals(0xff, board.get(0, 0xf0), "disabled again");
        board.machine.cpus().get(0).attach(() -> { }).close();
        other.close();
        driver(board).close();
        assertEquals(List.of(), reports);
    }

    @Test
    @DisplayName("An interrupt with nothing behind it ends nothing and is nobody's; it is not counted")
    void spurious() {
        Board board = new Board(1);
        try (ApicDriver driver = driver(board)) {
            board.machine.cpus().get(0).level(false);
            AtomicInteger inService = new AtomicInteger();
            driver.doorbells().allocate(request(() -> inService.set(board.get(0, 0x3f0))));
            board.ring(0xfee00000, 0x30);
            assertEquals(0xff, inService.get(), "nothing is offered while one of its class is in service");
            board.put(0, 0x80, 0xf0);
            board.ring(0xfee00000, 0x41);
            board.machine.cpus().get(0).pin(true);
            assertEquals(0, driver.unclaimed());
            assertEquals(2, board.get(0, 0x220), "still requested");
            board.put(0, 0x80, 0);
            assertEquals(1, driver.unclaimed());
        }
    }

    @Test
    @DisplayName("Close after the unit has gone: each core that could not be disabled is reported, and all are left")
    void closesWithoutUnit() {
        Board board = new Board(2);
        ApicDriver driver = driver(board);
        board.attachment.close();
        driver.close();
        assertEquals(List.of("core 0 was not disabled", "core 1 was not disabled"), reports);
        board.machine.cpus().forEach(cpu -> cpu.attach(() -> { }).close());
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(5, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }

    private static final class Table implements InterruptRemapping {
        private final Map<Integer, String> entries = new TreeMap<>();
        private boolean broken;
        /** Runs in the middle of each change. */
        private Runnable during = () -> { };

        @Override
        public int allocate(int requester, int vector, int destination) {
            during.run();
            if (broken) {
                throw new ErrnoException(Errno.ENOSPC, "table full");
            }
            int index = entries.size();
            entries.put(index, String.format("%x->%x@%x", requester, vector, destination));
            return index;
        }

        @Override
        public void release(int index) {
            during.run();
            if (broken) {
                throw new ErrnoException(Errno.EIO, "invalidation timed out");
            }
            entries.remove(index);
        }

        @Override
        public MsiMessage compose(int index) {
            return new MsiMessage(0, index << 5 | 0x18, 0);
        }
    }
}
