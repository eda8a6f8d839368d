// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.table.Paace;
import iommu.pamu.table.Registers;
import iommu.pamu.unit.PamuModel;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Random;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.TranslationUnit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** PAMU: PPCC, SPCC, OCE: the caches are coherent by snooping; a store to an entry is all that software does. */
class SnoopedCacheTest {
    private static final int WINDOWS = 4;
    private static final long WINDOW = 0x1_0000;
    private static final int[] LIODNS = {1, 2, 7};

    private final Board board = new Board(2, PamuModel.DEFAULT);
    private final PamuDriver driver = board.driver();
    private final TranslationUnit cached = board.pamu(0);
    /** The same tables, and PC without a cache bit. */
    private final TranslationUnit uncached = board.pamu(1);
    private final long primaries = board.register64(0, Registers.PPBA);
    private final long secondaries = board.register64(0, Registers.SPBA);
    private final long operations = board.register64(0, Registers.OBA);

    private void domains() {
        board.register(1, Registers.PC, Registers.PC_ENABLE);
        for (int liodn : LIODNS) {
            IommuDomain domain = driver.open();
            domain.set(new Geometry(0, WINDOWS * WINDOW));
            domain.set(new Windows(liodn == 7 ? 1 : WINDOWS));
            domain.attach(Board.at(liodn));
            long size = liodn == 7 ? WINDOWS * WINDOW : WINDOW;
            DmaBuffer buffer = board.machine.memory().allocate(size, size, DmaMemory.Layout.CONTIGUOUS);
            for (long iova = 0; iova < WINDOWS * WINDOW; iova += size) {
                domain.map(iova, buffer, 0, size, Access.READ_WRITE);
            }
        }
    }

    private void compare(String after) {
        for (int liodn : LIODNS) {
            for (long iova = 0; iova < (WINDOWS + 1) * WINDOW; iova += WINDOW / 2) {
                for (int access = Access.READ; access <= Access.READ_WRITE; access++) {
                    long expected = uncached.translate(liodn, iova, 4, access);
                    String what = String.format("LIODN %d, iova 0x%x, access %d, after %s", liodn, iova, access, after);
                    assertEquals(expected, cached.translate(liodn, iova, 4, access), what);
                    assertEquals(expected, cached.translate(liodn, iova, 4, access), what + ", again");
                }
            }
        }
    }

    @Test
    @DisplayName("PAMU: whoever stores whatever into an entry, cached and uncached lookups agree afterwards "
        + "(-Dgantry.seed)")
    void randomStores() {
        long seed = Long.getLong("gantry.seed", System.nanoTime());
        System.out.println("SnoopedCacheTest.randomStores -Dgantry.seed=" + seed);
        Random random = new Random(seed);
        domains();
        compare("mapping");
        DmaPort port = board.machine.openPort(new Requester(9, Board.path(1), 0));
        for (int step = 0; step < 400; step++) {
            long entry = random.nextBoolean() ? primaries + 64L * LIODNS[random.nextInt(LIODNS.length)]
                : random.nextInt(8) == 0 ? operations + 128L * random.nextInt(2)
                    : secondaries + 64L * random.nextInt(2 * (WINDOWS - 1));
            long at = entry + random.nextInt(32);
            byte[] old = new byte[8];
            board.bus.read(at, old, 0, 8);
            byte[] changed = old.clone();
            for (int flips = 1 + random.nextInt(2); flips > 0; flips--) {
                changed[random.nextInt(8)] ^= (byte) (1 << random.nextInt(8));
            }
            String what = String.format("step %d, a store at 0x%x (-Dgantry.seed=%d)", step, at, seed);
            store(port, random.nextInt(4), at, changed);
            compare(what);
            store(port, random.nextInt(4), at, old);
            compare(what + " that was taken back");
        }
        for (int liodn : LIODNS) {
            assertTrue(cached.translate(liodn, 0x40, 4, Access.WRITE) >= 0, "everything was refused all the time");
        }
        port.close();
    }

    @Test
    @DisplayName("PAMU: an access that begins after a store was seen is not served what was cached before, while "
        + "others fill the caches")
    void storesUnderFire() throws InterruptedException {
        domains();
        long pair = secondaries + Paace.TRANSLATED;
        long first = board.bus.read(pair, 8);
        AtomicBoolean stop = new AtomicBoolean();
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread[] devices = new Thread[2];
        for (int i = 0; i < devices.length; i++) {
            long iova = WINDOW + 0x40 * i;
            devices[i] = new Thread(() -> {
                try {
                    while (!stop.get()) {
                        long seen = physical(board.bus.read(pair, 8));
                        long found = cached.translate(1, iova, 4, Access.WRITE);
                        long served = found - iova + WINDOW;
                        assertTrue(found == Refusal.UNMAPPED || served >= seen,
                            () -> String.format("served 0x%x after 0x%x was seen", served, seen));
                    }
                } catch (Throwable e) {
                    failure.compareAndSet(null, e);
                }
            });
            devices[i].start();
        }
        try {
            long end = System.nanoTime() + 1_200_000_000L;
            for (long to = physical(first); System.nanoTime() < end && failure.get() == null; to += 0x1000) {
                board.bus.write(pair, 8, Long.reverseBytes(Paace.translated(to, WINDOW)));
                int round = (int) (to >>> 12);
                if ((round & 1) == 0) {
                    assertEquals(to + 0x80, cached.translate(1, WINDOW + 0x80, 4, Access.WRITE),
                        "the one who stored is served old words");
                }
                for (int i = round & 0x1e; i > 0; i--) {
                    Thread.onSpinWait();
                }
                if ((round & 1) != 0) {
                    // While the devices are about to look it up and to keep it.
                    withdrawn(secondaries);
                }
            }
        } finally {
            stop.set(true);
            for (Thread device : devices) {
                device.join();
            }
        }
        assertNull(failure.get(), () -> String.valueOf(failure.get()));
    }

    /** V is clear for a while. */
    private void withdrawn(long entry) {
        long words = board.bus.read(entry, 8);
        board.bus.write(entry, 8, Long.reverseBytes(Long.reverseBytes(words) & ~Paace.VALID));
        for (int look = 0; look < 20; look++) {
            assertEquals(Refusal.UNMAPPED, cached.translate(1, WINDOW + 0x80, 4, Access.WRITE),
                "served while V is clear");
        }
        board.bus.write(entry, 8, words);
    }

    @Test
    @DisplayName("PAMU: a cached window remembers which operations its mapping lets through, by either kind of mapping")
    void operations() {
        domains();
        long attributes = primaries + 64L * LIODNS[2] + Paace.ATTRIBUTES;
        long word3 = board.bus.read(attributes, 8);
        long word7 = primaries + 64L * LIODNS[2] + Paace.INDEX + 4;
        board.word(attributes + 4, board.word(attributes + 4) | Paace.OPERATION_IMMEDIATE);
        board.word(word7, 0x81_81_00_00);
        compare("letting writes through, not reads");
        assertEquals(Refusal.UNSUPPORTED, cached.translate(LIODNS[2], 0x40, 4, Access.READ));
        assertTrue(cached.translate(LIODNS[2], 0x40, 4, Access.WRITE) >= 0);
        assertEquals(Refusal.UNSUPPORTED, cached.translate(LIODNS[2], 0x40, 4, Access.READ));
        board.bus.write(attributes, 8, word3);
        board.word(attributes + 4, board.word(attributes + 4) | Paace.OPERATION_INDEXED);
        board.word(word7, 5);
        board.bus.write(operations + 5 * 128, 1, 0x80);
        compare("letting reads through, not writes");
        assertTrue(cached.translate(LIODNS[2], 0x40, 4, Access.READ) >= 0);
        assertEquals(Refusal.UNSUPPORTED, cached.translate(LIODNS[2], 0x40, 4, Access.WRITE));
    }

    @Test
    @DisplayName("PAMU: behind a new base or a closed gate nothing of what was cached is served")
    void registers() {
        domains();
        assertTrue(cached.translate(1, 0x40, 4, Access.WRITE) >= 0);
        int control = board.register(0, Registers.PC);
        board.register(0, Registers.PC, control | Registers.PC_GATE_CLOSED);
        assertEquals(Refusal.BLOCKED, cached.translate(1, 0x40, 4, Access.WRITE));
        board.register(0, Registers.PC, control);
        assertTrue(cached.translate(1, 0x40, 4, Access.WRITE) >= 0);
        board.register(0, Registers.PPBA + 4, (int) primaries + 0x40);
        assertEquals(uncached.translate(2, 0x40, 4, Access.WRITE), cached.translate(1, 0x40, 4, Access.WRITE));
        board.register(0, Registers.PPBA + 4, (int) primaries);
        assertTrue(cached.translate(1, 0x40, 4, Access.WRITE) >= 0);
    }

    @Test
    @DisplayName("P1: a cached window is served from its first byte to its last, and an access that leaves it is not")
    void ends() {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 8 * 0x1000));
        domain.set(new Windows(8));
        domain.attach(Board.at(3));
        DmaBuffer buffer = board.machine.memory().allocate(0x1000, 0x1000, DmaMemory.Layout.CONTIGUOUS);
        domain.map(0x1000, buffer, 0, 0x1000, Access.READ_WRITE);
        domain.map(0x3000, buffer, 0, 0x1000, Access.READ_WRITE);
        for (int pass = 0; pass < 3; pass++) {
            assertEquals(buffer.physical(0), cached.translate(3, 0x1000, 1, Access.WRITE));
            assertEquals(buffer.physical(0xfff), cached.translate(3, 0x1fff, 1, Access.WRITE));
            assertEquals(buffer.physical(0xff8), cached.translate(3, 0x1ff8, 8, Access.WRITE));
            assertEquals(Refusal.UNMAPPED, cached.translate(3, 0x1ff9, 8, Access.WRITE));
            assertEquals(Refusal.UNMAPPED, cached.translate(3, 0x2000, 1, Access.WRITE));
            assertEquals(Refusal.UNMAPPED, cached.translate(3, 0x0fff, 1, Access.WRITE));
            assertEquals(buffer.physical(0), cached.translate(3, 0x3000, 1, Access.WRITE));
            assertEquals(Refusal.UNMAPPED, cached.translate(3, 0x2fff, 1, Access.WRITE));
            assertEquals(Refusal.OUTSIDE, cached.translate(3, 8 * 0x1000, 1, Access.WRITE));
        }
    }

    private static long physical(long words) {
        return Long.reverseBytes(words) & Paace.BASE;
    }

    private void store(DmaPort port, int how, long at, byte[] bytes) {
        switch (how) {
            case 0 -> board.bus.write(Bus.CPU, at, bytes, 0, 8);
            case 1 -> {
                for (int i = 0; i < 8; i++) {
                    board.bus.write(at + i, 1, bytes[i]);
                }
            }
            case 2 -> board.bus.write(at, 8, ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).getLong());
            default -> {
                // A device that may write the tables, because PAMU 1 is bypassed meanwhile.
                board.word(Board.BYPASS, board.word(Board.BYPASS) | Registers.bypassBit(1));
                assertEquals(Bus.OK, port.write(at, bytes, 0, 8));
                board.word(Board.BYPASS, board.word(Board.BYPASS) & ~Registers.bypassBit(1));
            }
        }
    }
}
