// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Access;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Fault;
import machine.api.FaultListener;
import machine.api.InterruptInputs;
import machine.api.InterruptLine;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Slot;
import machine.api.TranslationUnit;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class LocalMachineTest {
    private static final Mmio REGISTERS = new Mmio() {
        @Override
        public long read(long offset, int size) {
            return 0x42;
        }

        @Override
        public void write(int requester, long offset, int size, long value) {
        }
    };
    private static final TranslationUnit ONE_TO_ONE = (requester, iova, length, access) -> iova;

    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 0x10000)));
    private final Slot slot = new Pcie();
    private final Node iommu = Node.at("/iommu");
    private final LocalMachine machine = new LocalMachine(
        new Board("bench", List.of(), List.of(new Node.Range(0x1000, 0x1000)),
        List.of(iommu), List.of(slot), 2, List.of()), bus);

    private record Pcie() implements Slot {
        @Override
        public String name() {
            return "pcie0";
        }

        @Override
        public boolean pcie() {
            return true;
        }

        @Override
        public Node node() {
            return Node.at("/pcie");
        }

        @Override
        public Requester requester(int device, int function) {
            if (device > 31) {
                throw new ErrnoException(Errno.EINVAL, "device %d", device);
            }
            return new Requester(device << 3 | function, "/iommu", 0);
        }

        @Override
        public String address(int device, int function) {
            return "0000:01:0" + device + "." + function;
        }

        @Override
        public Optional<Wire> interrupt(int device, int pin) {
            return Optional.empty();
        }
    }

    private static Unit unit(long... windows) {
        List<Unit.Window> list = new ArrayList<>();
        for (long window : windows) {
            list.add(new Unit.Window(window, 0x1000, REGISTERS));
        }
        return new Unit(list, Map.of("/iommu", ONE_TO_ONE), InterruptInputs.NONE);
    }

    @Test
    @DisplayName("Machine: what it was made of")
    void description() {
        assertEquals("bench", machine.model());
        assertEquals(List.of(0, 1), machine.cpus().stream().map(Cpu::number).toList());
        assertEquals(0x1000, machine.memory().available());
        assertEquals(List.of(iommu), machine.nodes());
        assertEquals(List.of(slot), machine.slots());
    }

    @Test
    @DisplayName("P2: no unit is BLOCKED; with a unit open; the unit gone, blocked again, for old ports and new ones")
    void blockedNeverBypassed() {
        DmaPort port = machine.openPort(slot, 0, 0);
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 1));
        Attachment attachment = machine.attach(iommu, unit(0x20000));
        assertTrue(machine.ready(iommu));
        assertEquals(Bus.OK, port.write(0x100, 4, 2));
        assertEquals(Bus.OK, machine.openPort(slot, 1, 0).write(0x104, 4, 3));
        assertEquals(0x42, bus.read(0x20000, 4));
        attachment.close();
        assertFalse(machine.ready(iommu));
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 9));
        assertEquals(Refusal.BLOCKED, machine.openPort(slot, 2, 0).write(0x100, 4, 9));
        assertEquals(0x3_0000_0002L, bus.read(0x100, 8));
        assertEquals(0xffffffffL, bus.read(0x20000, 4));
    }

    @Test
    @DisplayName("Machine.attach: all or nothing when a window is taken")
    void allOrNothing() {
        bus.attach(0x30000, 1, REGISTERS);
        DmaPort port = machine.openPort(slot, 0, 0);
        List<Node> told = new ArrayList<>();
        machine.onReady(told::add);
        assertEquals(Errno.EEXIST, errno(() -> machine.attach(iommu, unit(0x20000, 0x30000))));
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 1));
        assertEquals(0xffffffffL, bus.read(0x20000, 4));
        assertFalse(machine.ready(iommu));
        assertEquals(List.of(), told);
        machine.attach(iommu, unit(0x20000));
    }

    @Test
    @DisplayName("Machine.attach: a node that has a unit, or an instance that translates, is EBUSY")
    void busy() {
        Attachment first = machine.attach(iommu, unit(0x20000));
        assertEquals(Errno.EBUSY,
            errno(() -> machine.attach(iommu, new Unit(List.of(), Map.of(), InterruptInputs.NONE))));
        assertEquals(Errno.EBUSY, errno(() -> machine.attach(Node.at("/other"), unit(0x40000))));
        assertFalse(machine.ready(Node.at("/other")));
        assertEquals(0xffffffffL, bus.read(0x40000, 4));
        first.close();
        machine.attach(iommu, unit(0x20000));
    }

    @Test
    @DisplayName("Machine.attach: closing twice does not take the successor out")
    void closedTwice() {
        Attachment first = machine.attach(iommu, unit(0x20000));
        first.close();
        machine.attach(iommu, unit(0x20000));
        DmaPort port = machine.openPort(slot, 0, 0);
        first.close();
        assertTrue(machine.ready(iommu));
        assertEquals(Bus.OK, port.write(0x100, 4, 1));
        assertEquals(0x42, bus.read(0x20000, 4));
    }

    @Test
    @DisplayName("Machine.onReady: told of coming and going; when it goes the registers still answer and ready is "
        + "false")
    void readyListener() {
        List<String> told = new ArrayList<>();
        Attachment listening = machine.onReady(node ->
            told.add(node.path() + " " + machine.ready(node) + " " + Long.toHexString(bus.read(0x20000, 4))));
        Attachment attachment = machine.attach(iommu, unit(0x20000));
        attachment.close();
        attachment.close();
        assertEquals(List.of("/iommu true 42", "/iommu false 42"), told);
        listening.close();
        machine.attach(iommu, unit(0x20000));
        assertEquals(2, told.size());
    }

    @Test
    @DisplayName("Machine.attach: while a unit is being taken out its place is not free")
    void goingIsBusy() {
        List<Errno> answers = new ArrayList<>();
        Unit plain = new Unit(List.of(), Map.of(), InterruptInputs.NONE);
        machine.onReady(node -> {
            if (!machine.ready(node)) {
                answers.add(errno(() -> machine.attach(node, plain)));
            }
        });
        machine.attach(iommu, plain).close();
        assertEquals(List.of(Errno.EBUSY), answers);
        machine.attach(iommu, plain);
        assertTrue(machine.ready(iommu));
    }

    @Test
    @DisplayName("Machine.attach: a listener that throws undoes the attachment; one that throws at the end cannot "
        + "keep the unit in")
    void listenerThrows() {
        DmaPort port = machine.openPort(slot, 0, 0);
        AtomicBoolean bad = new AtomicBoolean(true);
        AtomicInteger others = new AtomicInteger();
        machine.onReady(node -> {
            if (bad.get()) {
                throw new IllegalStateException("a bad listener");
            }
        });
        machine.onReady(node -> others.incrementAndGet());
        assertThrows(IllegalStateException.class, () -> machine.attach(iommu, unit(0x20000)));
        assertFalse(machine.ready(iommu));
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 1));
        assertEquals(2, others.get());
        bad.set(false);
        Attachment attachment = machine.attach(iommu, unit(0x20000));
        bad.set(true);
        assertThrows(IllegalStateException.class, attachment::close);
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 1));
        assertEquals(0xffffffffL, bus.read(0x20000, 4));
    }

    @Test
    @DisplayName("Machine.onReady: all are told, whatever one throws: an Error, or what no signature announces")
    void listenerThrowsAnything() {
        List<Throwable> thrown = List.of(new NoClassDefFoundError("stale"), new java.io.IOException("unannounced"));
        for (Throwable one : thrown) {
            AtomicInteger others = new AtomicInteger();
            Attachment bad = machine.onReady(node -> Throwing.any(one));
            Attachment good = machine.onReady(node -> others.incrementAndGet());
            Throwable told = assertThrows(Throwable.class, () -> machine.attach(iommu, unit(0x20000)));
            assertTrue(told == one || told.getCause() == one, told.toString());
            assertEquals(2, others.get(), "coming and going again");
            assertFalse(machine.ready(iommu));
            bad.close();
            good.close();
        }
        machine.attach(iommu, unit(0x20000));
    }

    @Test
    @DisplayName("Machine.openPort: a taken place is EBUSY and says which; a closed port frees it; a wrong number "
        + "frees nothing")
    void places() {
        DmaPort port = machine.openPort(slot, 3, 1);
        ErrnoException e = assertThrows(ErrnoException.class, () -> machine.openPort(slot, 3, 1));
        assertEquals(Errno.EBUSY, e.errno());
        assertTrue(e.getMessage().contains("0000:01:03.1 (pcie0)"), e.getMessage());
        assertEquals(Errno.EINVAL, errno(() -> machine.openPort(slot, 32, 0)));
        port.close();
        DmaPort next = machine.openPort(slot, 3, 1);
        port.close();
        assertEquals(Errno.EBUSY, errno(() -> machine.openPort(slot, 3, 1)));
        next.close();
    }

    @Test
    @DisplayName("Machine.onFault: every listener hears every fault until it leaves; leaving twice is once")
    void faults() {
        List<Fault> one = new ArrayList<>();
        FaultListener listener = one::add;
        Attachment first = machine.onFault(listener);
        Attachment second = machine.onFault(listener);
        DmaPort port = machine.openPort(new Requester(5, "/iommu", 0));
        port.write(0x100, 4, 1);
        assertEquals(2, one.size());
        assertEquals(new Fault(5, 0x100, 4, Access.WRITE, Refusal.BLOCKED), one.get(0));
        first.close();
        first.close();
        port.write(0x100, 4, 1);
        assertEquals(3, one.size());
        second.close();
    }

    @Test
    @DisplayName("Machine.onFault: what a listener throws, a checked exception too, is neither the device's concern "
        + "nor another listener's")
    void faultListenerThrows() {
        List<Fault> heard = new ArrayList<>();
        for (Throwable thrown : List.of(new IllegalStateException("stale"), new NoClassDefFoundError("stale"),
            new IOException("stale"))) {
            machine.onFault(fault -> Throwing.any(thrown));
        }
        machine.onFault(heard::add);
        DmaPort port = machine.openPort(new Requester(5, "/iommu", 0));
        assertEquals(Refusal.BLOCKED, port.write(0x100, 4, 1));
        assertEquals(Refusal.BLOCKED, port.read(0x100, new byte[4], 0, 4));
        assertEquals(2, heard.size());
    }

    @Test
    @DisplayName("P2: units come and go while ports open, write and close: a closed port and a bare one never write")
    void comingAndGoing() throws InterruptedException {
        AtomicBoolean stop = new AtomicBoolean();
        AtomicBoolean leaked = new AtomicBoolean();
        AtomicInteger opened = new AtomicInteger();
        Thread[] devices = new Thread[2];
        for (int i = 0; i < devices.length; i++) {
            int number = i;
            devices[i] = new Thread(() -> {
                while (!stop.get()) {
                    DmaPort port = machine.openPort(slot, number, 0);
                    port.write(8L * number, 8, 1);
                    port.close();
                    opened.incrementAndGet();
                    for (int n = 0; n < 20; n++) {
                        if (port.write(0x100, 8, 1) != Refusal.BLOCKED) {
                            leaked.set(true);
                        }
                    }
                }
            });
            devices[i].start();
        }
        for (int round = 0; round < 2_000 || opened.get() < 100; round++) {
            Attachment attachment = machine.attach(iommu, unit(0x20000));
            attachment.close();
            bus.write(0, 8, 0);
            bus.write(8, 8, 0);
            Thread.onSpinWait();
            assertEquals(0, bus.read(0, 8), "written without a unit");
            assertEquals(0, bus.read(8, 8), "written without a unit");
        }
        stop.set(true);
        for (Thread device : devices) {
            device.join();
        }
        assertFalse(leaked.get(), "a closed port wrote");
    }

    private static Errno errno(Runnable call) {
        return assertThrows(ErrnoException.class, call::run).errno();
    }

    @DisplayName("A line tells of changes alone; two lines of one wire are two devices")
    @Test
    void lines() {
        LocalMachine machine = new LocalMachine(
            new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()));
        List<String> heard = new ArrayList<>();
        machine.attach(Node.at("/pic"),
            new Unit(List.of(), Map.of(), (input, asserted) -> heard.add(input + " " + asserted)));
        InterruptLine one = machine.line(new Wire("/pic", 5, true, "5"));
        InterruptLine two = machine.line(new Wire("/pic", 5, true, "5"));
        one.set(false);
        one.set(true);
        one.set(true);
        two.set(true);
        one.set(false);
        two.set(false);
        machine.line(new Wire("/other", 5, true, "5")).set(true);
        assertEquals(List.of("5 true", "5 false"), heard);
        machine.close();
        assertEquals(List.of(), machine.warnings());
    }
}
