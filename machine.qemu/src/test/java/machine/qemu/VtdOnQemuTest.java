// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.api.Violation;
import iommu.vtd.VtdDriver;
import iommu.vtd.VtdDriverSettings;
import irq.api.InterruptRemapping;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import irq.apic.ApicDriver;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Random;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.function.BooleanSupplier;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node;
import machine.api.Requester;
import machine.qemu.process.Installed;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** iommu.vtd's driver on QEMU's VT-d, irq.apic's on its local APIC, QEMU's edu making the accesses. */
@Installed
@Timeout(60)
class VtdOnQemuTest {
    private static final long SEED = Long.getLong("gantry.seed", System.nanoTime());
    private static final int PAGE = 4096;
    private static final long MIB2 = 2L << 20;

    private final Random random = new Random(SEED);
    private final List<String> reports = new CopyOnWriteArrayList<>();
    private QemuMachine machine;
    private VtdDriver driver;
    private Edu one;
    private Edu two;
    private Requester first;
    private Requester second;

    private void start(String... options) {
        Map<String, String> map = new HashMap<>();
        for (int i = 0; i < options.length; i += 2) {
            map.put(options[i], options[i + 1]);
        }
        machine = (QemuMachine) new QemuMachineSource().open("qemu:q35", new byte[0], map);
        one = new Edu(machine.functions().get(0));
        two = new Edu(machine.functions().get(1));
        first = machine.functions().get(0).requester();
        second = machine.functions().get(1).requester();
        driver = new VtdDriver(machine, List.of(node("intel,vt-d")), VtdDriverSettings.DEFAULT);
    }

    @AfterEach
    void stop() {
        if (machine != null) {
            driver.close();
            machine.close();
        }
        assertEquals(List.of(), reports, () -> "seed " + SEED);
    }

    private Node node(String compatible) {
        return machine.nodes().stream().filter(node -> node.compatibleWith(compatible)).findFirst().orElseThrow();
    }

    private byte[] fill(DmaBuffer buffer) {
        byte[] bytes = new byte[(int) buffer.size()];
        random.nextBytes(bytes);
        buffer.write(0, bytes, 0, bytes.length);
        return bytes;
    }

    private static byte[] read(DmaBuffer buffer) {
        byte[] bytes = new byte[(int) buffer.size()];
        buffer.read(0, bytes, 0, bytes.length);
        return bytes;
    }

    private void violated(String reason, int source) {
        List<Violation> violations = driver.violations();
        assertEquals(1, violations.size(), violations::toString);
        assertTrue(violations.get(0).reason().startsWith(reason), violations::toString);
        assertTrue(violations.get(0).toString().contains(Integer.toHexString(source)), violations::toString);
    }

    private static void eventually(BooleanSupplier condition, String what) {
        long until = System.nanoTime() + 10_000_000_000L;
        while (!condition.getAsBoolean()) {
            assertTrue(System.nanoTime() < until, what);
            Thread.onSpinWait();
        }
    }

    @DisplayName("VT-d 3.4: mapped memory is reached, scattered pages and superpages alike; all else is refused and "
        + "recorded")
    @ParameterizedTest
    @ValueSource(strings = {"intremap=on", "intremap=on,caching-mode=on", "intremap=on,aw-bits=48"})
    void translation(String iommu) {
        start("iommu", iommu);
        one.fetch(0x10000, 16);
        violated("0x01", first.id());
        try (IommuDomain domain = driver.open();
             DmaBuffer scattered = machine.memory().allocate(4 * PAGE, PAGE, Layout.SCATTERED);
             DmaBuffer large = machine.memory().allocate(2 * MIB2, MIB2, Layout.CONTIGUOUS)) {
            domain.attach(first);
            one.fetch(0x10000, 16);
            violated("0x06", first.id());
            domain.map(0x10000, scattered, 0, scattered.size(), Access.READ_WRITE);
            domain.map(0x4000_0000L, large, 0, large.size(), Access.READ_WRITE);
            byte[] source = fill(scattered);
            byte[] before = fill(large);
            // Over a page boundary, and into a superpage over the boundary to the next.
            one.fetch(0x10000 + PAGE - 100, Edu.MOST);
            one.store(0x4000_0000L + MIB2 - 1000, Edu.MOST);
            System.arraycopy(source, PAGE - 100, before, (int) MIB2 - 1000, Edu.MOST);
            assertArrayEquals(before, read(large), () -> "seed " + SEED);
            assertEquals(List.of(), driver.violations());

            two.fetch(0x10000, 16);
            violated("0x02", second.id());
            one.store(0x9000_0000L, 64);
            violated("0x05", first.id());

            assertEquals(2 * MIB2, domain.unmap(0x4000_0000L, 2 * MIB2));
            one.store(0x4000_0000L, 64);
            violated("0x05", first.id());
            assertArrayEquals(before, read(large), () -> "seed " + SEED);
            domain.map(0x4000_0000L, large, MIB2, PAGE, Access.READ);
            one.store(0x4000_0000L, 64);
            violated("0x05", first.id());
            assertArrayEquals(before, read(large), () -> "seed " + SEED);
            domain.detach(first);
            one.fetch(0x10000, 16);
            violated("0x02", first.id());
        }
    }

    @DisplayName("A page that was used is gone for the device when unmap returns, however often; its successor is "
        + "seen at once")
    @Test
    void remap() {
        start();
        try (IommuDomain domain = driver.open();
             DmaBuffer pages = machine.memory().allocate(8 * PAGE, PAGE, Layout.CONTIGUOUS);
             DmaBuffer target = machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS)) {
            domain.attach(first);
            domain.map(0x20_0000, target, 0, PAGE, Access.READ_WRITE);
            byte[] content = fill(pages);
            for (int i = 0; i < 40; i++) {
                int page = random.nextInt(8);
                domain.map(0x10000, pages, (long) page * PAGE, PAGE, Access.READ);
                one.fetch(0x10000, 256);
                one.store(0x20_0000, 256);
                byte[] seen = Arrays.copyOf(read(target), 256);
                assertArrayEquals(Arrays.copyOfRange(content, page * PAGE, page * PAGE + 256), seen,
                    () -> "seed " + SEED);
                assertEquals(PAGE, domain.unmap(0x10000, PAGE));
                one.fetch(0x10000, 256);
                violated("0x06", first.id());
            }
        }
    }

    @DisplayName("Two domains: the same address is different memory, and neither reaches the other's")
    @Test
    void domains() {
        start();
        try (IommuDomain mine = driver.open(); IommuDomain other = driver.open();
             DmaBuffer a = machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS);
             DmaBuffer b = machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS)) {
            mine.attach(first);
            other.attach(second);
            mine.map(0x10000, a, 0, PAGE, Access.READ_WRITE);
            other.map(0x10000, b, 0, PAGE, Access.READ_WRITE);
            byte[] inA = fill(a);
            byte[] inB = fill(b);
            one.fetch(0x10000, 512);
            one.store(0x10800, 512);
            System.arraycopy(inA, 0, inA, 0x800, 512);
            assertArrayEquals(inA, read(a), () -> "seed " + SEED);
            assertArrayEquals(inB, read(b), () -> "seed " + SEED);
            two.fetch(0x10000, 512);
            two.store(0x10a00, 512);
            System.arraycopy(inB, 0, inB, 0xa00, 512);
            assertArrayEquals(inA, read(a), () -> "seed " + SEED);
            assertArrayEquals(inB, read(b), () -> "seed " + SEED);
        }
    }

    @DisplayName("VT-d 3.14: a message is a write; aimed at mapped memory it lands there, translated")
    @Test
    void messageToMemory() {
        start();
        try (IommuDomain domain = driver.open();
            DmaBuffer page = machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS)) {
            domain.attach(first);
            domain.map(0x14000, page, 0, PAGE, Access.READ_WRITE);
            page.write(0, new byte[PAGE], 0, PAGE);
            one.message(0x14010, 0x4321);
            one.raise(1);
            assertEquals(0x4321, machine.bus().read(page.physical(0x10), 4));
        }
    }

    @DisplayName("VT-d 5: a remapped message interrupts QEMU's core, irq.apic acknowledges and ends it; a released "
        + "entry lets none through")
    @Test
    void interrupts() {
        start();
        InterruptRemapping remapping = driver.remapping().orElseThrow();
        try (ApicDriver apic = new ApicDriver(machine, node("intel,lapic"), Optional.of(remapping), (what, cause) ->
                reports.add(what + ": " + cause))) {
            assertTrue(apic.doorbells().verifiesSource());
            int[] calls = new int[12];
            List<MsiVector> vectors = new ArrayList<>();
            for (int i = 0; i < calls.length; i++) {
                int number = i;
                vectors.add(apic.doorbells().allocate(new MsiRequest(first.id(), List.of(0), () -> {
                    synchronized (calls) {
                        calls[number]++;
                    }
                })));
            }
            int[] expected = new int[calls.length];
            for (int round = 0; round < 100; round++) {
                int which = random.nextInt(calls.length);
                send(apic, vectors.get(which), one);
                expected[which]++;
                eventually(() -> same(expected, calls), "seed " + SEED + ", message " + round + " of vector " + which);
            }
            // Not who it was given to: remapping verifies the source id.
            MsiMessage message = send(apic, vectors.get(3), two);
            settle(apic, vectors.get(5), expected, calls);
            two.message(0, 0);

            MsiVector gone = vectors.get(7);
            apic.doorbells().release(gone);
            one.message(apic.doorbells().banks().get(0).page() + message.offset() + (7 - 3 << 5), 0);
            one.raise(1);
            settle(apic, vectors.get(5), expected, calls);
        }
        assertEquals(0, machine.bus().read(0xfee0_00f0L, 4) >> 8 & 1, "the driver has disabled the APIC");
    }

    /** What must not arrive has had its time when something that was sent later has arrived. */
    private void settle(ApicDriver apic, MsiVector vector, int[] expected, int[] calls) {
        send(apic, vector, one);
        expected[5]++;
        eventually(() -> expected[5] == calls[5], "the later one");
        assertTrue(same(expected, calls));
    }

    private static boolean same(int[] expected, int[] calls) {
        synchronized (calls) {
            return Arrays.equals(expected, calls);
        }
    }

    private MsiMessage send(ApicDriver apic, MsiVector vector, Edu edu) {
        MsiMessage message = apic.doorbells().compose(vector);
        edu.message(apic.doorbells().banks().get(message.bank()).page() + message.offset(), message.data());
        edu.raise(1);
        return message;
    }

    @DisplayName("Death under a driver: EIO with QEMU's end")
    @Test
    void death() {
        start();
        machine.qemu().process().destroyForcibly();
        ErrnoException e = assertThrows(ErrnoException.class, () -> {
            while (true) {
                driver.open().attach(first);
            }
        });
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("was ended by signal 9"), e.getMessage());
        machine.close();
    }
}
