// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.InterruptHandler;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.locks.LockSupport;
import java.util.function.UnaryOperator;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptLine;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The driver against the unit: vectors, wires, masks, nodes, errors. */
@Timeout(30)
class MpicDriverTest {
    private final Board board = Board.p4080();
    private final MpicDriver driver = driver(board);
    private int calls;
    private final List<String> order = new ArrayList<>();

    @AfterEach
    void close() {
        driver.close();
    }

    private static MpicDriver driver(Board board) {
        return new MpicDriver(board.machine, Board.PIC_NODE, MpicSettings.DEFAULTS, board.report);
    }

    private MsiVector allocate(int bank, InterruptHandler handler) {
        return driver.doorbells().allocate(new MsiRequest(1, List.of(bank), handler));
    }

    private void ring(MsiVector vector) {
        ring(board, driver.doorbells().compose(vector), driver);
    }

    private static void ring(Board board, MsiMessage message, MpicDriver driver) {
        board.ring(driver.doorbells().banks().get(message.bank()).page() + message.offset(), message.data());
    }

    private static void fails(Errno errno, Runnable what) {
        assertEquals(errno, assertThrows(ErrnoException.class, what::run).errno());
    }

    @Test
    @DisplayName("Probe: mixed mode, vector = source, priority 8, masked but for the MSIRs, CTPR 0 at the end")
    void probe() {
        assertEquals(0x20000000, board.get(0x1020));
        assertEquals(0xffff, board.get(0x10e0));
        assertEquals(0x80080000, board.get(0x10000));
        assertEquals(0x80080018, board.get(0x10300));
        assertEquals(0x000800e3, board.get(0x11c60));
        assertEquals(1, board.get(0x11c70));
        assertEquals(0, board.get(0x20080));
        assertFalse(driver.doorbells().verifiesSource());
        assertEquals(List.of(), board.reports);
    }

    @Test
    @DisplayName("Probe: BRR1 of all ones is ENODEV; a second driver is EBUSY and leaves the first one working")
    void nobodyThere() {
        fails(Errno.EBUSY, () -> driver(board));
        MsiVector vector = allocate(0, () -> calls++);
        ring(vector);
        assertEquals(1, calls);
        driver.close();
        board.attachment.close();
        fails(Errno.ENODEV, () -> driver(board));
        fails(Errno.EINVAL, () -> new MpicDriver(board.machine, Board.PIC_NODE.registers(new Node.Range[0]),
            MpicSettings.DEFAULTS, board.report));
    }

    @Test
    @DisplayName("Probe: a core that does not exist is EINVAL; another core is possible")
    void otherCore() {
        Board two = new Board(2, Board.threeBanks());
        fails(Errno.EINVAL, () -> new MpicDriver(two.machine, Board.PIC_NODE, new MpicSettings(2), two.report));
        assertThrows(IllegalArgumentException.class, () -> new MpicSettings(-1));
        try (MpicDriver other = new MpicDriver(two.machine, Board.PIC_NODE, new MpicSettings(1), two.report)) {
            assertEquals(2, two.get(0x10010));
            MsiVector vector = other.doorbells().allocate(new MsiRequest(1, List.of(2), () -> calls++));
            ring(two, other.doorbells().compose(vector), other);
            other.doorbells().release(vector);
            assertEquals(256, other.doorbells().free(2));
            assertEquals(1, calls);
        }
    }

    @Test
    @DisplayName("QEMU's FSL MPIC 4.2: FRR 0x00c30102 counts 196 sources, yet the MSI sources from 224 on work: the "
        + "tree names them")
    void understatedFeatures() {
        Board qemu = new Board(2, Board.threeBanks());
        qemu.attachment.close();
        qemu.machine.attach(Board.PIC_NODE, new Unit(List.of(new Unit.Window(Board.PIC, 0x40000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return offset == 0x1000 ? 0x0201c300L : qemu.mpic.read(offset, size);
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                qemu.mpic.write(requester, offset, size, value);
            }
        })), Map.of(), qemu.mpic));
        assertEquals(0x00c30102, qemu.get(0x1000));
        try (MpicDriver other = driver(qemu)) {
            assertEquals(256, other.doorbells().free(0));
            MsiVector vector = other.doorbells().allocate(new MsiRequest(1, List.of(0), () -> calls++));
            ring(qemu, other.doorbells().compose(vector), other);
            assertEquals(1, calls);
        }
    }

    @Test
    @DisplayName("Probe: what a boot loader left unmasked and asserted does not hang it, and old messages are "
        + "dropped and counted")
    void leftovers() {
        Board other = Board.p4080().enable();
        other.source(5, 9, 0x5);
        other.put(0x100a0, 0x00490005);
        other.line(5).set(true);
        other.source(24, 9, 24);
        other.line(24).set(true);
        other.acknowledge(0);
        other.ring(Board.CCSR + 0x44140, 0x67);
        try (MpicDriver fresh = driver(other)) {
            assertFalse(other.pin(0));
            assertEquals(1, fresh.unhandled());
            MsiVector vector = fresh.doorbells().allocate(new MsiRequest(1, List.of(0), () -> calls++));
            ring(other, fresh.doorbells().compose(vector), fresh);
            assertEquals(1, calls);
        }
    }

    /** A unit that a core sees through something else. */
    private static Board behind(Board board, UnaryOperator<Mmio> change) {
        board.attachment.close();
        board.machine.attach(Board.PIC_NODE,
            new Unit(List.of(new Unit.Window(Board.PIC, 0x40000, change.apply(board.mpic))), Map.of(),
            board.mpic));
        return board;
    }

    @Test
    @DisplayName("Probe: a reset that does not end is ETIMEDOUT, and leaves the core to others")
    void endlessReset() {
        Board stuck = behind(Board.p4080(), mpic -> new Mmio() {
            @Override
            public long read(long offset, int size) {
                return offset == 0x1020 ? 0x80 : mpic.read(offset, size);
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                mpic.write(requester, offset, size, value);
            }
        });
        fails(Errno.ETIMEDOUT, () -> driver(stuck));
        stuck.machine.cpus().get(0).attach(() -> {
        }).close();
    }

    @Test
    @DisplayName("Probe: nothing is taken for reset: every IPI, timer and source is set, by what this version has")
    void setsUpAll() {
        for (int version : new int[] {0x0300, 0x0301, 0x0400, 0x0401}) {
            Map<Long, Integer> written = new TreeMap<>();
            Board recorded = behind(new Board(1, Board.threeBanks(), version), mpic -> new Mmio() {
                @Override
                public long read(long offset, int size) {
                    return mpic.read(offset, size);
                }

                @Override
                public void write(int requester, long offset, int size, long value) {
                    written.put(offset, Integer.reverseBytes((int) value));
                    mpic.write(requester, offset, size, value);
                }
            });
            try (MpicDriver one = driver(recorded)) {
                for (int i = 0; i < 4; i++) {
                    assertEquals(i == 0 ? 0x000afffe : 0x800afffe, written.get(0x10a0L + 0x10 * i));
                    assertEquals(0x80000000, written.get(0x1120L + 0x40 * i));
                    assertEquals(version >= 0x0301 ? 0x80000000 : null, written.get(0x2120L + 0x40 * i));
                }
                for (int source = 0; source < 0xf8; source++) {
                    assertEquals((source < 0xe0 ? 0x80080000 : 0x00080000) | source,
                        written.get(0x10000L + 0x20 * source));
                    assertEquals(1, written.get(0x10010L + 0x20 * source));
                    assertEquals(version >= 0x0400 ? 0 : null, written.get(0x10018L + 0x20 * source));
                }
                assertEquals(version >= 0x0401 ? 0 : null, written.get(0x3910L));
                assertEquals(0, written.get(0x20080L));
                written.clear();
            }
            for (int source = 0; source < 0xf8; source++) {
                assertEquals(0x80080000 | source, written.get(0x10000L + 0x20 * source), "closed");
            }
        }
    }

    @Test
    @DisplayName("Probe: the tree's last-interrupt-source counts where it is more than FRR says, and can be one")
    void lastSource() {
        for (int[] last : new int[][] {{0x1ff, 0x1ff}, {2047, 2047}, {2048, 0xf7}, {-1, 0xf7}, {5, 0xf7}}) {
            Board named = Board.p4080();
            Node node = Board.PIC_NODE.with("last-interrupt-source", last[0]);
            try (MpicDriver one = new MpicDriver(named.machine, node, MpicSettings.DEFAULTS, named.report)) {
                ErrnoException e = assertThrows(ErrnoException.class,
                    () -> one.request(Board.wire(last[1] + 1, 2), () -> {
                }));
                assertTrue(e.getMessage().contains(String.format("it has 0x%x sources", last[1] + 1)), e.getMessage());
            }
        }
    }

    @Test
    @DisplayName("Probe: the cores are those the machine and FRR have: the last one of 32 can be chosen")
    void lastCore() {
        Board many = new Board(32, Board.threeBanks());
        fails(Errno.EINVAL, () -> new MpicDriver(many.machine, Board.PIC_NODE, new MpicSettings(32), many.report));
        try (MpicDriver one = new MpicDriver(many.machine, Board.PIC_NODE, new MpicSettings(31), many.report)) {
            assertEquals(1 << 31, many.get(0x10010));
            MsiVector vector = one.doorbells().allocate(new MsiRequest(1, List.of(0), () -> calls++));
            ring(many, one.doorbells().compose(vector), one);
            one.doorbells().release(vector);
            assertEquals(1, calls);
            assertEquals(256, one.doorbells().free(0));
        }
    }

    @Test
    @DisplayName("The hardware leaves while a handler runs: what cannot be ended is reported, and the core goes on")
    void goneInside() {
        MsiVector vector = allocate(0, () -> {
            calls++;
            board.attachment.close();
            board.mpic.reset();
        });
        ring(vector);
        assertEquals(1, calls);
        assertEquals(1, board.reports.size(), board.reports.toString());
        assertTrue(board.reports.get(0).contains("end of interrupt 0xe0 of core 0"), board.reports.get(0));
        driver.doorbells().release(vector);
    }

    @Test
    @DisplayName("A core that is interrupted with nothing to be had is counted, and ends nothing")
    void spurious() {
        board.machine.cpus().get(0).pin(true);
        assertEquals(1, driver.spurious());
        assertEquals(0, driver.unhandled());
        assertFalse(board.pin(0));
        assertEquals(List.of(), board.reports);
    }

    @Test
    @DisplayName("MSI: each vector of each bank of both layouts reaches its own handler")
    void everyVector() {
        for (Board each : List.of(Board.p4080(), Board.t4240())) {
            try (MpicDriver one = driver(each)) {
                int banks = one.doorbells().banks().size();
                int vectors = one.doorbells().banks().get(0).vectors();
                int[][] counts = new int[banks][vectors];
                List<MsiVector> all = new ArrayList<>();
                for (int i = 0; i < banks * vectors; i++) {
                    int bank = i / vectors;
                    int number = i % vectors;
                    all.add(one.doorbells()
                        .allocate(new MsiRequest(1, List.of(0, 1, 2, banks - 1), () -> counts[bank][number]++)));
                    assertEquals(new MsiVector(bank, number), all.get(i), "lowest free of the first bank that has one");
                }
                fails(Errno.ENOSPC, () -> one.doorbells().allocate(new MsiRequest(1, List.of(0, 1, 2), () -> {
                })));
                for (MsiVector vector : all) {
                    ring(each, one.doorbells().compose(vector), one);
                    assertEquals(1, counts[vector.bank()][vector.number()]);
                }
                for (int[] bank : counts) {
                    for (int count : bank) {
                        assertEquals(1, count);
                    }
                }
                all.forEach(one.doorbells()::release);
                assertEquals(vectors, one.doorbells().free(banks - 1));
                assertEquals(0, one.unhandled());
            }
        }
    }

    @Test
    @DisplayName("MSI: rung inside its own handler it comes again; bits of one register are served lowest first")
    void nested() {
        MsiVector[] vectors = new MsiVector[3];
        vectors[0] = allocate(0, () -> order.add("0"));
        vectors[1] = allocate(0, () -> {
            order.add("1");
            if (order.size() == 1) {
                ring(vectors[2]);
                ring(vectors[0]);
                ring(vectors[1]);
                ring(vectors[1]);
            }
        });
        vectors[2] = allocate(0, () -> order.add("2"));
        ring(vectors[1]);
        assertEquals(List.of("1", "0", "1", "2"), order);
        assertEquals(0, driver.spurious());
    }

    @Test
    @DisplayName("MPIC 5, 6: acknowledge, MSIR, handler, EOI: the handler finds the register empty and its source in "
        + "service")
    void order() {
        MsiVector vector = allocate(0, () -> {
            order.add(Integer.toHexString(board.mpic.peek(0x1600)));
            order.add(Integer.toHexString(board.get(0x11c00)));
        });
        ring(vector);
        assertEquals(List.of("0", "400800e0"), order);
        assertEquals(0x000800e0, board.get(0x11c00));
    }

    @Test
    @DisplayName("Wire: an edge that comes while its handler runs is not lost and comes again")
    void edgeInside() {
        InterruptLine line = board.line(5);
        driver.request(Board.wire(5, 0), () -> {
            calls++;
            assertEquals(0x40880005, board.get(0x100a0), "in service");
            if (calls == 1) {
                line.set(false);
                line.set(true);
            }
        });
        line.set(true);
        assertEquals(2, calls);
        assertEquals(0x00880005, board.get(0x100a0));
        assertEquals(List.of(), board.reports);
    }

    @Test
    @DisplayName("MSI: nobody's vector is counted and its first one reported")
    void unhandled() {
        board.ring(Board.CCSR + 0x44140, 0x67);
        board.ring(Board.CCSR + 0x44140, 0x67);
        assertEquals(2, driver.unhandled());
        assertEquals(1, board.reports.size());
        assertTrue(board.reports.get(0).contains("0x67"), board.reports.get(0));
    }

    @Test
    @DisplayName("MSI: what a handler throws is reported; the others of the same register are served, and it is ended")
    void throwing() {
        MsiVector[] vectors = new MsiVector[2];
        MsiVector start = allocate(0, () -> {
            ring(vectors[0]);
            ring(vectors[1]);
        });
        vectors[0] = allocate(0, () -> {
            throw new IllegalStateException("broken");
        });
        vectors[1] = allocate(0, () -> calls++);
        ring(start);
        ring(start);
        assertEquals(2, calls);
        assertEquals(2, board.reports.size());
        assertTrue(board.reports.get(0).contains("broken"));
        assertFalse(board.pin(0));
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void throwAny(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    @DisplayName("MSI, wire: a checked exception out of a handler leaves core, vector and wire in order: others are "
        + "served, both can be given back")
    void throwingAnything() {
        MsiVector bad = allocate(0, () -> MpicDriverTest.<RuntimeException>throwAny(new IOException("checked")));
        MsiVector good = allocate(0, () -> calls++);
        Attachment wire = driver.request(Board.wire(5, 0),
            () -> MpicDriverTest.<RuntimeException>throwAny(new IOException("checked")));
        ring(bad);
        board.line(5).set(true);
        ring(good);
        assertEquals(1, calls);
        assertEquals(2, board.reports.size());
        wire.close();
        driver.doorbells().release(bad);
        assertEquals(255, driver.doorbells().free(0));
        assertTrue(board.machine.cpus().get(0).rest(0));
    }

    @Test
    @DisplayName("MSI: errors: no such bank EINVAL, not allocated ENOENT, none free ENOSPC; the state stays")
    void errors() {
        InterruptHandler nothing = () -> {
        };
        fails(Errno.EINVAL, () -> driver.doorbells().allocate(new MsiRequest(1, List.of(0, 3), nothing)));
        fails(Errno.EINVAL, () -> driver.doorbells().allocate(new MsiRequest(1, List.of(-1), nothing)));
        fails(Errno.EINVAL, () -> driver.doorbells().free(3));
        fails(Errno.ENOSPC, () -> driver.doorbells().allocate(new MsiRequest(1, List.of(), nothing)));
        for (MsiVector wrong : List.of(new MsiVector(0, 0), new MsiVector(0, 256), new MsiVector(0, -1),
            new MsiVector(3, 0), new MsiVector(-1, 0))) {
            fails(Errno.ENOENT, () -> driver.doorbells().compose(wrong));
            fails(Errno.ENOENT, () -> driver.doorbells().release(wrong));
        }
        assertEquals(256, driver.doorbells().free(0));
        MsiVector vector = allocate(0, nothing);
        driver.doorbells().release(vector);
        fails(Errno.ENOENT, () -> driver.doorbells().release(vector));
    }

    @Test
    @DisplayName("MSI: a message under way when its vector is released is dropped and does not reach the next owner")
    void lateMessage() {
        AtomicReference<MsiVector> reused = new AtomicReference<>();
        MsiVector[] vectors = new MsiVector[2];
        vectors[0] = allocate(0, () -> {
            if (reused.get() == null) {
                ring(vectors[1]);
                driver.doorbells().release(vectors[1]);
                reused.set(allocate(0, () -> calls++));
            }
        });
        vectors[1] = allocate(0, () -> calls++);
        ring(vectors[0]);
        assertNotEquals(vectors[1], reused.get(), "not free before the register was read once more");
        assertEquals(0, calls);
        assertEquals(vectors[1], allocate(0, () -> calls++), "but free now");
        assertEquals(0, calls);
    }

    @Test
    @DisplayName("MSI: a handler may release itself; release by another waits until the handler is done")
    void releaseWaits() throws InterruptedException {
        MsiVector[] self = new MsiVector[1];
        self[0] = allocate(0, () -> {
            calls++;
            driver.doorbells().release(self[0]);
        });
        long start = System.nanoTime();
        ring(self[0]);
        assertTrue(System.nanoTime() - start < 900_000_000, "waited for itself");
        assertEquals(256, driver.doorbells().free(0));

        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        AtomicBoolean done = new AtomicBoolean();
        MsiVector slow = allocate(0, () -> {
            inside.countDown();
            try {
                leave.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            done.set(true);
        });
        Thread device = new Thread(() -> ring(slow));
        device.start();
        inside.await();
        AtomicBoolean doneAtRelease = new AtomicBoolean();
        Thread releaser = new Thread(() -> {
            driver.doorbells().release(slow);
            doneAtRelease.set(done.get());
        });
        releaser.start();
        // Longer than it waits for anything but this handler.
        releaser.join(1_200);
        boolean waited = releaser.isAlive();
        leave.countDown();
        releaser.join();
        device.join();
        assertTrue(waited);
        assertTrue(doneAtRelease.get());
        assertEquals(256, driver.doorbells().free(0));
    }

    @Test
    @DisplayName("MSI: a vector is free when release returns, also if the core is busy with another handler")
    void freeAtOnce() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        MsiVector busy = allocate(0, () -> {
            inside.countDown();
            LockSupport.parkNanos(30_000_000);
        });
        MsiVector vector = allocate(0, () -> calls++);
        Thread device = new Thread(() -> ring(busy));
        device.start();
        inside.await();
        ring(vector);
        driver.doorbells().release(vector);
        assertEquals(255, driver.doorbells().free(0));
        assertEquals(vector, allocate(0, () -> calls++));
        device.join();
        assertEquals(0, calls);
        assertEquals(0, driver.unhandled());
    }

    @Test
    @DisplayName("MSI: who listens is told when a vector has become free, also if a handler released it, and not "
        + "before")
    void tellsWhenFree() {
        List<Integer> told = new ArrayList<>();
        Attachment bad = driver.doorbells().onFree(() -> {
            throw new IllegalStateException("a bad listener");
        });
        Attachment listening = driver.doorbells().onFree(() -> told.add(driver.doorbells().free(0)));
        MsiVector vector = allocate(0, () -> calls++);
        driver.doorbells().release(vector);
        assertEquals(List.of(256), told);
        assertEquals(1, board.reports.size(), "what the other one threw");
        bad.close();
        MsiVector[] self = new MsiVector[1];
        self[0] = allocate(0, () -> {
            driver.doorbells().release(self[0]);
            assertEquals(1, told.size(), "not free yet");
        });
        ring(self[0]);
        assertEquals(List.of(256, 256), told);
        assertEquals(1, board.reports.size());
        listening.close();
        driver.doorbells().release(allocate(0, () -> calls++));
        assertEquals(2, told.size());
    }

    @Test
    @DisplayName("MSI: a source that asks without end does not keep a released vector from becoming free")
    void settledInStorm() {
        MsiVector other = allocate(1, () -> calls++);
        MsiVector[] storm = new MsiVector[1];
        List<Integer> free = new ArrayList<>();
        storm[0] = allocate(0, () -> {
            if (free.isEmpty()) {
                driver.doorbells().release(other);
            }
            free.add(driver.doorbells().free(1));
            if (free.size() < 4) {
                ring(storm[0]);
            }
        });
        ring(storm[0]);
        assertEquals(List.of(255, 256, 256, 256), free);
    }

    @Test
    @DisplayName("MSI: release comes back though another handler waits for the one who releases; its number stays "
        + "taken until then")
    void releaseIsBounded() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch released = new CountDownLatch(1);
        MsiVector blocked = allocate(0, () -> {
            inside.countDown();
            try {
                released.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        MsiVector vector = allocate(0, () -> calls++);
        MsiMessage message = driver.doorbells().compose(vector);
        Thread device = new Thread(() -> ring(blocked));
        device.start();
        inside.await();
        driver.doorbells().release(vector);
        ring(board, message, driver);
        assertEquals(254, driver.doorbells().free(0));
        assertNotEquals(vector, allocate(0, () -> calls++));
        released.countDown();
        device.join();
        assertEquals(254, driver.doorbells().free(0));
        assertEquals(0, calls);
        assertEquals(0, driver.unhandled());
    }

    @Test
    @DisplayName("Wire: each handler of a shared wire is called, also behind one that throws; the last one to leave "
        + "masks it")
    void sharedWire() {
        Wire wire = Board.wire(5, 0);
        InterruptLine line = board.line(5);
        Attachment first = driver.request(wire, () -> order.add("a"));
        Attachment second = driver.request(wire, () -> {
            throw new IllegalStateException("broken");
        });
        Attachment third = driver.request(wire, () -> order.add("c"));
        assertEquals(0x00880005, board.get(0x100a0));
        line.set(true);
        line.set(false);
        assertEquals(List.of("a", "c"), order);
        assertTrue(board.reports.get(0).contains("broken"));
        first.close();
        second.close();
        second.close();
        line.set(true);
        line.set(false);
        assertEquals(List.of("a", "c", "c"), order);
        third.close();
        assertEquals(0x80880005, board.get(0x100a0));
    }

    @Test
    @DisplayName("Wire: a handler in the middle of a shared wire leaves: the others stay in order, and a mask stays")
    void middleOfSharedWire() {
        Wire wire = Board.wire(5, 0);
        InterruptLine line = board.line(5);
        driver.request(wire, () -> order.add("a"));
        Attachment b = driver.request(wire, () -> order.add("b"));
        Attachment c = driver.request(wire, () -> order.add("c"));
        driver.request(wire, () -> order.add("d"));
        b.close();
        line.set(true);
        line.set(false);
        assertEquals(List.of("a", "c", "d"), order);
        driver.mask(wire, true);
        c.close();
        assertEquals(0x80880005, board.get(0x100a0));
        driver.mask(wire, false);
        line.set(true);
        assertEquals(List.of("a", "c", "d", "a", "d"), order);
        assertEquals(List.of(), board.reports);
    }

    @Test
    @DisplayName("Wire: giving back waits for a handler that runs, and not inside it; whoever requests the source "
        + "then finds it unmasked")
    void closingWaits() throws InterruptedException {
        InterruptLine line = board.line(5);
        Attachment[] own = new Attachment[1];
        own[0] = driver.request(Board.wire(5, 0), () -> {
            calls++;
            own[0].close();
        });
        line.set(true);
        line.set(false);
        assertEquals(1, calls);

        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        AtomicReference<String> happened = new AtomicReference<>("");
        Attachment slow = driver.request(Board.wire(5, 0), () -> {
            inside.countDown();
            try {
                leave.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            happened.updateAndGet(before -> before + "handled ");
        });
        driver.mask(Board.wire(5, 0), true);
        driver.mask(Board.wire(5, 0), false);
        Thread device = new Thread(() -> line.set(true));
        device.start();
        inside.await();
        Thread closer = new Thread(() -> {
            slow.close();
            happened.updateAndGet(before -> before + "closed");
        });
        closer.start();
        closer.join(50);
        leave.countDown();
        closer.join();
        device.join();
        assertEquals("handled closed", happened.get());
        assertEquals(List.of(), board.reports);
        assertEquals(0, driver.unhandled());
    }

    @Test
    @DisplayName("Wire: masked when its last handler left, and requested again: unmasked, and an edge that nobody "
        + "had is delivered")
    void requestedAgain() {
        Wire wire = Board.wire(5, 0);
        Attachment first = driver.request(wire, () -> order.add("first"));
        driver.mask(wire, true);
        first.close();
        board.line(5).set(true);
        assertEquals(0, driver.unhandled());
        driver.request(wire, () -> order.add("second"));
        assertEquals(List.of("second"), order);
        assertEquals(0x00880005, board.get(0x100a0));
    }

    @Test
    @DisplayName("Wire: the sense of the tree: 0 rising, 1 level low, 2 level high, 3 falling; one source, one sense")
    void senses() {
        int[] expected = {0x00880003, 0x00480003, 0x00c80003, 0x00080003};
        for (int sense = 0; sense < 4; sense++) {
            Attachment request = driver.request(Board.wire(3, sense), () -> {
            });
            assertEquals(expected[sense], board.get(0x10060));
            Wire other = Board.wire(3, sense ^ 1);
            fails(Errno.EINVAL, () -> driver.request(other, () -> {
            }));
            request.close();
        }
        fails(Errno.EINVAL, () -> driver.request(Board.wire(3, 4), () -> {
        }));
        driver.request(new Wire(Board.PIC_PATH, 7, true, "7"), () -> {
        }).close();
        assertEquals(0x80c80007, board.get(0x100e0));
    }

    @Test
    @DisplayName("Wire: a level calls until its handler masks it; unmasking delivers what is still asserted")
    void maskInside() {
        Wire wire = Board.wire(24, 2);
        InterruptLine line = board.line(24);
        driver.request(wire, () -> {
            calls++;
            if (calls % 3 == 0) {
                driver.mask(wire, true);
            }
        });
        line.set(true);
        assertEquals(3, calls);
        assertFalse(board.pin(0));
        driver.mask(wire, false);
        assertEquals(6, calls);
        line.set(false);
        driver.mask(wire, false);
        assertEquals(6, calls);
    }

    @Test
    @DisplayName("Wire: a level handler that lowers its own wire is called once, and again for the next level")
    void lowersItself() {
        InterruptLine line = board.line(24);
        driver.request(Board.wire(24, 2), () -> {
            calls++;
            line.set(false);
        });
        for (int round = 1; round <= 3; round++) {
            line.set(true);
            assertEquals(round, calls);
            assertFalse(board.pin(0));
        }
        assertEquals(0, driver.spurious());
    }

    @Test
    @DisplayName("Wire: a level that another thread lowers while its handler runs, and the handler waits for that, "
        + "is called once")
    void loweredByAnother() throws InterruptedException {
        InterruptLine line = board.line(24);
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch lowered = new CountDownLatch(1);
        AtomicBoolean inTime = new AtomicBoolean();
        driver.request(Board.wire(24, 2), () -> {
            calls++;
            inside.countDown();
            try {
                inTime.set(lowered.await(5, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        Thread other = new Thread(() -> {
            try {
                inside.await();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            line.set(false);
            lowered.countDown();
        });
        other.start();
        line.set(true);
        other.join();
        assertTrue(inTime.get(), "lowering the wire must not wait for its handler");
        assertEquals(1, calls);
        assertFalse(board.pin(0));
        assertEquals(0, driver.spurious());
        assertEquals(List.of(), board.reports);
    }

    @Test
    @DisplayName("Wire: an edge that arrives while it is masked is delivered when it is unmasked")
    void maskedEdge() {
        Wire wire = Board.wire(5, 0);
        driver.request(wire, () -> calls++);
        driver.mask(wire, true);
        board.line(5).set(true);
        assertEquals(0, calls);
        driver.mask(wire, false);
        assertEquals(1, calls);
    }

    @Test
    @DisplayName("Wire: another controller, no such input, an MSI source, IPI or timer are EINVAL; masking what "
        + "nobody has is ENOENT")
    void wrongWires() {
        for (Wire wrong : List.of(new Wire("/other", 5, true, "5 2 0 0"), Board.wire(0xf8, 2), Board.wire(-1, 2),
            Board.wire(0xe3, 0), new Wire(Board.PIC_PATH, 0, false, "0 0 3 0"),
            new Wire(Board.PIC_PATH, 0, false, "0 0 2 0"))) {
            fails(Errno.EINVAL, () -> driver.request(wrong, () -> {
            }));
            fails(Errno.ENOENT, () -> driver.mask(wrong, true));
        }
        fails(Errno.ENOENT, () -> driver.mask(Board.wire(24, 2), true));
        driver.request(new Wire(Board.PIC_PATH, 16, true, "16 2 1 30"), () -> calls++);
        driver.request(new Wire(Board.PIC_PATH, 16, true, "16 2 1 1"), () -> driver.mask(Board.wire(16, 2), true));
        board.line(16).set(true);
        assertEquals(1, calls, "errors share source 16");
    }

    @Test
    @DisplayName("Close: sources masked, CTPR 15, no handler any more; later requests are ENODEV, giving back still "
        + "works")
    void closing() {
        MsiVector vector = allocate(0, () -> calls++);
        MsiMessage message = driver.doorbells().compose(vector);
        Attachment wire = driver.request(Board.wire(5, 0), () -> calls++);
        driver.close();
        driver.close();
        assertEquals(15, board.get(0x20080));
        assertEquals(0x800800e3, board.get(0x11c60));
        ring(board, message, driver);
        board.line(5).set(true);
        assertEquals(0, calls);
        wire.close();
        driver.doorbells().release(vector);
        fails(Errno.ENODEV, () -> allocate(0, () -> {
        }));
        fails(Errno.ENODEV, () -> driver.request(Board.wire(5, 0), () -> {
        }));
        try (MpicDriver next = driver(board)) {
            MsiVector again = next.doorbells().allocate(new MsiRequest(1, List.of(0), () -> calls++));
            ring(board, next.doorbells().compose(again), next);
            assertEquals(1, calls);
        }
    }

    @Test
    @DisplayName("Close: also when the hardware has gone first; giving back is no error, a request is EIO and leaves "
        + "nothing behind")
    void hardwareGone() {
        MsiVector before = allocate(0, () -> calls++);
        MsiVector after = allocate(0, () -> calls++);
        Attachment request = driver.request(Board.wire(5, 0), () -> calls++);
        board.attachment.close();
        fails(Errno.EIO, () -> driver.request(Board.wire(24, 2), () -> {
        }));
        fails(Errno.ENOENT, () -> driver.mask(Board.wire(24, 2), true));
        fails(Errno.EIO, () -> driver.mask(Board.wire(5, 0), true));
        driver.doorbells().release(before);
        request.close();
        driver.close();
        driver.doorbells().release(after);
        assertEquals(0, calls);
    }

    // ---- Nodes (MPIC 5.5) ----

    private static MpicDriver with(Node... banks) {
        Board board = new Board(1, List.of(banks));
        return driver(board);
    }

    @Test
    @DisplayName("MPIC 5.5: without a second reg the doorbell is bank + 0x140; a 4.3 bank must have one")
    void noAlias() {
        Node bank = Board.threeBanks().get(1);
        try (MpicDriver one = with(bank.registers(bank.registers().get(0)))) {
            assertEquals(0xffe041000L, one.doorbells().banks().get(0).page());
            MsiVector vector = one.doorbells().allocate(new MsiRequest(1, List.of(0), () -> {
            }));
            assertEquals(0x940, one.doorbells().compose(vector).offset());
        }
        Node four = Board.fourBanks().get(0);
        fails(Errno.EINVAL, () -> with(four.registers(four.registers().get(0))));
        fails(Errno.EINVAL, () -> with(four.registers(new Node.Range[0])));
        fails(Errno.EINVAL, () -> with(four.registers(four.registers().get(0), new Node.Range(0xffe044149L, 4))));
    }

    @Test
    @DisplayName("MPIC 5.5: msi-available-ranges: entry k of interrupts belongs to MSIR start / 32 + k")
    void ranges() {
        Node upper = Node.at("/msi@41600").compatible("fsl,mpic-msi")
            .registers(Board.threeBanks().get(0).registers().toArray(Node.Range[]::new))
            .interrupts(Board.sources(0xe4, 4).toArray(Wire[]::new)).with("msi-available-ranges", 0x80, 0x80);
        Board board = new Board(1, List.of(upper));
        try (MpicDriver one = driver(board)) {
            assertEquals(256, one.doorbells().banks().get(0).vectors());
            assertEquals(128, one.doorbells().free(0));
            MsiVector vector = one.doorbells().allocate(new MsiRequest(1, List.of(0), () -> calls++));
            assertEquals(0x80, vector.number());
            ring(board, one.doorbells().compose(vector), one);
            assertEquals(1, calls);
            board.ring(0xffe044140L, 0x7f);
            assertEquals(1 << 31, board.get(0x1630), "not ours: nobody reads it (MPIC 8.7)");
        }
        try (MpicDriver one = with(
            upper.with("msi-available-ranges", 0, 0x20, 0x60, 0x20).interrupts(Board.wire(0xe0, 0),
                Board.wire(0xe3, 0)))) {
            assertEquals(64, one.doorbells().free(0));
        }
        try (MpicDriver one = with(upper.interrupts(Board.sources(0xe4, 3).toArray(Wire[]::new)))) {
            assertEquals(96, one.doorbells().free(0), "one interrupt is missing");
        }
    }

    @Test
    @DisplayName("MPIC 5.5: ranges must be pairs, multiples of 32 and inside the bank; each source leads one way; "
        + "else EINVAL")
    void wrongRanges() {
        Node bank = Board.threeBanks().get(0);
        for (int[] cells : new int[][] {{0, 0x101}, {1, 0x20}, {0, 0x120}, {0xe0, 0x40}, {0x80000000, 0x20},
            {0, 0x20, 0, 0x20}, {0}}) {
            fails(Errno.EINVAL, () -> with(bank.with("msi-available-ranges", cells)));
        }
        fails(Errno.EINVAL, () -> with(bank.with("msi-available-ranges", new byte[7])));
        fails(Errno.EINVAL, () -> with(bank, bank));
    }

    @Test
    @DisplayName("MPIC 5.5: on 4.3 msi-available-ranges is ignored")
    void rangesIgnored() {
        try (MpicDriver one = with(Board.fourBanks().get(0).with("msi-available-ranges", 1, 2))) {
            assertEquals(512, one.doorbells().free(0));
        }
    }

    @Test
    @DisplayName("MPIC 5.3: version 2.0 swaps messages (erratum PIC1): it has no banks")
    void version2() {
        Board old = new Board(1, Board.threeBanks(), 0x0200);
        try (MpicDriver one = driver(old)) {
            assertEquals(List.of(), one.doorbells().banks());
        }
    }
}
