// SPDX-License-Identifier: Apache-2.0
package iommu.vtd;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdSettings;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory.Layout;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Devices write all the while mappings come and go. */
class DmaUnderChangeTest {
    private static final int PAGE = 4096;
    private static final int PAGES = 64;
    private static final long MARK = 0x5a5a5a5aL;

    @ParameterizedTest(name = "IOTLB of {0} entries")
    @ValueSource(ints = {64, 1 << 17})
    @DisplayName("P3: what was unmapped is never written again, what stays mapped is never refused")
    void stress(int iotlb) throws InterruptedException {
        Random random = Bench.random("DmaUnderChangeTest");
        Bench bench = new Bench(new VtdSettings(VtdSettings.DEFAULT.capabilities(), 46, true, true, iotlb));
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT);
        IommuDomain domain = driver.open();
        domain.attach(Bench.at(0x10));
        domain.attach(Bench.at(0x11));
        // Page 0 stays; pages 1.. come and go over two sets of memory. 0x40000000.. is a superpage that is cut and made
        // again.
        DmaBuffer fixed = bench.machine.memory().allocate(PAGE, PAGE, Layout.CONTIGUOUS);
        DmaBuffer[] memory = {bench.machine.memory().allocate(PAGES * PAGE, PAGE, Layout.SCATTERED),
            bench.machine.memory().allocate(2 << 20, 2 << 20, Layout.CONTIGUOUS)};
        domain.map(0, fixed, 0, PAGE, Access.READ_WRITE);
        AtomicReference<String> failure = new AtomicReference<>();
        AtomicLong written = new AtomicLong();
        AtomicLong refused = new AtomicLong();
        boolean[] stop = {false};
        List<Thread> devices = new ArrayList<>();
        for (int i = 0; i < 3; i++) {
            DmaPort port = bench.port(i == 0 ? 0x10 : 0x11);
            long seed = random.nextLong();
            Thread device = new Thread(() -> {
                Random own = new Random(seed);
                while (!stop[0] && failure.get() == null) {
                    if (port.write(0, 4, 1) != Bus.OK) {
                        failure.set("the fixed page was refused");
                    }
                    int page = 1 + own.nextInt(PAGES - 1);
                    long iova = own.nextInt(4) == 0 ? 0x40000000L + own.nextInt(512) * PAGE : (long) page * PAGE;
                    int status = port.write(iova + 8L * own.nextInt(512), 4, MARK);
                    if (status == Bus.OK) {
                        written.incrementAndGet();
                    } else if (status == Refusal.UNMAPPED) {
                        refused.incrementAndGet();
                    } else {
                        failure.set("status " + Refusal.name(status));
                    }
                    Thread.onSpinWait();
                }
            });
            devices.add(device);
            device.start();
        }
        try {
            long deadline = System.nanoTime() + 800_000_000L;
            for (int round = 0; System.nanoTime() < deadline && failure.get() == null; round++) {
                int first = 1 + random.nextInt(PAGES - 2);
                int count = 1 + random.nextInt(Math.min(8, PAGES - first));
                domain.map((long) first * PAGE, memory[0], (long) first * PAGE, (long) count * PAGE, Access.READ_WRITE);
                domain.map(0x40000000L, memory[1], 0, 2 << 20, Access.READ_WRITE);
                if ((round & 3) == 0) {
                    Thread.sleep(0, 300_000);
                }
                long hole = random.nextInt(512);
                assertEquals(PAGE, domain.unmap(0x40000000L + hole * PAGE, PAGE));
                quiet(bench, memory[1].physical(hole * PAGE), failure);
                assertEquals((2 << 20) - PAGE, domain.unmap(0x40000000L, 2 << 20));
                quiet(bench, memory[1].physical(random.nextInt(512) * PAGE), failure);
                assertEquals((long) count * PAGE, domain.unmap((long) first * PAGE, (long) count * PAGE));
                for (int i = 0; i < count; i++) {
                    quiet(bench, memory[0].physical((long) (first + i) * PAGE), failure);
                }
            }
        } finally {
            stop[0] = true;
            for (Thread device : devices) {
                device.join(10_000);
            }
        }
        assertNull(failure.get());
        assertTrue(written.get() > 100 && refused.get() > 100, written + " written, " + refused + " refused");
        driver.close();
    }

    @Test
    @DisplayName("an access that does not end keeps no other domain; its own unmap says ETIMEDOUT, and detach leaves "
        + "it attached")
    void endless() throws InterruptedException {
        Bench bench = new Bench(Duration.ofMillis(200), VtdSettings.DEFAULT);
        VtdDriver driver = new VtdDriver(bench.machine, bench.nodes, VtdDriverSettings.DEFAULT);
        IommuDomain stuck = driver.open();
        IommuDomain other = driver.open();
        stuck.attach(Bench.at(0x10));
        other.attach(Bench.at(0x11));
        DmaBuffer memory = bench.machine.memory().allocate(2 * PAGE, PAGE, Layout.CONTIGUOUS);
        for (IommuDomain domain : List.of(stuck, other)) {
            domain.map(0, memory, 0, PAGE, Access.READ_WRITE);
            domain.map(PAGE, memory, PAGE, PAGE, Access.READ_WRITE);
        }
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        bench.machine.onFault(fault -> {
            if (fault.iova() == 8 * PAGE) {
                inside.countDown();
                try {
                    assertTrue(go.await(20, TimeUnit.SECONDS));
                } catch (InterruptedException e) {
                    throw new AssertionError(e);
                }
            }
        });
        DmaPort port = bench.port(0x10);
        Thread device = new Thread(() -> port.write(8 * PAGE, 4, 1));
        device.start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        assertEquals(PAGE, other.unmap(0, PAGE));
        other.close();
        assertEquals(Errno.ETIMEDOUT, assertThrows(ErrnoException.class, () -> stuck.detach(Bench.at(0x10))).errno());
        assertEquals(Bus.OK, bench.port(0x10).write(0, 4, 7), "it is attached no more");
        assertEquals(Errno.ETIMEDOUT, assertThrows(ErrnoException.class, () -> stuck.unmap(0, PAGE)).errno());
        assertEquals(Refusal.UNMAPPED, bench.port(0x10).write(0, 4, 7));
        stuck.map(0, memory, 0, PAGE, Access.READ_WRITE);
        assertEquals(Bus.OK, bench.port(0x10).write(0, 4, 7));
        go.countDown();
        device.join();
        assertEquals(2 * PAGE, stuck.unmap(0, 2 * PAGE));
        driver.close();
    }

    /** Puts a guard pattern where nothing may write any more, gives the devices time, looks. */
    private static void quiet(Bench bench, long physical, AtomicReference<String> failure) {
        for (int i = 0; i < PAGE; i += 8) {
            bench.bus.write(physical + i, 4, 0x11111111L);
        }
        Thread.yield();
        for (int i = 0; i < PAGE; i += 8) {
            if (bench.bus.read(physical + i, 4) != 0x11111111L) {
                failure.compareAndSet(null, String.format("0x%x was written after the unmap", physical + i));
            }
        }
    }
}
