// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Enable;
import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Stash;
import iommu.api.Windows;
import iommu.pamu.table.Registers;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import machine.api.Access;
import machine.api.Attachment;
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

/**
 * A domain's life, again and again, with an Error out of the first, second, third, ... access of the driver to tables
 * and registers: what threw has changed nothing, works when it is asked once more, and no entry and no memory is lost.
 */
class EveryAccessTest {
    private static final int RW = Access.READ_WRITE;

    /** Throws at so many accesses in a row, before or after they have had their effect. */
    private static class Trap implements Bus {
        private final Bus bus;
        private final boolean after;
        private long left = -1;
        private int times;
        private boolean sprung;

        Trap(Bus bus, boolean after, int times) {
            this.bus = bus;
            this.after = after;
            this.times = times;
        }

        private boolean now() {
            if (left < 0 || left > 0 && left-- > 0 || times == 0) {
                return false;
            }
            times--;
            sprung = true;
            if (!after) {
                throw new NoClassDefFoundError("at an access");
            }
            return true;
        }

        private static void end(boolean now) {
            if (now) {
                throw new NoClassDefFoundError("after an access");
            }
        }

        @Override
        public long read(long physical, int size) {
            boolean now = now();
            long value = bus.read(physical, size);
            end(now);
            return value;
        }

        @Override
        public int write(int requester, long physical, int size, long value) {
            boolean now = now();
            int status = bus.write(requester, physical, size, value);
            end(now);
            return status;
        }

        @Override
        public int read(long physical, byte[] to, int offset, int length) {
            return bus.read(physical, to, offset, length);
        }

        @Override
        public int write(int requester, long physical, byte[] from, int offset, int length) {
            return bus.write(requester, physical, from, offset, length);
        }

        @Override
        public void sync() {
            boolean now = now();
            bus.sync();
            end(now);
        }

        @Override
        public Attachment attach(long physical, long size, Mmio window) {
            return bus.attach(physical, size, window);
        }
    }

    private static Machine through(Machine machine, Bus bus) {
        Class<?>[] what = {Machine.class};
        return (Machine) Proxy.newProxyInstance(Machine.class.getClassLoader(), what, (proxy, method, arguments) -> {
            if (method.getName().equals("bus")) {
                return bus;
            }
            try {
                return method.invoke(machine, arguments);
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        });
    }

    /** A board, a driver behind a trap, and two domains. */
    private static final class Life {
        final Board board = new Board();
        final Trap trap;
        final boolean single;
        final DmaBuffer buffer = board.machine.memory().allocate(0x10000, 0x10000, Layout.CONTIGUOUS);
        final long start = board.machine.memory().available();
        final PamuDriver driver;
        final IommuDomain domain;
        final IommuDomain other;

        Life(boolean after, int times) {
            trap = new Trap(board.bus, after, times);
            single = times == 1;
            driver = new PamuDriver(through(board.machine, trap), board.node, PamuSettings.DEFAULT);
            domain = driver.open();
            other = driver.open();
        }

        /** Takes a step, and once more as often as it throws; in between nothing has changed for a device. */
        void insist(Runnable step) {
            String before = seen();
            for (;;) {
                try {
                    step.run();
                    return;
                } catch (NoClassDefFoundError e) {
                    if (single) {
                        assertEquals(before, seen(), "what threw has changed nothing");
                    }
                }
            }
        }

        private void insistAnyway(Runnable step) {
            for (;;) {
                try {
                    step.run();
                    return;
                } catch (NoClassDefFoundError e) {
                    assertTrue(trap.sprung);
                }
            }
        }

        /** What devices reach, and what the domains say. */
        String seen() {
            StringBuilder seen = new StringBuilder();
            for (int liodn = 1; liodn <= 3; liodn++) {
                for (long iova = 0; iova < 0xa000; iova += 0x800) {
                    long found = board.read(liodn, iova);
                    seen.append(found < 0 ? Refusal.name(found) : Long.toHexString(found)).append(' ');
                }
            }
            return seen.toString();
        }

        boolean live(int number) {
            trap.left = number;
            insist(() -> domain.set(new Geometry(0, 0x4000)));
            insist(() -> domain.set(new Windows(4)));
            insist(() -> domain.map(0, buffer, 0, 0x2000, RW));
            insist(() -> domain.attach(Board.at(1)));
            assertEquals(buffer.physical(0x1800), board.read(1, 0x1800));
            insist(() -> domain.attach(Board.at(2)));
            insist(() -> domain.map(0x3000, buffer, 0x3000, 0x800 * 2, Access.READ));
            insist(() -> domain.unmap(0, 0x1000));
            assertEquals(Refusal.UNMAPPED, board.read(2, 0));
            assertEquals(buffer.physical(0x1800), board.read(2, 0x1800));
            insist(() -> domain.mapDoorbell(0, Board.CCSR + 0x44000, 0x1000));
            insist(() -> domain.set(new Stash(1, 1)));
            insist(() -> domain.set(new Enable(false)));
            assertEquals(Refusal.NO_REQUESTER, board.read(2, 0x1800));
            insist(() -> domain.set(new Enable(true)));
            assertEquals(buffer.physical(0x1800), board.read(1, 0x1800));
            insist(() -> assertEquals(buffer.physical(0x1800), domain.lookup(0x1800, Access.READ)));
            insist(() -> domain.detach(Board.at(1)));
            assertEquals(Refusal.NO_REQUESTER, board.read(1, 0x1800));
            insist(() -> domain.unmap(0, 0x4000));
            insist(() -> domain.set(new Windows(2)));
            insist(() -> domain.set(new Geometry(0, 0x8000)));
            insist(() -> domain.set(new Windows(8)));
            insist(() -> domain.map(0x7000, buffer, 0x7000, 0x1000, RW));
            assertEquals(buffer.physical(0x7000), board.read(2, 0x7000));
            insist(() -> domain.detach(Board.at(2)));
            insist(() -> assertEquals(buffer.physical(0x7000), domain.lookup(0x7000, Access.READ)));
            insist(() -> other.attach(Board.at(2)));
            assertEquals(Refusal.NO_REQUESTER, board.read(2, 0x7000));
            insist(() -> domain.attach(Board.at(3)));
            assertEquals(buffer.physical(0x7000), board.read(3, 0x7000));
            for (IommuDomain each : new IommuDomain[] {domain, other}) {
                try {
                    each.close();
                } catch (NoClassDefFoundError e) {
                    insistAnyway(each::close);
                }
            }
            assertEquals(Refusal.NO_REQUESTER, board.read(3, 0x7000));
            assertEquals(PamuTables.SECONDARIES, driver.tables().free());
            try {
                driver.close();
            } catch (NoClassDefFoundError e) {
                driver.close();
            }
            assertEquals(start, board.machine.memory().available());
            return trap.sprung;
        }
    }

    @Test
    @DisplayName("P1: an Error out of any access, before its effect or after")
    void everyAccess() {
        int number = 0;
        for (boolean sprung = true; sprung; number++) {
            try {
                sprung = new Life(number % 2 == 1, 1).live(number);
            } catch (Throwable e) {
                throw new AssertionError("an Error at access " + number, e);
            }
        }
        assertTrue(number > 200, number + " accesses: the trap has gone blind");
    }

    @Test
    @DisplayName("P1: Errors that go on while it is undone: it is mended before the next operation")
    void again() {
        for (int number = 0; number < 360; number += 7) {
            try {
                assertTrue(new Life(false, 3).live(number), "the trap has gone blind");
            } catch (Throwable e) {
                throw new AssertionError("three Errors from access " + number, e);
            }
        }
    }

    @Test
    @DisplayName("P3: memory of a map that came to nothing is held while its entry may still be valid, whoever "
        + "closes the buffer")
    void held() {
        Life life = new Life(true, Integer.MAX_VALUE);
        life.domain.set(new Geometry(0, 0x4000));
        life.domain.set(new Windows(4));
        life.domain.attach(Board.at(1));
        life.domain.map(0, life.buffer, 0, 0x1000, RW);
        DmaBuffer buffer = life.board.machine.memory().allocate(0x1000, 0x1000, Layout.CONTIGUOUS);
        long during = life.board.machine.memory().available();
        life.trap.left = 3;
        assertThrows(NoClassDefFoundError.class, () -> life.domain.map(0x1000, buffer, 0, 0x1000, RW));
        assertEquals(buffer.physical(0), life.board.read(1, 0x1000), "it could not be undone");
        buffer.close();
        assertEquals(during, life.board.machine.memory().available());
        life.trap.times = 0;
        assertEquals(Refusal.UNMAPPED, life.domain.lookup(0x1000, Access.READ));
        assertEquals(Refusal.UNMAPPED, life.board.read(1, 0x1000));
        assertEquals(during + 0x1000, life.board.machine.memory().available());
        assertEquals(life.buffer.physical(0), life.board.read(1, 0), "the neighbour was left alone");
    }

    @Test
    @DisplayName("P2: tables whose gate does not close stay out of the pool, and the driver can be closed again")
    void gateStaysOpen() {
        Board board = new Board();
        long start = board.machine.memory().available();
        boolean[] deaf = new boolean[1];
        Trap bus = new Trap(board.bus, false, 0) {
            @Override
            public int write(int requester, long physical, int size, long value) {
                boolean control = physical == Board.PAMU + 0x1000 + Registers.PC;
                return deaf[0] && control ? Bus.OK : super.write(requester, physical, size, value);
            }
        };
        PamuDriver driver = new PamuDriver(through(board.machine, bus), board.node, PamuSettings.DEFAULT);
        long during = board.machine.memory().available();
        deaf[0] = true;
        ErrnoException e = assertThrows(ErrnoException.class, driver::close);
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("/soc/iommu@20000/pamu@1000") && e.getMessage().contains("0xffe021c10"),
            e.getMessage());
        assertEquals(during, board.machine.memory().available());
        deaf[0] = false;
        driver.close();
        assertEquals(start, board.machine.memory().available());
    }
}
