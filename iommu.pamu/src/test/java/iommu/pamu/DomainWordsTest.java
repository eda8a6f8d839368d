// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Violation;
import iommu.api.Windows;
import iommu.pamu.table.Paace;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Mmio;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.function.Executable;

/**
 * What lies in memory for a domain, word by word, when an operation is refused, fails, or comes after one that failed.
 */
class DomainWordsTest {
    private static final int RW = Access.READ_WRITE;

    private final Board board = new Board();
    private final DmaBuffer buffer = board.machine.memory().allocate(1 << 20, 1 << 20, Layout.CONTIGUOUS);
    /** Of the driver's accesses: how many go through before one fails; negative for never. */
    private int left = -1;
    /** How many fail then, one after the other. */
    private int failures;
    /** Runs instead of the first access that fails. */
    private Runnable meanwhile = () -> {
    };

    private final PamuDriver driver = new PamuDriver(machine(), board.node, new PamuSettings(ViolationPolicy.DISABLE));

    private Machine machine() {
        Bus bus = through(Bus.class, board.bus, method -> {
            if (left == 0 && failures > 0) {
                failures--;
                Runnable now = meanwhile;
                meanwhile = () -> {
                };
                int pause = failures;
                failures = 0;
                now.run();
                failures = pause;
                throw new NoClassDefFoundError("at an access");
            }
            left -= left > 0 ? 1 : 0;
            return Optional.empty();
        });
        return through(Machine.class, board.machine,
            method -> method.equals("bus") ? Optional.of(bus) : Optional.empty());
    }

    private interface Answer {
        Optional<Object> instead(String method);
    }

    private static <T> T through(Class<T> type, T to, Answer answer) {
        return type
            .cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
            Optional<Object> other = answer.instead(method.getName());
            if (other.isPresent()) {
                return other.get();
            }
            try {
                return method.invoke(to, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        }));
    }

    private void fail(int after, int times) {
        left = after;
        failures = times;
    }

    private static void refused(Errno errno, String hint, Executable operation) {
        ErrnoException e = assertThrows(ErrnoException.class, operation);
        assertEquals(errno, e.errno(), e.getMessage());
        assertTrue(e.getMessage().contains(hint), e.getMessage());
    }

    private IommuDomain domain(long start, long window, int windows) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(start, window * windows));
        domain.set(new Windows(windows));
        return domain;
    }

    /**
     * All that lies in memory for LIODNs 1 to 3 and in the first secondary entries, and what the domain says of itself.
     */
    private String words(IommuDomain domain) {
        StringBuilder words = new StringBuilder();
        for (int liodn = 1; liodn <= 3; liodn++) {
            words.append("LIODN ").append(liodn).append(": ").append(board.primary(liodn)).append('\n');
        }
        for (int index = 0; index < 24; index++) {
            words.append(index).append(": ").append(board.secondary(index)).append('\n');
        }
        return words.append(domain.get(Geometry.class)).append(domain.get(Windows.class))
            .append(domain.get(Enable.class))
            .append(domain.get(Stash.class)).append(driver.tables().free()).toString();
    }

    /** An Error at the operation's first, second, third, ... access. */
    private void unchanged(IommuDomain domain, Runnable operation) {
        String before = words(domain);
        int number = 0;
        for (boolean failed = true; failed; number++) {
            fail(number, 1);
            try {
                operation.run();
                failed = false;
            } catch (NoClassDefFoundError e) {
                left = -1;
                assertEquals(before, words(domain), "after an Error at access " + number);
            }
            left = -1;
        }
        assertTrue(number > 1, "nothing was accessed");
    }

    @Test
    @DisplayName("PAMU: an Error at any access of a change of attributes leaves every word, every attribute and "
        + "every entry as it was")
    void attributes() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        unchanged(domain, () -> domain.set(new Windows(4)));
        unchanged(domain, () -> domain.set(new Windows(8)));
        unchanged(domain, () -> domain.set(new Geometry(0x10_0000, 0x10000)));
        domain.set(new Windows(2));
        domain.map(0x10_0000, buffer, 0, 0x8000, RW);
        unchanged(domain, () -> domain.set(new Stash(1, 1)));
        unchanged(domain, () -> domain.set(new Enable(false)));
        unchanged(domain, () -> domain.set(new Enable(true)));
        unchanged(domain, () -> domain.unmap(0x10_0000, 0x8000));
        assertEquals(new Windows(2), domain.get(Windows.class));
    }

    @Test
    @DisplayName("PAMU: an Error at any access of map and unmap leaves every word as it was, with other windows "
        + "mapped and with none")
    void mappings() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        unchanged(domain, () -> domain.map(0x2000, buffer, 0x2000, 0x2000, RW));
        unchanged(domain, () -> domain.map(0, buffer, 0, 0x2000, Access.READ));
        unchanged(domain, () -> domain.unmap(0x1000, 0x2000));
        unchanged(domain, () -> domain.unmap(0, 0x1000));
        unchanged(domain, () -> domain.unmap(0, 0x8000));
    }

    @Test
    @DisplayName("PAMU policy disable: Enable(true) that fails pardons nobody, and does not disable who was not")
    void noPardon() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.map(0, buffer, 0, 0x1000, RW);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        board.write(1, 0x5000);
        driver.violations();
        assertEquals(Refusal.NO_REQUESTER, board.write(1, 0));
        unchanged(domain, () -> domain.set(new Enable(true)));
        assertEquals(buffer.physical(0), board.write(1, 0));
        assertEquals(buffer.physical(0), board.write(2, 0));
    }

    @Test
    @DisplayName("PAMU: a new geometry erases the entries of who is attached; Enable(false) waits for what they have "
        + "in flight")
    void newGeometry() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.set(new Stash(1, 1));
        domain.set(new Geometry(0, 0x4000));
        assertEquals("00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000", board.primary(1));
    }

    /**
     * A map of window 5 for two requesters that comes to nothing, and leaves the first one's entry valid: it cannot be
     * undone either.
     */
    private DmaBuffer halfMapped(IommuDomain domain) {
        DmaBuffer lost = board.machine.memory().allocate(0x1000, 0x1000, Layout.CONTIGUOUS);
        fail(4, Integer.MAX_VALUE);
        assertThrows(NoClassDefFoundError.class, () -> domain.map(0x5000, lost, 0, 0x1000, RW));
        left = -1;
        assertEquals(lost.physical(0), board.read(1, 0x5000), "it could not be undone");
        return lost;
    }

    @Test
    @DisplayName("PAMU: whatever is asked of a domain first mends what could not be undone before")
    void mendedFirst() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.map(0, buffer, 0, 0x2000, RW);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        driver.change(PamuSettings.DEFAULT);
        List<Runnable> operations = List.of(() -> domain.set(new Stash(1, 1)),
            () -> domain.map(0x2000, buffer, 0x2000, 0x1000, RW), () -> domain.unmap(0x7000, 0x1000),
            () -> domain.lookup(0, Access.READ), () -> domain.attach(Board.at(3)), () -> domain.detach(Board.at(2)));
        for (Runnable operation : operations) {
            long free = board.machine.memory().available();
            DmaBuffer lost = halfMapped(domain);
            lost.close();
            operation.run();
            assertEquals(Refusal.UNMAPPED, board.read(1, 0x5000));
            assertEquals(free, board.machine.memory().available());
            assertEquals(buffer.physical(0), board.read(1, 0));
        }
    }

    @Test
    @DisplayName("PAMU: memory of a map that came to nothing is given back when the domain is closed, and when its "
        + "driver is")
    void givenBack() {
        long free = board.machine.memory().available();
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.map(0, buffer, 0, 0x1000, RW);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        halfMapped(domain).close();
        domain.close();
        assertEquals(free, board.machine.memory().available());
        IommuDomain orphan = domain(0, 0x1000, 8);
        orphan.map(0, buffer, 0, 0x1000, RW);
        orphan.attach(Board.at(1));
        orphan.attach(Board.at(2));
        halfMapped(orphan).close();
        driver.close();
        assertEquals(free + 0x80000, board.machine.memory().available(), "and the tables'");
    }

    @Test
    @DisplayName("PAMU: a buffer that is mapped belongs to its user: closed after unmap, its memory is back")
    void notKept() {
        IommuDomain domain = domain(0, 0x1000, 8);
        long free = board.machine.memory().available();
        DmaBuffer user = board.machine.memory().allocate(0x1000, 0x1000, Layout.CONTIGUOUS);
        domain.map(0, user, 0, 0x1000, RW);
        domain.unmap(0, 0x1000);
        user.close();
        assertEquals(free, board.machine.memory().available());
    }

    @Test
    @DisplayName("PAMU: a mended map waits for who was let through by its entry, before its memory is anybody's")
    void mendedWaits() throws InterruptedException {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.map(0, buffer, 0, 0x1000, RW);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch leave = new CountDownLatch(1);
        DmaBuffer lost = halfMapped(domain);
        board.bus.attach(Board.CCSR + 0x48000, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                inside.countDown();
                try {
                    leave.await(20, TimeUnit.SECONDS);
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }
        });
        // The entry that was left valid leads a device to a register that keeps it.
        board.word(board.register64(0, 0x10) + 64 * 4 + 16, (int) (Board.CCSR + 0x48000 >>> 32));
        board.word(board.register64(0, 0x10) + 64 * 4 + 20, (int) (Board.CCSR + 0x48000) | 11 << 6);
        Thread device = new Thread(() -> board.port(1).write(0x5000, 4, 1));
        device.start();
        assertTrue(inside.await(20, TimeUnit.SECONDS));
        Thread mends = new Thread(() -> domain.lookup(0, Access.READ));
        mends.start();
        while (mends.isAlive() && (mends.getState() == Thread.State.RUNNABLE || mends.getState() == Thread.State.NEW)) {
            Thread.onSpinWait();
        }
        assertTrue(mends.isAlive(), "it has not waited");
        leave.countDown();
        mends.join();
        device.join();
        lost.close();
    }

    @Test
    @DisplayName("PAMU: the entries of a window count that failed may be others' meanwhile: the count is unset, and "
        + "none is lost")
    void entriesTakenMeanwhile() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        IommuDomain[] others = new IommuDomain[20];
        int[] opened = new int[1];
        meanwhile = () -> {
            for (int windows = 256; windows > 1; windows /= 2) {
                try {
                    for (;;) {
                        others[opened[0]] = domain(0, 0x1000, windows);
                        opened[0]++;
                    }
                } catch (ErrnoException e) {
                    assertEquals(Errno.ENOSPC, e.errno());
                }
            }
        };
        fail(2, 1);
        assertThrows(NoClassDefFoundError.class, () -> domain.set(new Windows(2)));
        left = -1;
        assertEquals(new Windows(0), domain.get(Windows.class));
        assertEquals("00000000 00000000 00000000 00000000 00000000 00000000 00000000 00000000", board.primary(1));
        for (int i = 0; i < opened[0]; i++) {
            others[i].close();
        }
        assertEquals(PamuTables.SECONDARIES, driver.tables().free());
        domain.set(new Windows(8));
        domain.map(0x7000, buffer, 0, 0x1000, RW);
        assertEquals(buffer.physical(0), board.read(1, 0x7000));
    }

    @Test
    @DisplayName("PAMU: entries of a domain that is closed are others', those of the first domain too; a stash id "
        + "stays within its own")
    void neighbours() {
        IommuDomain first = domain(0, 0x1000, 8);
        IommuDomain second = domain(0, 0x1000, 8);
        second.map(0x1000, buffer, 0, 0x1000, RW);
        String before = board.secondary(7);
        first.set(new Stash(1, 1));
        assertEquals(before, board.secondary(7), "window 1 of the second domain");
        first.close();
        second.close();
        assertEquals(PamuTables.SECONDARIES, driver.tables().free());
    }

    @Test
    @DisplayName("PAMU: SPAACT entries are given out to the last, a hole is used when it fits to the entry, and "
        + "ENOSPC counts what is free")
    void ranges() {
        PamuTables tables = new PamuTables(board.machine);
        assertEquals(0, tables.take(3));
        assertEquals(3, tables.take(5));
        tables.give(0, 3);
        assertEquals(8, tables.take(4), "no room for four before");
        assertEquals(0, tables.take(3));
        assertEquals(12, tables.take(PamuTables.SECONDARIES - 12));
        assertEquals(0, tables.free());
        assertEquals(-1, tables.take(1));
        tables.give(20, 2);
        assertEquals(2, tables.free());
        assertEquals(-1, tables.take(3));
        assertEquals(20, tables.take(2));
        tables.close();
    }

    @Test
    @DisplayName("PAMU: a doorbell over several windows goes on in the next one, to the end of the 36-bit space and "
        + "not beyond")
    void doorbells() {
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.mapDoorbell(0x2000, 0x5000_4000L, 0x3000);
        assertEquals(0x5000_6010L, board.write(1, 0x4010));
        domain.mapDoorbell(0x7000, 0xf_ffff_f000L, 0x1000);
        assertEquals(0xf_ffff_fffcL, board.write(1, 0x7ffc));
        refused(Errno.EINVAL, "36-bit", () -> domain.mapDoorbell(0, 0xf_ffff_f000L, 0x2000));
        refused(Errno.EINVAL, "36-bit", () -> domain.mapDoorbell(0, -0x1000, 0x1000));
    }

    @Test
    @DisplayName("PAMU: memory behind a window is looked at from the mapping's own offset on: EFAULT for a gap "
        + "there, none for one before")
    void contiguousFromOffset() {
        DmaBuffer scattered = board.machine.memory().allocate(0x4000, 0x1000, Layout.SCATTERED);
        IommuDomain domain = domain(0, 0x1000, 8);
        domain.attach(Board.at(1));
        domain.map(0x1000, scattered, 0x2000, 0x2000, RW);
        assertEquals(scattered.physical(0x2000), board.read(1, 0x1000));
        assertEquals(scattered.physical(0x3000), board.read(1, 0x2000));
        IommuDomain wide = domain(0, 0x2000, 2);
        long gap = scattered.physical(0x2000) + 0x1000 == scattered.physical(0x3000) ? 0x1000 : 0x2000;
        refused(Errno.EFAULT, "contiguous", () -> wide.map(0, scattered, gap, 0x2000, RW));
    }

    @Test
    @DisplayName("PAMU: an unmap that takes one byte of a mapping, its first, its last or one of another window, is "
        + "EINVAL, and none outside")
    void oneByte() {
        IommuDomain domain = domain(0x10000, 0x1000, 4);
        domain.map(0x10000, buffer, 0, 0x4000, RW);
        for (long[] cut : new long[][] {{0xf000, 0x1001}, {0x13fff, 1}, {0x13fff, 0x1001}, {0x11fff, 1},
            {0x11000, 1}, {0x10800, 0x1000}}) {
            refused(Errno.EINVAL, "whole windows", () -> domain.unmap(cut[0], cut[1]));
        }
        assertEquals(0, domain.unmap(0xf000, 0x1000));
        assertEquals(0, domain.unmap(0x14000, 0x1000));
        assertEquals(0, domain.unmap(0x20000, 1));
        assertEquals(0x1000, domain.unmap(0x13000, 0x1000));
        assertEquals(0x3000, domain.unmap(0xf000, 0x4000));
    }

    @Test
    @DisplayName("PAMU: lookup tells what no device could use: two requesters whose tables disagree, entries that "
        + "are nobody's or not there")
    void lookupMalformed() {
        IommuDomain domain = domain(0, 0x1000, 4);
        domain.map(0, buffer, 0, 0x4000, RW);
        domain.attach(Board.at(1));
        domain.attach(Board.at(2));
        assertEquals(buffer.physical(0x1000), domain.lookup(0x1000, Access.READ));
        // Window 1 of LIODN 2 is the fourth secondary entry.
        long entry = board.register64(0, 0x10) + 64 * 3;
        int translated = board.word(entry + 20);
        board.word(entry + 20, translated ^ 0x1_0000);
        assertEquals(Refusal.MALFORMED, domain.lookup(0x1000, Access.READ));
        board.word(entry + 20, translated);
        int word1 = board.word(entry + 4);
        board.word(entry + 4, word1 & ~Paace.SECONDARY);
        assertEquals(Refusal.MALFORMED, domain.lookup(0x1000, Access.READ), "PT is 0: a primary entry");
        board.word(entry + 4, word1 ^ 0x10000);
        assertEquals(Refusal.MALFORMED, domain.lookup(0x1000, Access.READ), "another LIODN's");
        board.word(entry + 4, word1);
        assertEquals(buffer.physical(0x1000), domain.lookup(0x1000, Access.READ));
        board.word(board.register64(0, 0x00) + 64 * 2 + 24, PamuTables.SECONDARIES - 1);
        assertEquals(Refusal.MALFORMED, domain.lookup(0x2000, Access.READ), "beyond the SPAACT");
    }

    @Test
    @DisplayName("PAMU: records read while requesters change hands are kept for who asks next, the first 64")
    void earlyRecords() {
        IommuDomain domain = domain(0, 0x1000, 4);
        for (int i = 0; i < 70; i++) {
            board.write(100 + i, 0);
            domain.attach(Board.at(1));
            domain.detach(Board.at(1));
        }
        List<Violation> records = driver.violations();
        assertEquals(64, records.size());
        assertEquals(100, records.get(0).requester());
        assertEquals(163, records.get(63).requester());
        assertEquals(List.of(), driver.violations());
    }
}
