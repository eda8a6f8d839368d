// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.api.IrqSet.Action.MASK;
import static vfio.api.IrqSet.Action.TRIGGER;
import static vfio.api.IrqSet.Action.UNMASK;
import static vfio.api.IrqSet.Data.BOOL;
import static vfio.api.IrqSet.Data.EVENTFD;
import static vfio.api.IrqSet.Data.NONE;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import irq.api.MsiRequest;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;
import vfio.api.Device;
import vfio.api.EventFd;
import vfio.api.Irq;
import vfio.api.IrqSet;
import vfio.api.Region;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.container.irq.LocalEventFd;

@Timeout(30)
class SetIrqsTest {
    private final Board board = Board.pamu();
    private final VfioContainer container = board.container();
    private final LocalEventFd eventFd = new LocalEventFd(4);
    private final LocalEventFd other = new LocalEventFd(0);
    private Device device;

    SetIrqsTest() {
        board.a.mmc = 2;
        device = board.vfio.group(1).device("0000:01:00.0");
        container.as(Msis.class).call("MAP", 0, 0x1000_0000);
        device.write(Region.CONFIG, 4, 2, 0x0006);
    }

    private static IrqSet set(int index, IrqSet.Action action, int start, int count, IrqSet.Data data) {
        return new IrqSet(index, action, start, count, data,
            data == BOOL ? Collections.nCopies(Math.min(count, 4), true) : List.of(),
            data == EVENTFD ? Collections.nCopies(Math.min(count, 4), new LocalEventFd(0)) : List.of());
    }

    @Test
    @DisplayName("GET_IRQ_INFO: INTx 1, MSI 1 << MMC, REQ 1, with their flags")
    void info() {
        assertEquals(List.of(new Irq(0, 1, 7), new Irq(1, 4, 9), new Irq(2, 0, 9), new Irq(3, 0, 9), new Irq(4, 1, 9)),
            device.irqs());
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("SET_IRQS: validation and the table of actions; active: what is enabled before")
    @CsvSource(delimiter = '|', value = {
        "index beyond                          | none | 5  | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "index negative                        | none | -1 | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "no vectors: MSI-X                     | none | 2  | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "no vectors: ERR                       | none | 3  | TRIGGER | 0 | 1 | EVENTFD | EINVAL",
        "start >= vectors, even if count 0     | msi  | 1  | TRIGGER | 4 | 0 | NONE    | EINVAL",
        "start negative                        | msi  | 1  | TRIGGER | -1 | 1 | NONE   | EINVAL",
        "start + count > vectors               | msi  | 1  | TRIGGER | 1 | 4 | EVENTFD | EINVAL",
        "count >= max - start                  | msi  | 1  | TRIGGER | 1 | 2147483647 | NONE | EINVAL",
        "count negative                        | msi  | 1  | TRIGGER | 0 | -1 | NONE   | EINVAL",
        "INTx MASK: not active                 | none | 0  | MASK    | 0 | 1 | NONE    | EINVAL",
        "INTx UNMASK: not active               | msi  | 0  | UNMASK  | 0 | 1 | NONE    | EINVAL",
        "INTx MASK: count 0                    | intx | 0  | MASK    | 0 | 0 | NONE    | EINVAL",
        "INTx MASK EVENTFD                     | intx | 0  | MASK    | 0 | 1 | EVENTFD | ENOTTY",
        "INTx UNMASK EVENTFD (choice)          | intx | 0  | UNMASK  | 0 | 1 | EVENTFD | ENOTTY",
        "INTx TRIGGER NONE 0: not active       | none | 0  | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "INTx TRIGGER BOOL 0                   | intx | 0  | TRIGGER | 0 | 0 | BOOL    | EINVAL",
        "INTx TRIGGER EVENTFD 0                | none | 0  | TRIGGER | 0 | 0 | EVENTFD | EINVAL",
        "INTx loopback: not active             | none | 0  | TRIGGER | 0 | 1 | NONE    | EINVAL",
        "INTx TRIGGER: MSI active              | msi  | 0  | TRIGGER | 0 | 1 | EVENTFD | EINVAL",
        "MSI MASK                              | msi  | 1  | MASK    | 0 | 1 | NONE    | ENOTTY",
        "MSI UNMASK                            | msi  | 1  | UNMASK  | 0 | 1 | BOOL    | ENOTTY",
        "MSI TRIGGER: INTx active              | intx | 1  | TRIGGER | 0 | 1 | EVENTFD | EINVAL",
        "MSI disable: not active               | none | 1  | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "MSI loopback: not active              | none | 1  | TRIGGER | 0 | 1 | NONE    | EINVAL",
        "MSI loopback: past the allocated      | msi  | 1  | TRIGGER | 1 | 1 | BOOL    | EINVAL",
        "MSI retarget: past the allocated      | msi  | 1  | TRIGGER | 0 | 2 | EVENTFD | EINVAL",
        "MSI EVENTFD 0: enables nothing        | none | 1  | TRIGGER | 0 | 0 | EVENTFD | EINVAL",
        "MSI EVENTFD 0: enables nothing else   | none | 1  | TRIGGER | 1 | 0 | EVENTFD | EINVAL",
        "MSI retarget of none past the allocated | msi | 1 | TRIGGER | 1 | 0 | EVENTFD | EINVAL",
        "REQ loopback: no eventfd              | none | 4  | TRIGGER | 0 | 1 | NONE    | EINVAL",
        "REQ disable: no eventfd               | none | 4  | TRIGGER | 0 | 0 | NONE    | EINVAL",
        "REQ EVENTFD 0                         | none | 4  | TRIGGER | 0 | 0 | EVENTFD | EINVAL",
        "REQ MASK                              | none | 4  | MASK    | 0 | 1 | NONE    | ENOTTY",
        "REQ UNMASK                            | none | 4  | UNMASK  | 0 | 1 | NONE    | ENOTTY",
        "REQ count > 1                         | none | 4  | TRIGGER | 0 | 2 | NONE    | EINVAL",
        "REQ BOOL 0                            | none | 4  | TRIGGER | 0 | 0 | BOOL    | EINVAL"})
    void table(String rule, String active, int index, IrqSet.Action action, int start, int count, IrqSet.Data data,
        Errno errno) {
        if (!active.equals("none")) {
            device.setIrqs(IrqSet.eventFds(active.equals("msi") ? Irq.MSI : Irq.INTX, 0, eventFd));
        }
        List<MsiRoute> routes = container.as(Msis.class).routes();
        String config = Arrays.toString(board.a.config);
        refused(errno, () -> device.setIrqs(set(index, action, start, count, data)));
        assertEquals(routes, container.as(Msis.class).routes());
        assertEquals(config, Arrays.toString(board.a.config));
        assertEquals(4, eventFd.count());
    }

    @Test
    @DisplayName("SET_IRQS: fewer data than vectors: EINVAL")
    void tooLittleData() {
        device.setIrqs(msi(eventFd));
        refused(Errno.EINVAL, "0 data items",
            () -> device.setIrqs(new IrqSet(Irq.MSI, TRIGGER, 0, 1, BOOL, List.of(), List.of())));
        refused(Errno.EINVAL, "0 data items",
            () -> device.setIrqs(new IrqSet(Irq.MSI, TRIGGER, 0, 1, EVENTFD, List.of(), List.of())));
    }

    // MSI

    @Test
    @DisplayName("MSI: a message goes to window iova + offset with the controller's data: eventfd 4, fire, read 5")
    void message() {
        assertEquals(0, device.setIrqs(msi(eventFd)));
        assertTrue(board.a.msiEnabled());
        assertEquals(0x1000_0140L, board.a.msiAddress());
        assertEquals(0x40, board.a.register(FakeFunction.MSI + 12, 2));
        assertEquals(List.of(new MsiRoute("0000:01:00.0", 0, 0, 0x1000_0140L, 0x40)),
            container.as(Msis.class).routes());
        assertEquals(0, board.a.raise());
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("MSI: more vectors asked for than there are: returns 1, nothing is enabled")
    void fewer() {
        assertEquals(1, device.setIrqs(msi(eventFd, other)));
        assertEquals(1, device.setIrqs(IrqSet.eventFds(Irq.MSI, 1, eventFd)));
        assertEquals(1, device.setIrqs(IrqSet.eventFds(Irq.MSI, 2)));
        assertFalse(board.a.msiEnabled());
        assertEquals(0, board.controller.used());
        assertEquals(List.of(), container.as(Msis.class).routes());
    }

    @Test
    @DisplayName("MSI: another eventfd takes over; null makes a hole; loopback signals; disable gives the vector back")
    void retarget() {
        device.setIrqs(msi(eventFd));
        device.setIrqs(msi(other));
        board.a.raise();
        assertEquals(1, other.poll());
        assertEquals(4, eventFd.count());
        device.setIrqs(IrqSet.none(Irq.MSI, TRIGGER, 0, 1));
        device.setIrqs(IrqSet.booleans(Irq.MSI, TRIGGER, 0, List.of(true)));
        device.setIrqs(IrqSet.booleans(Irq.MSI, TRIGGER, 0, List.of(false)));
        assertEquals(2, other.poll());
        device.setIrqs(msi((EventFd) null));
        board.a.raise();
        assertEquals(0, other.count());
        device.setIrqs(IrqSet.disable(Irq.MSI));
        assertFalse(board.a.msiEnabled());
        assertEquals(0, board.controller.used());
        refused(Errno.EINVAL, () -> device.setIrqs(IrqSet.disable(Irq.MSI)));
    }

    @ParameterizedTest(name = "start {0}")
    @DisplayName("MSI: TRIGGER with no data and count 0 disables all of them, whichever vector it starts at")
    @ValueSource(ints = {0, 1, 2, 3})
    void disable(int start) {
        device.setIrqs(msi(eventFd));
        assertEquals(0, device.setIrqs(IrqSet.none(Irq.MSI, TRIGGER, start, 0)));
        assertFalse(board.a.msiEnabled());
        assertEquals(0, board.controller.used());
        assertEquals(List.of(), container.as(Msis.class).routes());
    }

    @Test
    @DisplayName("MSI: no booleans do nothing, up to the end of what is enabled")
    void noBooleans() {
        device.setIrqs(msi(eventFd));
        assertEquals(0, device.setIrqs(set(Irq.MSI, TRIGGER, 0, 0, BOOL)));
        assertEquals(0, device.setIrqs(set(Irq.MSI, TRIGGER, 1, 0, BOOL)));
        refused(Errno.EINVAL, () -> device.setIrqs(set(Irq.MSI, TRIGGER, 2, 0, BOOL)));
        assertEquals(4, eventFd.count());
    }

    @Test
    @DisplayName("MSI: no bank reachable: ENODEV; no free vector: ENOSPC; nothing enabled either time")
    void unreachable() {
        container.as(Msis.class).call("UNMAP", 0x1000_0000);
        refused(Errno.ENODEV, "MAP first", () -> device.setIrqs(msi(eventFd)));
        container.as(Msis.class).call("MAP", 0, 0x1000_0000);
        for (int i = 0; i < 4; i++) {
            board.controller.allocate(new MsiRequest(0x99, List.of(0), () -> {
            }));
        }
        refused(Errno.ENOSPC, () -> device.setIrqs(msi(eventFd)));
        assertFalse(board.a.msiEnabled());
        assertEquals(0, board.manual.enabled);
        assertEquals(0, device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd)));
    }

    @Test
    @DisplayName("MSI: each call of controller and strategy fails in turn: no vector, no placement, nothing in the "
        + "device")
    void enableFails() {
        board.vfio.addStrategy(board.auto, 10);
        container.as(Msis.class).strategy("auto");
        String before = board.iommu.state();
        int calls = 0;
        while (true) {
            board.trip.at(++calls);
            try {
                device.setIrqs(msi(eventFd));
                break;
            } catch (ErrnoException e) {
                assertEquals(Errno.EIO, e.errno());
            }
            assertEquals(before, board.iommu.state());
            assertEquals(0, board.controller.used());
            assertEquals(0, board.auto.enabled);
            assertEquals(List.of(), container.as(Msis.class).placements());
            assertEquals(List.of(), container.as(Msis.class).routes());
            assertFalse(board.a.msiEnabled());
        }
        assertEquals(5, calls, "allocate, enable, mapDoorbell, compose");
    }

    @Test
    @DisplayName("MSI: a device that does not let itself be enabled has no vector, shows MSI off, and a reset does "
        + "not enable it")
    void deviceRefuses() {
        board.a.beforeWrite = (offset, value) -> {
            if (offset == FakeFunction.MSI + 2 && (value & 1) != 0) {
                throw new IllegalStateException("not now");
            }
        };
        assertThrows(IllegalStateException.class, () -> device.setIrqs(msi(eventFd)));
        board.a.beforeWrite = (offset, value) -> {
        };
        assertEquals(0, board.controller.used());
        assertEquals(0, board.manual.enabled);
        assertEquals(0, device.read(Region.CONFIG, FakeFunction.MSI + 2, 2) & 1);
        device.reset();
        assertFalse(board.a.msiEnabled());
        device.setIrqs(msi(eventFd));
        board.a.raise();
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("RESET: interrupts stay enabled, and the command register is as the user left it")
    void reset() {
        device.setIrqs(msi(eventFd));
        for (int command : new int[] {0x0006, 0x0004, 0x0147, 0x0002, 0x0000}) {
            device.write(Region.CONFIG, 4, 2, command);
            int resets = board.a.resets;
            device.reset();
            assertEquals(resets + 1, board.a.resets);
            assertEquals(command, device.read(Region.CONFIG, 4, 2));
            assertEquals(command | 0x400, board.a.register(4, 2), "the host's mask stays");
        }
        assertTrue(board.a.msiEnabled());
        assertEquals(0x1000_0140L, board.a.msiAddress());
        board.a.raise();
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("RESET: a user's INTx stays unmasked, or masked, as it was")
    void resetWithPin() {
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        device.reset();
        assertEquals(0x0006, board.a.register(4, 2));
        board.a.raise();
        assertEquals(5, eventFd.poll());
        device.reset();
        assertEquals(0x0406, board.a.register(4, 2), "it has fired and not been unmasked");
    }

    // INTx

    @Test
    @DisplayName("INTx: fires once and masks itself; UNMASK fires again at once while the line is asserted")
    void autoMask() {
        assertEquals(0x400, board.a.register(4, 2) & 0x400, "masked before anybody listens");
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        assertEquals(0, board.a.register(4, 2) & 0x400);
        board.a.raise();
        assertEquals(5, eventFd.poll());
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
        board.a.raise();
        assertEquals(0, eventFd.count());
        device.setIrqs(IrqSet.none(Irq.INTX, UNMASK, 0, 1));
        assertEquals(1, eventFd.poll());
        board.a.assertPin(false);
        device.setIrqs(IrqSet.booleans(Irq.INTX, UNMASK, 0, List.of(true)));
        assertEquals(0, eventFd.count());
        board.a.raise();
        assertEquals(1, eventFd.poll());
    }

    @Test
    @DisplayName("INTx: asserted before it is enabled, with another device asserting the wire too: one signal, no more")
    void asserted() {
        board.a.raise();
        board.controller.line(5, true);
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        assertEquals(5, eventFd.poll());
    }

    @Test
    @DisplayName("INTx: MASK holds it back, a false mask does nothing; another device's interrupt on the wire is not "
        + "ours")
    void mask() {
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        device.setIrqs(IrqSet.booleans(Irq.INTX, MASK, 0, List.of(false)));
        board.controller.line(5, true);
        assertEquals(4, eventFd.count());
        board.controller.line(5, false);
        device.setIrqs(IrqSet.booleans(Irq.INTX, MASK, 0, List.of(true)));
        board.a.raise();
        assertEquals(4, eventFd.count());
        device.setIrqs(IrqSet.none(Irq.INTX, UNMASK, 0, 1));
        assertEquals(5, eventFd.count());
    }

    @ParameterizedTest(name = "{0}")
    @DisplayName("INTx: another device rings the wire just before UNMASK, or enabling, reaches the register: one "
        + "signal, and masked")
    @ValueSource(strings = {"UNMASK", "enabling"})
    void unmaskLate(String how) {
        IrqSet enable = IrqSet.eventFds(Irq.INTX, 0, eventFd);
        if (how.equals("UNMASK")) {
            device.setIrqs(enable);
        }
        board.a.raise();
        eventFd.poll();
        boolean[] rung = new boolean[1];
        board.a.beforeWrite = (offset, value) -> {
            if (offset == 4 && (value & 0x400) == 0 && !rung[0]) {
                rung[0] = true;
                board.controller.line(5, true);
            }
        };
        device.setIrqs(how.equals("UNMASK") ? IrqSet.none(Irq.INTX, UNMASK, 0, 1) : enable);
        assertTrue(rung[0]);
        assertEquals(0x400, board.a.register(4, 2) & 0x400, "else the pin stays asserted, and the core with it");
        assertEquals(1, eventFd.poll());
        device.setIrqs(IrqSet.none(Irq.INTX, UNMASK, 0, 1));
        assertEquals(1, eventFd.poll(), "still asserted");
    }

    @Test
    @DisplayName("INTx: the user's UNMASK overtakes a handler that is about to mask: the pin is heard")
    void maskLate() {
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        eventFd.poll();
        boolean[] unmasked = new boolean[1];
        board.a.beforeWrite = (offset, value) -> {
            if (offset == 4 && (value & 0x400) != 0 && !unmasked[0]) {
                unmasked[0] = true;
                device.setIrqs(IrqSet.none(Irq.INTX, UNMASK, 0, 1));
            }
        };
        board.a.raise();
        assertTrue(unmasked[0]);
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
        assertEquals(2, eventFd.poll(), "once before UNMASK, once after");
    }

    @Test
    @DisplayName("INTx: what cannot be unmasked is not enabled, and has its wire back")
    void unmaskFails() {
        board.a.beforeWrite = (offset, value) -> {
            if (offset == 4 && (value & 0x400) == 0) {
                throw new AssertionError("no write reaches it");
            }
        };
        assertThrows(AssertionError.class, () -> device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd)));
        assertEquals(0, board.controller.handlers());
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
        refused(Errno.EINVAL, () -> device.setIrqs(IrqSet.disable(Irq.INTX)));
        device.setIrqs(msi(eventFd));
    }

    @Test
    @DisplayName("RESET: what the user writes to the command register meanwhile is there afterwards")
    void resetMeanwhile() {
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd));
        boolean[] written = new boolean[1];
        board.a.beforeWrite = (offset, value) -> {
            if (offset == 4 && !written[0]) {
                written[0] = true;
                device.write(Region.CONFIG, 4, 2, 0x0002);
                device.setIrqs(IrqSet.none(Irq.INTX, MASK, 0, 1));
            }
        };
        device.reset();
        assertTrue(written[0]);
        assertEquals(0x0402, board.a.register(4, 2));
    }

    @Test
    @DisplayName("a write of the command register that is late does not bring a closed device's bus mastering back")
    void closedMeanwhile() {
        boolean[] closed = new boolean[1];
        board.a.beforeWrite = (offset, value) -> {
            if (offset == 4 && !closed[0]) {
                closed[0] = true;
                device.close();
            }
        };
        device.write(Region.CONFIG, 4, 2, 0x0006);
        assertTrue(closed[0]);
        assertEquals(0, board.a.register(4, 2) & 4);
    }

    @Test
    @DisplayName("INTx: null eventfd enables without a signal; retarget; loopback; disable masks and gives the wire "
        + "back")
    void intxTargets() {
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, (EventFd) null));
        refused(Errno.EINVAL, "interrupt pin", () -> device.setIrqs(msi(eventFd)));
        device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, other));
        device.setIrqs(IrqSet.none(Irq.INTX, TRIGGER, 0, 1));
        device.setIrqs(IrqSet.booleans(Irq.INTX, TRIGGER, 0, List.of(false)));
        assertEquals(1, other.poll());
        device.setIrqs(IrqSet.disable(Irq.INTX));
        assertEquals(0, board.controller.handlers());
        board.a.raise();
        assertEquals(0, other.count());
        device.setIrqs(msi(eventFd));
    }

    @Test
    @DisplayName("INTx: the controller refuses the wire: not enabled, masked at the device; no controller: ENODEV")
    void noWire() {
        board.trip.at(1);
        refused(Errno.EIO, () -> device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd)));
        assertEquals(0x400, board.a.register(4, 2) & 0x400);
        board.vfio.removeController(board.controller);
        refused(Errno.ENODEV, "not wired", () -> device.setIrqs(IrqSet.eventFds(Irq.INTX, 0, eventFd)));
        refused(Errno.ENODEV, "interrupt controller", () -> device.setIrqs(msi(eventFd)));
        refused(Errno.EINVAL, () -> device.setIrqs(IrqSet.disable(Irq.INTX)));
    }

    // REQ

    @Test
    @DisplayName("REQ: set, loopback, take away")
    void request() {
        assertEquals(0, device.setIrqs(IrqSet.booleans(Irq.REQ, TRIGGER, 0, List.of(true))),
            "as in Linux, nobody to signal is no error");
        device.setIrqs(IrqSet.eventFds(Irq.REQ, 0, other));
        device.setIrqs(IrqSet.none(Irq.REQ, TRIGGER, 0, 1));
        device.setIrqs(IrqSet.booleans(Irq.REQ, TRIGGER, 0, List.of(false)));
        assertEquals(1, other.poll());
        device.setIrqs(IrqSet.disable(Irq.REQ));
        refused(Errno.EINVAL, "eventfd first", () -> device.setIrqs(IrqSet.none(Irq.REQ, TRIGGER, 0, 1)));
        refused(Errno.EINVAL, "eventfd first", () -> device.setIrqs(IrqSet.disable(Irq.REQ)));
        device.setIrqs(IrqSet.eventFds(Irq.REQ, 0, other));
        device.setIrqs(IrqSet.eventFds(Irq.REQ, 0, (EventFd) null));
        refused(Errno.EINVAL, "eventfd first", () -> device.setIrqs(IrqSet.none(Irq.REQ, TRIGGER, 0, 1)));
        assertEquals(0, other.count());
        assertEquals(NONE, IrqSet.disable(Irq.REQ).data());
    }
}
