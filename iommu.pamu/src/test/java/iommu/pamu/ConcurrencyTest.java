// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.unit.PamuModel;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/** Devices at work while windows come and go. Guard bytes lie wherever a torn entry would lead. */
class ConcurrencyTest {
    private static final int WINDOW = 0x1000;
    private static final long RUN = 1_200_000_000L;

    private final Board board = new Board(1, PamuModel.DEFAULT);

    @Test
    @DisplayName("PAMU: after unmap returns no write lands; what was never mapped is never touched (P1, P3)")
    void drain() throws InterruptedException {
        int windows = 16;
        // Targets in two far regions that differ in TWBAH and TWBAL, each target page between two guard pages.
        long[] regions = {0x1_0000_0000L, 0x2_1000_0000L};
        List<DmaBuffer> targets = new ArrayList<>();
        for (int i = 0; i < 2 * windows; i++) {
            targets.add(board.machine.memory().allocateAt(regions[i & 1] + i * 0x3000L + WINDOW, WINDOW));
        }
        IommuDomain domain = board.driver().open();
        domain.set(new Geometry(0, (long) windows * WINDOW));
        domain.set(new Windows(windows));
        domain.attach(Board.at(1));
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong landed = new AtomicLong();
        Thread[] devices = new Thread[2];
        for (int d = 0; d < devices.length; d++) {
            DmaPort port = board.port(1);
            int seed = d;
            devices[d] = new Thread(() -> {
                Random random = new Random(seed);
                byte[] block = new byte[64];
                Arrays.fill(block, (byte) 0x5a);
                while (!stop.get()) {
                    long iova = random.nextInt(windows) * (long) WINDOW + 64 * random.nextInt(64);
                    if (port.write(iova, block, 0, 64) == Bus.OK) {
                        landed.incrementAndGet();
                    }
                }
            });
            devices[d].start();
        }
        Random random = new Random(7);
        DmaBuffer[] behind = new DmaBuffer[windows];
        byte[] page = new byte[WINDOW];
        int unmapped = 0;
        try {
            for (long end = System.nanoTime() + RUN; goOn(end, unmapped > 100 && landed.get() > 1000); ) {
                int i = random.nextInt(windows);
                if (behind[i] == null) {
                    behind[i] = targets.get(2 * i + random.nextInt(2));
                    domain.map((long) i * WINDOW, behind[i], 0, WINDOW, Access.WRITE);
                } else {
                    assertEquals(WINDOW, domain.unmap((long) i * WINDOW, WINDOW));
                    behind[i].write(0, new byte[WINDOW], 0, WINDOW);
                    for (int look = 0; look < 3; look++) {
                        behind[i].read(0, page, 0, WINDOW);
                        for (byte b : page) {
                            assertEquals(0, b, "a write landed after unmap had returned");
                        }
                    }
                    behind[i] = null;
                    unmapped++;
                }
            }
        } finally {
            stop.set(true);
            for (Thread device : devices) {
                device.join();
            }
        }
        assertTrue(landed.get() > 1000, landed + " writes landed");
        assertTrue(unmapped > 100, unmapped + " unmapped");
        for (long at = 0; at < WINDOW; at += 8) {
            assertEquals(0, board.bus.read(at, 8), "where an entry leads whose address is not written yet");
        }
        for (long region : regions) {
            for (long at = region; at < region + 2 * windows * 0x3000L; at += 8) {
                long value = board.bus.read(at, 8);
                boolean target = (at - region) % 0x3000 / 0x1000 == 1
                    && ((at - region) / 0x3000 & 1) == (region == regions[0] ? 0 : 1);
                assertTrue(value == 0 || target, String.format("guard at 0x%x holds 0x%x", at, value));
            }
        }
    }

    /** Until the time is up and enough has happened, which takes longer on a busy machine; a minute at most. */
    private static boolean goOn(long end, boolean enough) {
        long late = System.nanoTime() - end;
        return late < 0 || !enough && late < 60_000_000_000L;
    }

    @Test
    @DisplayName("PAMU: an access that does not end keeps nothing of other domains, and leaves its own as it was")
    void endless() throws InterruptedException {
        Board impatient = new Board(1, PamuModel.DEFAULT, Duration.ofMillis(200));
        PamuDriver driver = impatient.driver();
        IommuDomain stuck = domain(driver, impatient, 1);
        IommuDomain other = domain(driver, impatient, 2);
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        impatient.machine.onFault(fault -> {
            inside.countDown();
            try {
                assertTrue(go.await(20, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        });
        DmaPort port = impatient.port(1);
        Thread device = new Thread(() -> port.write(8 * WINDOW, 4, 1));
        device.start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        long[] before = {stuck.lookup(0, Access.WRITE), stuck.lookup(WINDOW, Access.WRITE),
            stuck.lookup(2 * WINDOW, Access.READ)};
        timesOut(() -> stuck.unmap(0, 3 * WINDOW));
        timesOut(() -> stuck.unmap(WINDOW, WINDOW));
        timesOut(() -> stuck.set(new Enable(false)));
        timesOut(() -> stuck.detach(Board.at(1)));
        timesOut(stuck::close);
        assertArrayEquals(before, new long[] {stuck.lookup(0, Access.WRITE), stuck.lookup(WINDOW, Access.WRITE),
            stuck.lookup(2 * WINDOW, Access.READ)});
        assertEquals(new Enable(true), stuck.get(Enable.class));
        assertEquals(Bus.OK, impatient.port(1).write(WINDOW, 4, 7));
        assertEquals(WINDOW, other.unmap(WINDOW, WINDOW));
        other.set(new Enable(false));
        other.close();
        go.countDown();
        device.join();
        assertEquals(3 * WINDOW, stuck.unmap(0, 3 * WINDOW));
        stuck.close();
    }

    @Test
    @DisplayName("PAMU: a driver that is closed under an access that does not end keeps its tables; another one can "
        + "start")
    void endlessAtTheEnd() throws InterruptedException {
        Board impatient = new Board(1, PamuModel.DEFAULT, Duration.ofMillis(200));
        PamuDriver driver = impatient.driver();
        IommuDomain stuck = domain(driver, impatient, 1);
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        impatient.machine.onFault(fault -> {
            inside.countDown();
            try {
                assertTrue(go.await(20, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
        });
        DmaPort port = impatient.port(1);
        Thread device = new Thread(() -> port.write(8 * WINDOW, 4, 1));
        device.start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        timesOut(driver::close);
        timesOut(stuck::close);
        PamuDriver next = impatient.driver();
        IommuDomain fresh = domain(next, impatient, 2);
        assertEquals(Bus.OK, impatient.port(2).write(WINDOW, 4, 7));
        fresh.close();
        go.countDown();
        device.join();
        stuck.close();
        next.close();
    }

    @Test
    @DisplayName("P3: close of the driver or of a domain, detach, unmap and Enable(false) block first, then return "
        + "when what was let through has left")
    void waitsForWhatIsUnderWay() throws Exception {
        record Way(String name, int answer, Consumer<IommuDomain> end) {
        }
        PamuDriver[] driver = new PamuDriver[1];
        List<Way> ways = List.of(
            new Way("unmap", Refusal.UNMAPPED, domain -> domain.unmap(WINDOW, WINDOW)),
            new Way("enable", Refusal.NO_REQUESTER, domain -> domain.set(new Enable(false))),
            new Way("detach", Refusal.NO_REQUESTER, domain -> domain.detach(Board.at(1))),
            new Way("close", Refusal.NO_REQUESTER, IommuDomain::close),
            new Way("the driver's close", Refusal.BLOCKED, domain -> driver[0].close()));
        for (Way way : ways) {
            Board one = new Board(1, PamuModel.DEFAULT);
            driver[0] = one.driver();
            CountDownLatch inside = new CountDownLatch(1);
            CountDownLatch go = new CountDownLatch(1);
            one.bus.attach(0xf_f000_0000L, WINDOW, new Mmio() {
                @Override
                public long read(long offset, int size) {
                    return 0;
                }

                @Override
                public void write(int requester, long offset, int size, long value) {
                    inside.countDown();
                    try {
                        assertTrue(go.await(20, TimeUnit.SECONDS));
                    } catch (InterruptedException e) {
                        throw new AssertionError(e);
                    }
                }
            });
            IommuDomain domain = driver[0].open();
            domain.set(new Geometry(0, 8 * WINDOW));
            domain.set(new Windows(8));
            domain.attach(Board.at(1));
            domain.mapDoorbell(0, 0xf_f000_0000L, WINDOW);
            domain.mapDoorbell(WINDOW, 0xf_f000_0000L, WINDOW);
            DmaPort port = one.port(1);
            Thread device = new Thread(() -> port.write(WINDOW, 4, 1));
            device.start();
            assertTrue(inside.await(20, TimeUnit.SECONDS));
            Thread core = new Thread(() -> way.end.accept(domain));
            core.start();
            while (core.isAlive() && core.getState() != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
            }
            assertTrue(core.isAlive(), way.name + " returned while the access was under way");
            assertEquals(way.answer, one.write(1, WINDOW), way.name + " lets others through while it waits");
            go.countDown();
            core.join();
            device.join();
        }
    }

    /** Windows 0 to 2 are mapped for a LIODN. */
    private static IommuDomain domain(PamuDriver driver, Board board, int liodn) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 8 * WINDOW));
        domain.set(new Windows(8));
        domain.map(0, board.machine.memory().allocate(3 * WINDOW, 4 * WINDOW, DmaMemory.Layout.CONTIGUOUS), 0,
            3 * WINDOW, Access.READ_WRITE);
        domain.attach(Board.at(liodn));
        return domain;
    }

    private static void timesOut(Executable call) {
        assertEquals(Errno.ETIMEDOUT, assertThrows(ErrnoException.class, call).errno());
    }

    @Test
    @DisplayName("PAMU: an entry rewritten word by word, V down, sync, words, V up, never leads a device astray")
    void torn() throws InterruptedException {
        IommuDomain domain = board.driver().open();
        domain.set(new Geometry(0, 0x4000));
        domain.set(new Windows(2));
        domain.attach(Board.at(1));
        domain.mapDoorbell(0, 0x1_0000_0000L, 0x2000);
        domain.mapDoorbell(0x2000, 0x1_0000_0000L, 0x2000);
        long entry = board.register64(0, 0x10);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong good = new AtomicLong();
        DmaPort port = board.port(1);
        Thread device = new Thread(() -> {
            while (!stop.get()) {
                if (port.write(0x2010, 8, -1) == Bus.OK) {
                    good.incrementAndGet();
                }
            }
        });
        device.start();
        for (long end = System.nanoTime() + RUN / 2; goOn(end,
            good.get() > 1000 && board.bus.read(0x1_0000_0010L, 8) == -1
                && board.bus.read(0x3_2000_0010L, 8) == -1); ) {
            for (int side = 0; side < 2; side++) {
                board.word(entry + 4, 0x0001_0012);
                board.bus.sync();
                board.word(entry + 0x10, side == 0 ? 3 : 1);
                Thread.onSpinWait();
                board.word(entry + 0x14, side == 0 ? 0x2000_0300 : 0x0000_0300);
                board.word(entry + 4, 0x0001_0013);
                for (int i = 0; i < 20; i++) {
                    Thread.onSpinWait();
                }
            }
        }
        stop.set(true);
        device.join();
        assertEquals(-1, board.bus.read(0x1_0000_0010L, 8));
        assertEquals(-1, board.bus.read(0x3_2000_0010L, 8));
        assertEquals(0, board.bus.read(0x1_2000_0010L, 8), "old TWBAH, new TWBAL");
        assertEquals(0, board.bus.read(0x3_0000_0010L, 8), "new TWBAH, old TWBAL");
        assertTrue(good.get() > 1000, good + " written");
    }

    @Test
    @DisplayName("PAMU: requesters that come and go under load reach their domain's memory or nothing")
    void attachDetach() throws InterruptedException {
        PamuDriver driver = board.driver();
        DmaBuffer[] memory = new DmaBuffer[2];
        IommuDomain[] domains = new IommuDomain[2];
        for (int i = 0; i < 2; i++) {
            memory[i] = board.machine.memory().allocateAt(0x1_0000_0000L + i * 0x1_0000_0000L, WINDOW);
            domains[i] = driver.open();
            domains[i].set(new Geometry(0, (long) WINDOW << i));
            domains[i].set(new Windows(1 + i));
            domains[i].map(0, memory[i], 0, WINDOW, Access.WRITE);
        }
        long end = System.nanoTime() + RUN;
        AtomicBoolean stop = new AtomicBoolean();
        AtomicLong landed = new AtomicLong();
        Thread[] devices = new Thread[2];
        for (int d = 0; d < devices.length; d++) {
            DmaPort port = board.port(1);
            byte[] ones = new byte[WINDOW];
            Arrays.fill(ones, (byte) -1);
            devices[d] = new Thread(() -> {
                while (!stop.get()) {
                    if (port.write(0, ones, 0, ones.length) == Bus.OK) {
                        landed.incrementAndGet();
                    }
                }
            });
            devices[d].start();
        }
        try {
            for (int i = 0; landed.get() < 1000 || System.nanoTime() < end; i = 1 - i) {
                domains[i].attach(Board.at(1));
                for (int spin = 0; spin < 50; spin++) {
                    Thread.onSpinWait();
                }
                domains[i].detach(Board.at(1));
                long word = memory[i].physical(WINDOW - 8);
                board.bus.write(word, 8, 0);
                for (int look = 0; look < 20; look++) {
                    assertEquals(0, board.bus.read(word, 8), "a write landed after detach had returned");
                }
            }
        } finally {
            stop.set(true);
            for (Thread device : devices) {
                device.join();
            }
        }
        assertTrue(landed.get() >= 1000, landed + " writes landed");
    }
}
