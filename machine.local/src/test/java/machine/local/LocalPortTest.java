// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.lang.ref.Reference;
import java.lang.ref.WeakReference;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import machine.api.Access;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.TranslationUnit;
import machine.api.Unit;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class LocalPortTest {
    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 0x100000)));
    private final LocalMachine machine = new LocalMachine(
        new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), bus);
    private final List<String> requests = new ArrayList<>();
    private final List<Fault> faults = new ArrayList<>();
    private final DmaPort port = machine.openPort(new Requester(193, "/iommu", 0));

    /** Shifts by 0x10000; nothing mapped from 0x4000 on; 0x8000 leads to no target. */
    @BeforeEach
    void plug() {
        machine.onFault(faults::add);
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            requests.add(String.format("%d %s %x+%d", requester, Access.name(access), iova, length));
            return iova == 0x8000 ? 0x200000 : iova < 0x4000 && iova >= 0 ? iova + 0x10000 : Refusal.UNMAPPED;
        }), InterruptInputs.NONE));
    }

    @Test
    @DisplayName("PCIe: no request crosses a 4 KiB boundary")
    void cutting() {
        byte[] data = new byte[0x2000];
        Arrays.fill(data, (byte) 5);
        assertEquals(Bus.OK, port.write(0xffe, data, 7, 0x1004));
        assertEquals(List.of("193 W ffe+2", "193 W 1000+4096", "193 W 2000+2"), requests);
        assertEquals(0x0505_0000L, bus.read(0x10ffc, 4));
        assertEquals(0x0505L, bus.read(0x12000, 4));
        requests.clear();
        assertEquals(Bus.OK, port.read(0x1000, data, 0, 0x1000));
        assertEquals(List.of("193 R 1000+4096"), requests);
        requests.clear();
        assertEquals(Bus.OK, port.write(0x1000, data, 0, 0));
        assertEquals(List.of(), requests);
    }

    @Test
    @DisplayName("DmaPort: where the host has no memory a store is refused and reported as any other, and the port "
        + "works on")
    void noMemory() {
        int[] left = {1};
        Ram ram = new Ram(0, 4 << 20, bytes -> {
            if (left[0]-- <= 0) {
                throw new OutOfMemoryError("Cannot reserve " + bytes + " bytes of direct buffer memory");
            }
            return ByteBuffer.allocateDirect(bytes);
        }, System::nanoTime);
        PhysicalBus small = new PhysicalBus(List.of(ram));
        LocalMachine full = new LocalMachine(
            new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), small);
        full.onFault(faults::add);
        full.attach(Node.at("/iommu"),
            new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> iova), InterruptInputs.NONE));
        DmaPort other = full.openPort(new Requester(194, "/iommu", 0));
        byte[] block = new byte[0x2000];
        Arrays.fill(block, (byte) 5);
        assertEquals(Refusal.NO_MEMORY, other.write(0x1f_f000, block, 0, 0x2000));
        assertEquals(0x05050505L, small.read(0x1f_fffc, 4), "what went before has happened");
        assertEquals(Refusal.NO_MEMORY, other.write(0x20_0000, 4, 7));
        assertEquals(0, small.read(0x20_0000, 4));
        assertEquals(List.of(new Fault(194, 0x20_0000, 4096, Access.WRITE, Refusal.NO_MEMORY),
            new Fault(194, 0x20_0000, 4, Access.WRITE, Refusal.NO_MEMORY)), faults);
        assertTrue(faults.get(0).toString().endsWith("NO_MEMORY"), faults.get(0).toString());
        assertEquals(Bus.OK, other.read(0x20_0000, block, 0, 8));
        assertEquals(0, block[0]);
        assertEquals(Bus.OK, other.write(8, 4, 7));
        small.sync();
        assertEquals(Errno.ENOMEM, assertThrows(ErrnoException.class, () -> small.write(0x30_0000, 4, 1)).errno());
        small.sync();
        full.openPort(new Requester(195, "/iommu", 0)).close();
        other.close();
    }

    @Test
    @DisplayName("DmaPort: a write stops at the first refused request; what went before has happened; one fault")
    void partialWrite() {
        byte[] data = new byte[0x2000];
        Arrays.fill(data, (byte) 5);
        assertEquals(Refusal.UNMAPPED, port.write(0x3ff0, data, 0, 0x2000));
        assertEquals(0x0505050505050505L, bus.read(0x13ff8, 8));
        assertEquals(0, bus.read(0x14000, 8));
        assertEquals(List.of(new Fault(193, 0x4000, 4096, Access.WRITE, Refusal.UNMAPPED)), faults);
        assertEquals(2, requests.size());
        byte[] same = new byte[0x2000];
        Arrays.fill(same, (byte) 5);
        assertArrayEquals(same, data, "what was to be written is the device's");
    }

    @Test
    @DisplayName("DmaPort: a refused read gives what went before and ones from there on, and touches nothing else")
    void partialRead() {
        bus.write(0x13ff8, 8, 0x0807060504030201L);
        byte[] to = new byte[20];
        assertEquals(Refusal.UNMAPPED, port.read(0x3ff8, to, 2, 16));
        assertArrayEquals(new byte[] {0, 0, 1, 2, 3, 4, 5, 6, 7, 8, -1, -1, -1, -1, -1, -1, -1, -1, 0, 0}, to);
        assertEquals(List.of(new Fault(193, 0x4000, 8, Access.READ, Refusal.UNMAPPED)), faults);
        assertEquals("requester 0xc1: read of 8 bytes at iova 0x4000: UNMAPPED", faults.get(0).toString());
        byte[] more = new byte[0x3000];
        assertEquals(Refusal.UNMAPPED, port.read(0x3000, more, 0, 0x2800));
        assertEquals(-1, more[0x1000]);
        assertEquals(-1, more[0x27ff], "beyond the piece that was refused");
        assertEquals(0, more[0x2800]);
    }

    @Test
    @DisplayName("DmaPort: translated to where nothing answers is NO_TARGET, for a value and a block")
    void noTarget() {
        assertEquals(Refusal.NO_TARGET, port.write(0x8000, 4, 1));
        assertEquals(Refusal.NO_TARGET, port.write(0x8000, new byte[4], 0, 4));
        byte[] to = new byte[4];
        assertEquals(Refusal.NO_TARGET, port.read(0x8000, to, 0, 4));
        assertArrayEquals(new byte[] {-1, -1, -1, -1}, to);
        assertEquals(3, faults.size());
    }

    @Test
    @DisplayName("DmaPort: a register is told who writes, for a value and for each word of a block")
    void registers() {
        List<String> written = new ArrayList<>();
        bus.attach(0x200000, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0x1122_3344L + offset;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                written.add(String.format("%d: %x+%d = %x", requester, offset, size, value));
            }
        });
        assertEquals(Bus.OK, port.write(0x8000, 4, 0xcafe));
        assertEquals(Bus.OK, port.write(0x8000, new byte[] {1, 2, 3, 4, 5, 6}, 0, 6));
        assertEquals(List.of("193: 0+4 = cafe", "193: 0+4 = 4030201", "193: 4+2 = 605"), written);
        byte[] to = new byte[4];
        assertEquals(Bus.OK, port.read(0x8000, to, 0, 4));
        assertArrayEquals(new byte[] {0x44, 0x33, 0x22, 0x11}, to);
        assertEquals(List.of(), faults);
    }

    @Test
    @DisplayName("DmaPort: one value is one request; one that is not naturally aligned is refused before translation")
    void value() {
        assertEquals(Bus.OK, port.write(0x1010, 4, 0x1_0000_0067L));
        assertEquals(0x67, bus.read(0x11010, 8));
        assertEquals(List.of("193 W 1010+4"), requests);
        assertEquals(Refusal.UNSUPPORTED, port.write(0x1ffe, 4, 0));
        assertEquals(Refusal.UNSUPPORTED, port.write(0x1001, 2, 0));
        assertEquals(1, requests.size());
        assertEquals(2, faults.size());
        assertEquals(Refusal.UNMAPPED, port.write(-8, 8, 0));
    }

    @Test
    @DisplayName("DmaPort: the top of the address space is no exception")
    void top() {
        assertEquals(Refusal.UNMAPPED, port.write(-4, new byte[8], 0, 8));
        assertEquals(List.of("193 W fffffffffffffffc+4"), requests);
    }

    @Test
    @DisplayName("DmaPort: closed means blocked, also when a unit comes afterwards")
    void closed() {
        port.close();
        port.close();
        assertEquals(Refusal.BLOCKED, port.write(0x1000, 4, 1));
        ((LocalPort) port).unit((requester, iova, length, access) -> iova);
        assertEquals(Refusal.BLOCKED, port.write(0x1000, 4, 1));
        assertEquals(List.of(), requests);
    }

    @Test
    @DisplayName("DmaPort: who keeps a closed port, such as a thread that has ended, keeps no unit with it")
    void closedKeepsNoUnit() throws Exception {
        WeakReference<TranslationUnit> before = unitInFront();
        port.close();
        WeakReference<TranslationUnit> after = unitInFront();
        for (int i = 0; i < 100 && (before.get() != null || after.get() != null); i++) {
            System.gc();
            Thread.sleep(10);
        }
        assertNull(before.get());
        assertNull(after.get());
        Reference.reachabilityFence(port);
    }

    /** {@return a unit to which nobody but the port refers} */
    private WeakReference<TranslationUnit> unitInFront() {
        byte[] own = new byte[1];
        TranslationUnit unit = (requester, iova, length, access) -> iova + own[0];
        ((LocalPort) port).unit(unit);
        return new WeakReference<>(unit);
    }

    @Test
    @DisplayName("DmaPort: the unit sees the id at the IOMMU, register windows the one at the interrupt controller, "
        + "word and block alike")
    void twoIds() {
        List<String> seen = new ArrayList<>();
        bus.attach(0x20_0000, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                seen.add(String.format("%d writes %d", requester, size));
            }
        });
        DmaPort two = machine.openPort(new Requester(7, "/iommu", 0, 0x100, 0x2_0100));
        assertEquals(Bus.OK, two.write(0x8000, 4, 1));
        assertEquals(Bus.OK, two.write(0x8000, new byte[4], 0, 4));
        assertEquals(List.of("131328 writes 4", "131328 writes 4"), seen);
        assertEquals(List.of("7 W 8000+4", "7 W 8000+4"), requests);
    }
}
