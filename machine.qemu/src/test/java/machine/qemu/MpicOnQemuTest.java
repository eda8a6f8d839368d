// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import irq.mpic.MpicDriver;
import irq.mpic.MpicSettings;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.BooleanSupplier;
import machine.api.Attachment;
import machine.api.Bus;
import machine.api.DmaMemory;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.InterruptLine;
import machine.api.Machine;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Wire;
import machine.qemu.process.Installed;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** irq.mpic's driver on QEMU's MPIC: nothing in it knows. */
@Installed
@Timeout(60)
class MpicOnQemuTest {
    private static final int DEVICE = 0x42;

    private final List<String> reports = new CopyOnWriteArrayList<>();
    private Machine machine = start("ppce500");
    private Node pic = pic();
    private MpicDriver driver = new MpicDriver(machine, pic, MpicSettings.DEFAULTS,
        (what, cause) -> reports.add(what + ": " + cause));

    @AfterEach
    void stop() {
        driver.close();
        machine.close();
        assertEquals(List.of(), reports);
    }

    private static Machine start(String board) {
        return new QemuMachineSource().open("qemu:" + board, new byte[0], Map.of());
    }

    private Node pic() {
        return machine.nodes().stream().filter(node -> node.compatibleWith("fsl,mpic")).findFirst().orElseThrow();
    }

    private Wire wire(int input) {
        return new Wire(pic.path(), input, true, input + " 2 0 0");
    }

    private void ring(MsiVector vector) {
        MsiMessage message = driver.doorbells().compose(vector);
        assertEquals(Bus.OK,
            machine.bus().write(DEVICE, driver.doorbells().banks().get(message.bank()).page() + message.offset(), 4,
            message.data() & 0xffffffffL));
    }

    private static void eventually(BooleanSupplier condition, String what) {
        long until = System.nanoTime() + 10_000_000_000L;
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < until, what);
            Thread.onSpinWait();
        }
    }

    @DisplayName("MPIC 5.1: a message of each register and bit reaches the handler of its vector, each once")
    @Test
    void messages() {
        assertEquals(1, driver.doorbells().banks().size());
        int vectors = driver.doorbells().banks().get(0).vectors();
        assertEquals(256, vectors);
        int[] calls = new int[vectors];
        List<MsiVector> all = new ArrayList<>();
        for (int i = 0; i < vectors; i++) {
            int number = i;
            all.add(driver.doorbells().allocate(new MsiRequest(DEVICE, List.of(0), () -> {
                synchronized (calls) {
                    calls[number]++;
                }
            })));
        }
        assertEquals(Errno.ENOSPC, assertThrows(ErrnoException.class,
            () -> driver.doorbells().allocate(new MsiRequest(DEVICE, List.of(0), () -> {
            }))).errno());
        for (int round = 1; round <= 2; round++) {
            int expected = round;
            for (int i = 0; i < vectors; i += round == 1 ? 1 : 37) {
                ring(all.get(i));
                int number = i;
                eventually(() -> {
                    synchronized (calls) {
                        return calls[number] == expected;
                    }
                }, "vector " + number + " in round " + expected);
            }
        }
        synchronized (calls) {
            for (int i = 0; i < vectors; i++) {
                assertEquals(i % 37 == 0 ? 2 : 1, calls[i], "vector " + i);
            }
        }
        assertEquals(0, driver.unhandled());
    }

    @DisplayName("A vector given back is silent, and its number is free again")
    @Test
    void release() {
        AtomicInteger calls = new AtomicInteger();
        MsiVector vector = driver.doorbells().allocate(new MsiRequest(DEVICE, List.of(0), calls::incrementAndGet));
        MsiMessage message = driver.doorbells().compose(vector);
        long doorbell = driver.doorbells().banks().get(0).page() + message.offset();
        ring(vector);
        eventually(() -> calls.get() == 1, "first message");
        driver.doorbells().release(vector);
        machine.bus().write(DEVICE, doorbell, 4, message.data());
        eventually(() -> driver.unhandled() == 1, "a message nobody has");
        eventually(() -> driver.doorbells().free(0) == 256, "free again");
        assertEquals(1, calls.get());
        // It is counted before it is reported.
        eventually(() -> reports.size() == 1, "its report");
        reports.clear();
    }

    @DisplayName("MPIC 2: a level-sensitive wire, shared by two devices, calls its handler while any of them asserts "
        + "it; masked, it waits")
    @Test
    void wires() {
        InterruptLine one = machine.line(wire(5));
        InterruptLine two = machine.line(wire(5));
        AtomicInteger calls = new AtomicInteger();
        AtomicReference<Runnable> act = new AtomicReference<>(() -> {
            // A handler lowers the wire of the device it has served.
            if (calls.get() == 1) {
                one.set(false);
            } else {
                two.set(false);
            }
        });
        // Both are up before the source is unmasked, or the first call could find one of them alone.
        two.set(true);
        one.set(true);
        Attachment request = driver.request(wire(5), () -> {
            calls.incrementAndGet();
            act.get().run();
        });
        eventually(() -> calls.get() == 2 && !machine.cpus().get(0).asserted(), "two calls, and quiet");
        driver.mask(wire(5), true);
        one.set(true);
        machine.bus().sync();
        assertFalse(machine.cpus().get(0).asserted());
        assertEquals(2, calls.get());
        act.set(() -> one.set(false));
        driver.mask(wire(5), false);
        eventually(() -> calls.get() == 3 && !machine.cpus().get(0).asserted(), "unmasked");
        request.close();
        one.set(true);
        machine.bus().sync();
        assertEquals(3, calls.get());
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class,
            () -> machine.line(new Wire("/elsewhere", 1, true, "1 2 0 0"))).errno());
    }

    @DisplayName("The driver leaves and a second one takes over: messages of the time between are none of its own")
    @Test
    void successor() {
        AtomicInteger calls = new AtomicInteger();
        MsiVector vector = driver.doorbells().allocate(new MsiRequest(DEVICE, List.of(0), calls::incrementAndGet));
        MsiMessage message = driver.doorbells().compose(vector);
        long doorbell = driver.doorbells().banks().get(0).page() + message.offset();
        assertEquals(Errno.EBUSY,
            assertThrows(ErrnoException.class, () -> new MpicDriver(machine, pic, MpicSettings.DEFAULTS,
            (what, cause) -> reports.add(what))).errno());
        driver.close();
        machine.bus().write(DEVICE, doorbell, 4, message.data());
        driver = new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (what, cause) -> reports.add(what + ": " + cause));
        MsiVector again = driver.doorbells().allocate(new MsiRequest(DEVICE, List.of(0), calls::incrementAndGet));
        assertEquals(vector, again);
        machine.bus().sync();
        assertEquals(0, calls.get());
        ring(again);
        eventually(() -> calls.get() == 1, "its own message");
        // A stale message in MSIR is told of if the reset has left it there.
        reports.removeIf(line -> line.startsWith("messages of a time before this driver"));
    }

    @DisplayName("mpc8544ds: MPIC 2.0 has wires and, for this driver, no message banks (erratum PIC1)")
    @Test
    void older() {
        driver.close();
        machine.close();
        machine = start("mpc8544ds");
        pic = pic();
        driver = new MpicDriver(machine, pic, MpicSettings.DEFAULTS, (what, cause) -> reports.add(what + ": " + cause));
        assertEquals(List.of(), driver.doorbells().banks());
        AtomicInteger calls = new AtomicInteger();
        InterruptLine line = machine.line(wire(3));
        driver.request(wire(3), () -> {
            calls.incrementAndGet();
            line.set(false);
        });
        line.set(true);
        eventually(() -> calls.get() == 1, "source 3");
    }

    @DisplayName("The bus: little-endian over a big-endian target; all ones and NO_TARGET where nothing answers; no "
        + "windows, no units")
    @Test
    void bus() {
        Bus bus = machine.bus();
        long ram = machine.memory().allocate(4096, 4096, DmaMemory.Layout.CONTIGUOUS).physical(0);
        bus.write(ram, 8, 0x8877_6655_4433_2211L);
        byte[] bytes = new byte[8];
        assertEquals(Bus.OK, bus.read(ram, bytes, 0, 8));
        for (int i = 0; i < 8; i++) {
            assertEquals((byte) (0x11 * (i + 1)), bytes[i]);
        }
        assertEquals(0x5544_3322L, bus.read(ram + 1, 4));
        assertEquals(0x22, bus.read(ram + 1, 1));
        assertEquals(0x4433, bus.read(ram + 2, 2));
        assertEquals(0x8877_6655_4433_2211L, bus.read(ram, 8));
        for (int size : new int[] {1, 2, 4, 8}) {
            assertEquals(-1L >>> 64 - 8 * size, bus.read(0xe_0000_0000L, size));
            assertEquals(Refusal.NO_TARGET, bus.write(0xe_0000_0000L, size, 1));
        }
        long end = 128L << 20;
        assertEquals(0xffff_ffffL, bus.read(end - 2, 4));
        byte[] across = new byte[8];
        bus.write(Bus.CPU, end - 4, new byte[] {1, 2, 3, 4}, 0, 4);
        assertEquals(Refusal.NO_TARGET, bus.read(end - 4, across, 0, 8));
        assertEquals("[1, 2, 3, 4, -1, -1, -1, -1]", java.util.Arrays.toString(across));
        byte[] registers = new byte[4];
        long pics = pic.registers().get(0).physical();
        assertEquals(Bus.OK, bus.read(pics, registers, 0, 4));
        assertEquals("[0, 64, 4, 2]", java.util.Arrays.toString(registers), "BRR1 0x00400402, big-endian");
        assertEquals(Errno.EOPNOTSUPP,
            assertThrows(ErrnoException.class, () -> bus.attach(0xe_0000_0000L, 4096, null)).errno());
        assertEquals(Errno.EOPNOTSUPP, assertThrows(ErrnoException.class, () -> machine.attach(pic, null)).errno());
        assertTrue(machine.ready(pic));
        assertTrue(pic.builtIn());
    }

    @DisplayName("QEMU dies while the driver works: the call in progress says so, with QEMU's end; closing still "
        + "ends everything")
    @Test
    void death() {
        ((QemuMachine) machine).qemu().process().destroyForcibly();
        ErrnoException e = assertThrows(ErrnoException.class, () -> {
            while (true) {
                driver.request(wire(7), () -> {
                }).close();
            }
        });
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("was ended by signal 9"), e.getMessage());
        machine.close();
    }
}
