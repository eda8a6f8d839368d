// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Requester;
import machine.api.Snoop;
import machine.api.Unit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** {@link Bus#snoop}: a unit that caches its tables hears of every store into them. */
@Timeout(30)
class LocalSnoopTest {
    private static final int CHUNK = 2 << 20;
    private static final long TABLE = CHUNK - 0x1000;
    private static final long SIZE = 0x2000;

    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 4L * CHUNK), new Ram(0x1000_0000, CHUNK)));
    private final LocalMachine machine = new LocalMachine(
        new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), bus);
    private final AtomicBoolean stop = new AtomicBoolean();
    private final List<Thread> threads = new ArrayList<>();
    private final Snoop snoop = bus.snoop(List.of(new Node.Range(TABLE, SIZE), new Node.Range(0x1000_0040, 0x40)));

    @AfterEach
    void end() throws InterruptedException {
        stop.set(true);
        for (Thread thread : threads) {
            thread.join();
        }
    }

    private void start(Runnable code) {
        Thread thread = new Thread(code);
        threads.add(thread);
        thread.start();
    }

    private void heard(boolean expected, Runnable store, String what) {
        long before = snoop.stamp();
        assertNotEquals(Snoop.NONE, before);
        assertTrue(snoop.unchanged(before));
        store.run();
        assertEquals(!expected, snoop.unchanged(before), what);
        assertNotEquals(Snoop.NONE, snoop.stamp(), "no stamp after " + what);
    }

    @Test
    @DisplayName("Snoop: hears stores of every kind into its ranges, and no others")
    void everyStore() {
        bus.sync();
        byte[] block = new byte[0x3000];
        for (int size : new int[] {1, 2, 4, 8}) {
            heard(true, () -> bus.write(TABLE, size, 1), "the first " + size + " bytes");
            heard(true, () -> bus.write(TABLE + SIZE - size, size, 1), "the last " + size + " bytes");
            heard(false, () -> bus.write(TABLE - size, size, 1), size + " bytes below");
            heard(false, () -> bus.write(TABLE + SIZE, size, 1), size + " bytes above");
        }
        heard(true, () -> bus.write(TABLE - 3, 8, 1), "a value that is not aligned and ends inside");
        heard(true, () -> bus.write(0x1000_0078, 8, 1), "the second range");
        heard(false, () -> bus.write(0x1000_0080, 8, 1), "behind the second range");
        heard(true, () -> bus.write(Bus.CPU, TABLE - 0x800, block, 0, 0x3000),
            "a block over all of it, and over two pieces");
        heard(true, () -> bus.write(Bus.CPU, TABLE - 0x2000, new byte[0x3800], 0, 0x3800),
            "a block whose first piece begins far below");
        heard(true, () -> bus.write(Bus.CPU, TABLE - 0x1000, block, 0, 0x1001), "a block that ends inside");
        heard(false, () -> bus.write(Bus.CPU, TABLE - 0x1000, block, 0, 0x1000), "a block that ends before");
        machine.attach(Node.at("/iommu"),
            new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> iova),
            InterruptInputs.NONE));
        try (DmaPort port = machine.openPort(new Requester(1, "/iommu", 1))) {
            heard(true, () -> port.write(TABLE + 8, 4, 1), "a device's value");
            heard(true, () -> port.write(TABLE, block, 0, 0x1000), "a device's block");
            heard(false, () -> port.write(TABLE - 0x1000, block, 0, 0x1000), "a device's block before");
            heard(false, () -> port.read(TABLE, block, 0, 0x1000), "a device's read");
        }
    }

    @Test
    @DisplayName("Snoop: no stamp before the first sync, and never again after close; another one is not concerned")
    void life() {
        assertEquals(Snoop.NONE, snoop.stamp());
        assertFalse(snoop.unchanged(Snoop.NONE));
        Snoop other = bus.snoop(List.of(new Node.Range(TABLE, 0x10)));
        bus.sync();
        long stamp = snoop.stamp();
        assertTrue(snoop.unchanged(stamp));
        snoop.close();
        snoop.close();
        bus.sync();
        assertFalse(snoop.unchanged(stamp));
        assertEquals(Snoop.NONE, snoop.stamp());
        long still = other.stamp();
        bus.write(TABLE, 1, 1);
        assertFalse(other.unchanged(still));
        other.close();
        bus.write(TABLE, 8, 0x1234);
        bus.write(TABLE, 8, 0x1235);
        assertEquals(0x1235, bus.read(TABLE, 8));
    }

    @Test
    @DisplayName("Snoop: hears stores into memory that was in use before it came, and the next one does after it has "
        + "gone")
    void memoryInUse() {
        long place = 3L * CHUNK;
        bus.write(place, 8, 1);
        for (int turn = 0; turn < 2; turn++) {
            try (Snoop late = bus.snoop(List.of(new Node.Range(place, 8)))) {
                bus.sync();
                long stamp = late.stamp();
                assertTrue(late.unchanged(stamp));
                bus.write(place, 8, 2);
                assertFalse(late.unchanged(stamp));
            }
            bus.write(place, 8, 3);
        }
    }

    @Test
    @DisplayName("Snoop: what is not in one piece of memory, or is too large, is never cached")
    void never() {
        for (Node.Range range : List.of(new Node.Range(4L * CHUNK - 8, 16), new Node.Range(0x2000_0000, 8),
            new Node.Range(0, 17L << 20),
                new Node.Range(0, -1), new Node.Range(-8, 8), new Node.Range(0, Long.MAX_VALUE))) {
            Snoop none = bus.snoop(List.of(range));
            bus.sync();
            assertEquals(Snoop.NONE, none.stamp(), range::toString);
            none.close();
        }
        Snoop empty = bus.snoop(List.of(new Node.Range(0, 0)));
        bus.sync();
        assertTrue(empty.unchanged(empty.stamp()));
    }

    @Test
    @DisplayName("Snoop: 16 MiB together, each range in one piece of memory up to its last byte")
    void most() {
        int mib = 1 << 20;
        PhysicalBus large = new PhysicalBus(List.of(new Ram(0x1000_0000, 32L * mib)));
        for (List<Node.Range> heard : List.of(List.of(new Node.Range(0x1000_0000, 16L * mib)),
                List.of(new Node.Range(0x1000_0000, 8L * mib), new Node.Range(0x1100_0000, 8L * mib)),
            List.of(new Node.Range(0x11ff_f000, 0x1000)))) {
            Snoop one = large.snoop(heard);
            large.sync();
            assertTrue(one.unchanged(one.stamp()), heard::toString);
            assertEquals(heard, ((LocalSnoop) one).ranges());
            one.close();
        }
        for (List<Node.Range> never : List.of(List.of(new Node.Range(0x1000_0000, 16L * mib + 1)),
                List.of(new Node.Range(0x1000_0000, 8L * mib), new Node.Range(0x1100_0000, 8L * mib + 1)),
            List.of(new Node.Range(0x11ff_f000, 0x1001)))) {
            Snoop one = large.snoop(never);
            large.sync();
            assertEquals(Snoop.NONE, one.stamp(), never::toString);
        }
    }

    @Test
    @DisplayName("Snoop: a store that had begun before it is waited for by the sync that makes it listen")
    void oldStores() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            inside.countDown();
            try {
                assertTrue(go.await(10, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new AssertionError(e);
            }
            return iova;
        }), InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(1, "/iommu", 1));
        start(() -> port.write(0, 4, 1));
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        Snoop late = bus.snoop(List.of(new Node.Range(0, 8)));
        Thread syncing = new Thread(bus::sync);
        syncing.start();
        syncing.join(30);
        assertTrue(syncing.isAlive());
        assertEquals(Snoop.NONE, late.stamp());
        go.countDown();
        syncing.join(5_000);
        assertFalse(syncing.isAlive());
        assertNotEquals(Snoop.NONE, late.stamp());
    }

    /** A cache of one word, as a unit has it. */
    private static final class Cached {
        private final Bus bus;
        private final Snoop snoop;
        private volatile long[] line = {Snoop.NONE, 0};

        Cached(Bus bus, Snoop snoop) {
            this.bus = bus;
            this.snoop = snoop;
        }

        long read(long physical) {
            long[] now = line;
            if (snoop.unchanged(now[0])) {
                return now[1];
            }
            long stamp = snoop.stamp();
            long value = bus.read(physical, 8);
            if (stamp != Snoop.NONE && snoop.unchanged(stamp)) {
                line = new long[] {stamp, value};
            }
            return value;
        }
    }

    @Test
    @DisplayName("Snoop: whoever has seen a store in memory is not served what was there before, by any cache")
    void coherent() {
        Cached cached = new Cached(bus, snoop);
        AtomicInteger hits = new AtomicInteger();
        bus.sync();
        start(() -> {
            for (long value = 1; !stop.get(); value++) {
                bus.write(TABLE, 8, value);
                assertEquals(value, cached.read(TABLE), "the one who stored is served old bytes");
                for (int i = (int) value & 0x1f; i > 0; i--) {
                    Thread.onSpinWait();
                }
            }
        });
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1_000);
        for (int round = 0; System.nanoTime() < end || round < 1_000; round++) {
            long seen = bus.read(TABLE, 8);
            long served = cached.read(TABLE);
            assertTrue(served >= seen, "served " + served + " after " + seen + " was seen, round " + round);
            if (snoop.unchanged(cached.line[0])) {
                hits.incrementAndGet();
            }
        }
        assertTrue(hits.get() > 0, "nothing was ever cached");
        assertTrue(threads.get(0).isAlive(), "the one who stores has failed");
    }

    @Test
    @DisplayName("Snoop: comes and goes under fire; once it gives a stamp no store goes unheard")
    void comesAndGoes() {
        byte[] block = new byte[64];
        start(() -> {
            for (long value = 1; !stop.get(); value++) {
                bus.write(TABLE + 8, 8, value);
                bus.write(Bus.CPU, TABLE + 0x40, block, 0, 64);
            }
        });
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1_000);
        for (int round = 0; System.nanoTime() < end || round < 100; round++) {
            try (Snoop fresh = bus.snoop(List.of(new Node.Range(TABLE + 8, 8)))) {
                bus.sync();
                for (int look = 0; look < 20; look++) {
                    long stamp = fresh.stamp();
                    long value = bus.read(TABLE + 8, 8);
                    if (stamp != Snoop.NONE && fresh.unchanged(stamp)) {
                        long again = bus.read(TABLE + 8, 8);
                        assertTrue(again == value || !fresh.unchanged(stamp), "a store went unheard, round " + round);
                    }
                }
            }
        }
    }

    @Test
    @DisplayName("Snoop: a range deep in memory that has been written before is heard, too; after another one's "
        + "end it goes on")
    void deep() {
        long deep = 3L * CHUNK + 0x5000;
        bus.write(deep, 8, 1);
        Snoop second = bus.snoop(List.of(new Node.Range(deep, 8)));
        bus.sync();
        long stamp = second.stamp();
        bus.write(deep - 8, 8, 2);
        assertTrue(second.unchanged(stamp));
        bus.write(deep, 8, 2);
        assertFalse(second.unchanged(stamp));
        snoop.close();
        stamp = second.stamp();
        bus.write(deep + 7, 1, 3);
        assertFalse(second.unchanged(stamp));
    }
}
