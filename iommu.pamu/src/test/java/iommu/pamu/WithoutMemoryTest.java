// SPDX-License-Identifier: Apache-2.0
package iommu.pamu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import iommu.api.IommuDomain;
import iommu.api.Windows;
import iommu.pamu.table.Paace;
import iommu.pamu.table.Registers;
import iommu.pamu.unit.Pamu;
import iommu.pamu.unit.PamuModel;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.ArrayList;
import java.util.List;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.Machine;
import machine.api.Refusal;
import machine.api.Snoop;
import machine.api.TranslationUnit;
import machine.api.Unit;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/**
 * PAMU: PPCC, SPCC and OCE: a window that was looked up is served without another look into memory. What is counted is
 * reads of the unit.
 */
class WithoutMemoryTest {
    private static final long WINDOW = 0x1000;
    private static final int RW = Access.READ_WRITE;
    private static final int CACHES = Registers.PC_OMT_CACHE | Registers.PC_SECONDARY_CACHE
        | Registers.PC_PRIMARY_CACHE;

    private final Board board = new Board(1, PamuModel.DEFAULT);
    private final List<Snoop> snoops = new ArrayList<>();
    private int reads;
    private final Machine counted = counted();
    private final TranslationUnit pamu = plug();
    private final PamuDriver driver = board.driver();
    private final DmaBuffer buffer = board.machine.memory().allocate(1 << 20, 1 << 20, DmaMemory.Layout.CONTIGUOUS);

    private static <T> T through(Class<T> type, T to, Answer answer) {
        return type
            .cast(Proxy.newProxyInstance(type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
            try {
                return answer.instead(method.getName(), () -> method.invoke(to, arguments));
            } catch (InvocationTargetException e) {
                throw e.getCause();
            }
        }));
    }

    private interface Call {
        Object go() throws ReflectiveOperationException;
    }

    private interface Answer {
        Object instead(String method, Call call) throws ReflectiveOperationException;
    }

    /** The machine as the unit sees it: its reads are counted, and its ears known. */
    private Machine counted() {
        Bus bus = through(Bus.class, board.bus, (method, call) -> {
            reads += method.equals("read") ? 1 : 0;
            Object answer = call.go();
            if (answer instanceof Snoop snoop) {
                snoops.add(snoop);
            }
            return answer;
        });
        return through(Machine.class, board.machine, (method, call) -> method.equals("bus") ? bus : call.go());
    }

    private TranslationUnit plug() {
        board.plugged.close();
        Unit unit = Pamu.unit(counted, board.node, PamuModel.DEFAULT);
        board.machine.attach(board.node, unit);
        return unit.translations().get(Board.path(0));
    }

    private IommuDomain domain(int liodn, long start, long window, int windows) {
        IommuDomain domain = driver.open();
        domain.set(new Geometry(start, window * windows));
        domain.set(new Windows(windows));
        domain.attach(Board.at(liodn));
        return domain;
    }

    private void served(long expected, int liodn, long iova, int length, int access) {
        reads = 0;
        assertEquals(expected, pamu.translate(liodn, iova, length, access));
        assertEquals(0, reads,
            () -> String.format("reads for LIODN 0x%x, 0x%x bytes at 0x%x, access %d", liodn, length, iova, access));
    }

    private void looked(long expected, int liodn, long iova, int access) {
        reads = 0;
        assertEquals(expected, pamu.translate(liodn, iova, 4, access));
        assertTrue(reads > 0, "nothing was read");
    }

    @Test
    @DisplayName("PAMU: all windows of a requester stay cached, LIODN 0 and window 0 too, from the first byte to the "
        + "last, for both accesses")
    void wholeWindows() {
        domain(0, 0, WINDOW, 8).map(0, buffer, 0, 8 * WINDOW, RW);
        domain(5, 0x80_0000, 0x10_0000, 8).map(0x80_0000 + 3 * 0x10_0000, buffer, 0, 0x10_0000, RW);
        for (int window = 0; window < 8; window++) {
            looked(buffer.physical(window * WINDOW + 0x80), 0, window * WINDOW + 0x80, Access.WRITE);
        }
        looked(buffer.physical(0x8_0000), 5, 0xb8_0000, Access.READ);
        for (int round = 0; round < 2; round++) {
            for (int window = 0; window < 8; window++) {
                for (int access = Access.READ; access <= RW; access++) {
                    served(buffer.physical(window * WINDOW), 0, window * WINDOW, 8, access);
                    served(buffer.physical(window * WINDOW + 0xfff), 0, window * WINDOW + 0xfff, 1, access);
                    served(buffer.physical(window * WINDOW + 0xff8), 0, window * WINDOW + 0xff8, 8, access);
                }
            }
            served(buffer.physical(0), 5, 0xb0_0000, 4, Access.WRITE);
            served(buffer.physical(0xf_fffc), 5, 0xbf_fffc, 4, Access.READ);
        }
    }

    @Test
    @DisplayName("PAMU: an aperture of one window is cached as it is, a mapping smaller than its window as far as it "
        + "goes")
    void otherSizes() {
        domain(1, 0x10_0000, 0x10_0000, 1).map(0x10_0000, buffer, 0, 0x10_0000, RW);
        domain(2, 0, 0x8000, 4).map(0x8000, buffer, 0x1000, 0x1000, RW);
        looked(buffer.physical(0x80), 1, 0x10_0080, Access.READ);
        served(buffer.physical(0xf_fff8), 1, 0x1f_fff8, 8, Access.WRITE);
        looked(buffer.physical(0x1080), 2, 0x8080, Access.READ);
        served(buffer.physical(0x1ffc), 2, 0x8ffc, 4, Access.WRITE);
        looked(Refusal.UNMAPPED, 2, 0x9000, Access.READ);
        looked(Refusal.OUTSIDE, 1, 0x20_0000, Access.READ);
        looked(Refusal.OUTSIDE, 1, 0xf_fffc, Access.READ);
    }

    @Test
    @DisplayName("PAMU: a mapping of physical 0 is an address like any other, cached or not")
    void physicalZero() {
        domain(1, 0, 0x1_0000, 4).mapDoorbell(0x2_0000, 0, 0x1_0000);
        IommuDomain domain = driver.open();
        domain.set(new Geometry(0, 0x1000));
        domain.set(new Windows(1));
        domain.mapDoorbell(0, 0, 0x1000);
        domain.attach(Board.at(2));
        assertEquals(0, domain.lookup(0, Access.WRITE));
        looked(0, 1, 0x2_0000, Access.WRITE);
        served(0, 1, 0x2_0000, 4, Access.WRITE);
        served(0xffff, 1, 0x2_ffff, 1, Access.WRITE);
        looked(0, 2, 0, Access.WRITE);
        served(0, 2, 0, 4, Access.WRITE);
        looked(Refusal.DENIED, 2, 0, Access.READ);
    }

    @Test
    @DisplayName("PAMU: after a store anywhere into the tables each window is read once more, and then served again")
    void renewed() {
        IommuDomain domain = domain(1, 0, WINDOW, 8);
        domain.map(0, buffer, 0, 4 * WINDOW, RW);
        for (int round = 0; round < 3; round++) {
            domain.map(4 * WINDOW, buffer, 4 * WINDOW, WINDOW, RW);
            for (int window = 0; window < 5; window++) {
                looked(buffer.physical(window * WINDOW), 1, window * WINDOW, Access.READ);
            }
            for (int window = 0; window < 5; window++) {
                served(buffer.physical(window * WINDOW), 1, window * WINDOW, 4, Access.WRITE);
            }
            domain.unmap(4 * WINDOW, WINDOW);
            looked(Refusal.UNMAPPED, 1, 4 * WINDOW, Access.READ);
        }
    }

    @Test
    @DisplayName("PAMU: another aperture of the same requester is cached anew: other base, other sizes, other count")
    void otherAperture() {
        IommuDomain domain = domain(1, 0, WINDOW, 8);
        long[][] shapes = {{0, WINDOW, 8}, {0x10_0000, WINDOW, 8}, {0x10_0000, WINDOW, 16},
            {0x10_0000, 2 * WINDOW, 8}, {0, 2 * WINDOW, 8}};
        for (long[] shape : shapes) {
            domain.set(new Geometry(shape[0], shape[1] * shape[2]));
            domain.set(new Windows((int) shape[2]));
            domain.map(shape[0], buffer, 0, shape[1] * shape[2], RW);
            for (int window = 0; window < shape[2]; window++) {
                looked(buffer.physical(window * shape[1]), 1, shape[0] + window * shape[1], Access.READ);
            }
            for (int window = 0; window < shape[2]; window++) {
                served(buffer.physical((window + 1) * shape[1] - 4), 1, shape[0] + (window + 1) * shape[1] - 4, 4,
                    Access.READ);
            }
            domain.unmap(shape[0], shape[1] * shape[2]);
        }
    }

    @Test
    @DisplayName("PAMU: refusals are never cached; neither is a bypassed requester, at address 0 either")
    void neverCached() {
        domain(1, 0, WINDOW, 8).map(0, buffer, 0, WINDOW, Access.READ);
        for (int i = 0; i < 2; i++) {
            looked(Refusal.UNMAPPED, 1, WINDOW, Access.READ);
            looked(Refusal.DENIED, 1, 0, Access.WRITE);
            looked(Refusal.NO_REQUESTER, 2, 0, Access.READ);
        }
        looked(buffer.physical(0), 1, 0, Access.READ);
        board.word(Board.BYPASS, 0x8000_0000);
        served(0, 1, 0, 4, Access.READ);
        served(0x123_4560, 1, 0x123_4560, 4, Access.WRITE);
        board.word(Board.BYPASS, 0);
        served(buffer.physical(0), 1, 0, 4, Access.READ);
    }

    @Test
    @DisplayName("PAMU: what an operation mapping lets through is cached, by either kind of mapping")
    void operations() {
        domain(1, 0, WINDOW, 1).map(0, buffer, 0, WINDOW, RW);
        long entry = board.register64(0, Registers.PPBA) + 64;
        int attributes = board.word(entry + Paace.ATTRIBUTES + 4);
        board.word(entry + Paace.INDEX + 4, 0x00_98_81_99);
        board.word(entry + Paace.ATTRIBUTES + 4, attributes | Paace.OPERATION_IMMEDIATE);
        looked(buffer.physical(0), 1, 0, Access.READ);
        served(buffer.physical(0), 1, 0, 4, Access.WRITE);
        served(buffer.physical(0), 1, 0, 4, Access.READ);
        board.word(entry + Paace.INDEX + 4, 0x00_98_81_19);
        looked(buffer.physical(0), 1, 0, Access.READ);
        looked(Refusal.UNSUPPORTED, 1, 0, Access.WRITE);
        served(buffer.physical(0), 1, 0, 4, Access.READ);
        board.word(entry + Paace.INDEX + 4, 5);
        board.word(entry + Paace.ATTRIBUTES + 4, attributes | Paace.OPERATION_INDEXED);
        board.bus.write(board.register64(0, Registers.OBA) + 5 * 128, 4, 0x8080);
        looked(buffer.physical(0), 1, 0, Access.WRITE);
        served(buffer.physical(0), 1, 0, 4, Access.READ);
        served(buffer.physical(0), 1, 0, 4, Access.WRITE);
    }

    @Test
    @DisplayName("PAMU: without any of the three cache bits, or behind a closed gate, nothing is cached and nobody "
        + "listens")
    void cacheBits() {
        domain(1, 0, WINDOW, 8).map(0, buffer, 0, WINDOW, RW);
        looked(buffer.physical(0), 1, 0, Access.READ);
        served(buffer.physical(0), 1, 0, 4, Access.READ);
        for (int bit = 1; bit <= CACHES; bit <<= 1) {
            if ((CACHES & bit) != 0) {
                Snoop before = snoops.get(snoops.size() - 1);
                assertNotEquals(Snoop.NONE, before.stamp());
                int listening = snoops.size();
                board.register(0, Registers.PC, Registers.PC_ENABLE | CACHES & ~bit);
                assertEquals(listening, snoops.size());
                assertEquals(Snoop.NONE, before.stamp(), "who listened before has let go");
                looked(buffer.physical(0), 1, 0, Access.READ);
                board.bus.sync();
                looked(buffer.physical(0), 1, 0, Access.READ);
                assertEquals(Snoop.NONE, before.stamp());
                board.register(0, Registers.PC, Registers.PC_GATE_CLOSED | Registers.PC_ENABLE | CACHES);
                assertEquals(listening, snoops.size());
                board.register(0, Registers.PC, Registers.PC_ENABLE | CACHES);
                assertEquals(listening + 1, snoops.size());
                board.bus.sync();
                looked(buffer.physical(0), 1, 0, Access.READ);
                served(buffer.physical(0), 1, 0, 4, Access.READ);
            }
        }
    }

    @Test
    @DisplayName("PAMU: a LIODN at the limit of a full table is refused; one beyond 16 bits is looked up, each time, "
        + "and not cached")
    void pastTheLast() {
        looked(Refusal.NO_REQUESTER, PamuTables.PRIMARIES - 1, 0, Access.READ);
        reads = 0;
        assertEquals(Refusal.NO_REQUESTER, pamu.translate(PamuTables.PRIMARIES, 0, 4, Access.READ));
        assertEquals(Refusal.NO_REQUESTER, pamu.translate(-1, 0, 4, Access.READ));
        assertEquals(0, reads, "no entry was read");
        long table = 0x1000_0000;
        board.register(0, Registers.PPBA, 0);
        board.register(0, Registers.PPBA + 4, (int) table);
        board.register(0, Registers.PPLA, 0);
        board.register(0, Registers.PPLA + 4, (int) table + 64 * 0x1_0002);
        board.bus.sync();
        for (int liodn : new int[] {0xffff, 0x1_0000, 0x1_0001}) {
            board.entry(table + 64L * liodn, "00000000 000008d9 00000080 00000004 00000000 12340000");
            looked(0x1234_0010, liodn, 0x10, Access.READ);
        }
        looked(0x1234_0010, 0xffff, 0x10, Access.READ);
        served(0x1234_0010, 0xffff, 0x10, 4, Access.READ);
        looked(0x1234_0010, 0x1_0000, 0x10, Access.READ);
    }

    @Test
    @DisplayName("PAMU: a unit that was taken out of the machine refuses everything and listens no more")
    void takenOut() {
        Board other = new Board(1, PamuModel.DEFAULT);
        other.plugged.close();
        TranslationUnit[] seen = new TranslationUnit[1];
        Bus bus = through(Bus.class, other.bus, (method, call) -> {
            Object answer = call.go();
            if (answer instanceof Snoop snoop) {
                snoops.add(snoop);
            }
            return answer;
        });
        Machine machine = through(Machine.class, other.machine,
            (method, call) -> method.equals("bus") ? bus : call.go());
        Machine watching = (Machine) Proxy.newProxyInstance(Machine.class.getClassLoader(),
            new Class<?>[] {Machine.class}, (proxy, method, arguments) -> {
                if (method.getName().equals("attach")) {
                    seen[0] = ((Unit) arguments[1]).translations().get(Board.path(0));
                }
                try {
                    return method.invoke(machine, arguments);
                } catch (InvocationTargetException e) {
                    throw e.getCause();
                }
            });
        Attachment plugged = Pamu.attach(watching, other.node, PamuModel.DEFAULT);
        PamuDriver of = other.driver();
        IommuDomain domain = of.open();
        domain.set(new Geometry(0, WINDOW));
        domain.set(new Windows(1));
        domain.map(0, other.machine.memory().allocate(WINDOW, WINDOW, DmaMemory.Layout.CONTIGUOUS), 0, WINDOW, RW);
        domain.attach(Board.at(1));
        assertTrue(seen[0].translate(1, 0, 4, Access.READ) >= 0);
        Snoop last = snoops.get(snoops.size() - 1);
        assertNotEquals(Snoop.NONE, last.stamp());
        plugged.close();
        assertEquals(Refusal.BLOCKED, seen[0].translate(1, 0, 4, Access.READ));
        other.bus.sync();
        assertEquals(Snoop.NONE, last.stamp());
    }
}
