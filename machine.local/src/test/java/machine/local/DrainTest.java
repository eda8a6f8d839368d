// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.Bus;
import machine.api.DmaPort;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Gate;
import machine.api.InterruptInputs;
import machine.api.Mmio;
import machine.api.Node;
import machine.api.Refusal;
import machine.api.Requester;
import machine.api.Unit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** P3: when {@link Bus#sync} returns, no access that began before is still on its way. */
@Timeout(120)
class DrainTest {
    private static final long ENTRY = 0x8000;
    private static final int DEVICES = 3;

    private final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 0x100000)));
    private final LocalMachine machine = new LocalMachine(
        new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), bus);
    private final AtomicBoolean stop = new AtomicBoolean();
    private final AtomicLong landed = new AtomicLong();
    private final List<Thread> devices = new ArrayList<>();
    private final List<DmaPort> ports = new ArrayList<>();
    private final List<CountDownLatch> ends = new ArrayList<>();

    @AfterEach
    void unplug() throws InterruptedException {
        stop.set(true);
        ends.forEach(CountDownLatch::countDown);
        for (Thread device : devices) {
            device.join();
        }
        ports.forEach(DmaPort::close);
    }

    /**
     * A unit with a table of one entry in memory: the physical page, 0 if nothing is mapped. It dawdles after reading
     * it.
     */
    private void devicesWriting(int count) {
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            long entry = bus.read(ENTRY, 8);
            for (int i = (int) (iova & 0x3f); i > 0; i--) {
                Thread.onSpinWait();
            }
            if ((iova & 0x1c0) == 0) {
                Thread.yield();
            }
            return entry == 0 ? Refusal.UNMAPPED : entry + (iova & 0xff8);
        }), InterruptInputs.NONE));
        DmaPort shared = machine.openPort(new Requester(0, "/iommu", 0));
        ports.add(shared);
        for (int i = 0; i < count; i++) {
            DmaPort port = count <= DEVICES ? machine.openPort(new Requester(i, "/iommu", i)) : shared;
            ports.add(port);
            Thread device = new Thread(() -> {
                byte[] block = new byte[4096];
                Arrays.fill(block, (byte) -1);
                for (int n = 0; !stop.get(); n++) {
                    int status = (n & 7) == 0 ? port.write(0, block, 0, 4096) : port.write(8L * (n & 0x1ff), 8, -1);
                    if (status == Bus.OK) {
                        landed.incrementAndGet();
                    }
                }
            });
            devices.add(device);
            device.start();
        }
    }

    /**
     * One page taken away under fire: whatever is in it after the sync stays. Runs for a while, and 20 rounds at least.
     */
    private void withdraw(long page, long table, long millis) {
        byte[] now = new byte[4096];
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(millis);
        int rounds = 0;
        while (System.nanoTime() < end || rounds < 20) {
            long before = landed.get();
            bus.write(table, 8, page);
            while (landed.get() == before) {
                Thread.onSpinWait();
            }
            bus.write(table, 8, 0);
            bus.sync();
            bus.write(Bus.CPU, page, new byte[4096], 0, 4096);
            for (int look = 0; look < 3; look++) {
                Thread.yield();
                bus.read(page, now, 0, 4096);
                for (int i = 0; i < 4096; i++) {
                    assertEquals(0, now[i], "a write landed after sync, round " + rounds + ", offset " + i);
                }
            }
            rounds++;
        }
    }

    @Test
    @DisplayName("P3: device threads write through a mapping that is withdrawn; after sync no write lands")
    void noWriteLandsAfterSync() {
        devicesWriting(DEVICES);
        withdraw(0x10000, ENTRY, 1_000);
    }

    @Test
    @DisplayName("P3: the same with more threads in one port than have a word of their own")
    void noWriteOfACrowdLandsAfterSync() {
        devicesWriting(InFlight.OWNERS + 3);
        withdraw(0x10000, ENTRY, 1_000);
    }

    @Test
    @DisplayName("P3: several drainers at once under continuous load: each is served and none returns early")
    void concurrentDrainers() throws InterruptedException {
        devicesWriting(DEVICES);
        AtomicInteger syncs = new AtomicInteger();
        List<Thread> drainers = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            Thread drainer = new Thread(() -> {
                while (!stop.get()) {
                    bus.sync();
                    syncs.incrementAndGet();
                }
            });
            drainers.add(drainer);
            drainer.start();
        }
        try {
            withdraw(0x10000, ENTRY, 800);
            while (syncs.get() < 20) {                  // starved drainers end in the timeout
                Thread.yield();
            }
        } finally {
            stop.set(true);
        }
        for (Thread drainer : drainers) {
            drainer.join();
        }
    }

    @Test
    @DisplayName("Bus.sync: waits for an access that has begun, not for one that begins later")
    void waitsForOldOnly() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        CountDownLatch insideLater = new CountDownLatch(1);
        CountDownLatch goLater = new CountDownLatch(1);
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            (iova == 0 ? inside : insideLater).countDown();
            await(iova == 0 ? go : goLater);
            return iova;
        }), InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(1, "/iommu", 1));
        ports.add(port);
        start(() -> port.write(0, 4, 1));
        await(inside);
        Thread syncing = new Thread(bus::sync);
        syncing.start();
        syncing.join(50);
        assertTrue(syncing.isAlive(), "sync returned with an access under way");
        start(() -> port.write(8, 4, 1));
        await(insideLater);
        go.countDown();
        syncing.join(5_000);
        assertFalse(syncing.isAlive(), "sync waits for an access that began after it");
        assertEquals(1, bus.read(0, 4));
        assertEquals(0, bus.read(8, 4));
        goLater.countDown();
    }

    /** Shorter than any port's access, so that a store which is still in the core's buffer matters. */
    @Test
    @DisplayName("P3: InFlight: an access either is seen by the drain or sees what was taken away before it")
    void seenOrSees() {
        InFlight inFlight = new InFlight(1, "a device");
        AtomicInteger mapped = new AtomicInteger();
        AtomicLong inside = new AtomicLong();
        start(() -> {
            while (!stop.get()) {
                int entered = inFlight.enter();
                if (mapped.getOpaque() != 0) {
                    inside.setOpaque(inside.getPlain() + 1);
                }
                inFlight.exit(entered);
            }
        });
        long end = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(1_000);
        for (int round = 0; System.nanoTime() < end || round < 20; round++) {
            long before = inside.getAcquire();
            mapped.setOpaque(1);
            while (inside.getAcquire() == before) {
                Thread.onSpinWait();
            }
            mapped.setOpaque(0);
            inFlight.drain(new InFlight.Patience(Duration.ofSeconds(20)));
            long drained = inside.getAcquire();
            for (int look = 0; look < 20; look++) {
                assertEquals(drained, inside.getAcquire(), "an access went on after the drain, round " + round);
            }
        }
    }

    @Test
    @DisplayName("InFlight: a thread with a word of its own is waited for until its outermost access ends, and not "
        + "for the next one")
    void ownWord() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        int outer = inFlight.enter();
        int inner = inFlight.enter();
        Thread first = draining(inFlight);
        inFlight.exit(inner);
        first.join(30);
        assertTrue(first.isAlive(), "drained past the outer access");
        inFlight.exit(outer);
        int next = inFlight.enter();
        first.join(5_000);
        assertFalse(first.isAlive(), "waits for an access that began later");
        inFlight.exit(next);
    }

    @Test
    @DisplayName("InFlight: an access that joined before a turn and one after are both waited for by the second drain")
    void twoPhases() throws InterruptedException {
        InFlight inFlight = crowded();
        int old = inFlight.enter();
        Thread first = draining(inFlight);
        int young = inFlight.enter();
        assertEquals(1 - old, young);
        inFlight.exit(old);
        first.join(5_000);
        assertFalse(first.isAlive());
        Thread second = draining(inFlight);
        inFlight.exit(young);
        second.join(5_000);
        assertFalse(second.isAlive());
    }

    @Test
    @DisplayName("InFlight: an access that read the phase, slept over a whole drain and joined is waited for by the "
        + "next one")
    void leftover() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        inFlight.drain(new InFlight.Patience(Duration.ofSeconds(20)));
        inFlight.join(0);                               // had read phase 0 before that drain turned it
        Thread next = draining(inFlight);
        inFlight.exit(0);
        next.join(5_000);
        assertFalse(next.isAlive());
    }

    @Test
    @DisplayName("InFlight: the word of a thread that has ended goes to one that is still at work")
    void wordsAreInherited() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        CountDownLatch end = crowd(inFlight);
        int stranger = inFlight.enter();
        inFlight.exit(stranger);
        assertTrue(stranger <= 1, "joined the others");
        end.countDown();
        for (Thread device : devices) {
            device.join();
        }
        int own = stranger;
        for (int i = 0; i < 1_000 && own <= 1; i++) {
            own = inFlight.enter();
            inFlight.exit(own);
        }
        assertTrue(own > 1, "no word of its own after 1,000 accesses");
        inFlight.drain(new InFlight.Patience(Duration.ofSeconds(20)));
        assertEquals(own, inFlight.enter());
        Thread first = draining(inFlight);
        inFlight.exit(own);
        first.join(5_000);
        assertFalse(first.isAlive());
    }

    @Test
    @DisplayName("P2: taking the unit out waits for what is under way; afterwards everything is BLOCKED")
    void unplugDrains() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        Attachment attachment = machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu",
            (requester, iova, length, access) -> {
                inside.countDown();
                await(go);
                return iova;
            }), InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(1, "/iommu", 1));
        ports.add(port);
        start(() -> port.write(0, 4, 1));
        await(inside);
        Thread closing = new Thread(attachment::close);
        closing.start();
        closing.join(50);
        assertTrue(closing.isAlive(), "the unit left with an access inside");
        assertEquals(Refusal.BLOCKED, port.write(8, 4, 1));
        go.countDown();
        closing.join(5_000);
        assertFalse(closing.isAlive());
        assertEquals(1, bus.read(0, 4));
    }

    @DisplayName("a drain forgets the threads that have ended: nothing is kept of them, and their words are free")
    @Test
    void forgets() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        crowd(inFlight).countDown();
        for (Thread device : devices) {
            device.join();
        }
        int shared = inFlight.enter();
        assertTrue(shared == 0 || shared == 1);
        inFlight.exit(shared);
        inFlight.drain(new InFlight.Patience(Duration.ofSeconds(20)));
        int own = inFlight.enter();
        assertTrue(own > 1, "no word was free");
        inFlight.exit(own);
    }

    /**
     * Registers whose write makes the device write there again, so that one write is as many nested accesses as the
     * stack holds.
     */
    private DmaPort echo() {
        DmaPort[] self = new DmaPort[1];
        machine.attach(Node.at("/iommu"), new Unit(List.of(new Unit.Window(0x10000000, 0x1000, new Mmio() {
            @Override
            public long read(long offset, int size) {
                return 0;
            }

            @Override
            public void write(int requester, long offset, int size, long value) {
                self[0].write(0x10000000, 4, value);
            }
        })), Map.of("/iommu", (requester, iova, length, access) -> iova), InterruptInputs.NONE));
        self[0] = machine.openPort(new Requester(1, "/iommu", 1));
        return self[0];
    }

    /** Runs something on a thread with little stack, of which each round leaves a little less. */
    private void deep(int rounds, Runnable access) throws InterruptedException {
        for (int i = 0; i < rounds; i++) {
            Thread thread = new Thread(null, access, "deep", (200 << 10) + i * 64L);
            thread.start();
            thread.join();
        }
    }

    /** Goes down to the end of the stack and does something there, again and again on the way back. */
    private static void atTheEnd(int[] left, Runnable access) {
        try {
            atTheEnd(left, access);
        } catch (StackOverflowError e) {
            // One step up there is a little more room.
        }
        if (left[0] > 0) {
            left[0]--;
            access.run();
        }
    }

    /** On a thread of its own, so that a drain that waits for ever fails the test and does not keep it. */
    private static void returns(Runnable draining) throws Exception {
        FutureTask<Void> drained = new FutureTask<>(draining, null);
        Thread thread = new Thread(drained);
        thread.setDaemon(true);
        thread.start();
        drained.get(20, TimeUnit.SECONDS);
    }

    @Test
    @DisplayName("Bus.sync: nested accesses that end in a StackOverflowError have left, with a word of their own or "
        + "without")
    void overflown() throws Exception {
        DmaPort port = echo();
        AtomicInteger overflown = new AtomicInteger();
        Runnable access = () -> {
            try {
                port.write(0x10000000, 4, 1);
            } catch (StackOverflowError e) {
                overflown.incrementAndGet();
            }
        };
        deep(20, access);
        returns(bus::sync);
        crowd(() -> port.write(0, 4, 1));
        for (int i = 0; i < 4; i++) {
            deep(20, access);
            returns(bus::sync);
        }
        assertEquals(100, overflown.get());
    }

    @Test
    @DisplayName("Bus.sync: accesses begun where the stack ends have left, and later ones of the same thread are "
        + "waited for as ever")
    void atTheEndOfTheStack() throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        machine.attach(Node.at("/iommu"), new Unit(List.of(), Map.of("/iommu", (requester, iova, length, access) -> {
            if (iova == 0x800) {
                inside.countDown();
                await(go);
            }
            return iova;
        }), InterruptInputs.NONE));
        DmaPort port = machine.openPort(new Requester(1, "/iommu", 1));
        byte[] block = new byte[64];
        Thread device = new Thread(null, () -> {
            for (int round = 0; round < 200; round++) {
                boolean small = (round & 1) == 0;
                atTheEnd(new int[] {100}, () -> {
                    if (small) {
                        port.write(0, 4, 1);
                    } else {
                        port.write(0, block, 0, 64);
                    }
                });
            }
            port.write(0x800, 4, 1);
        }, "deep", 200 << 10);
        devices.add(device);
        device.start();
        await(inside);
        Thread syncing = new Thread(bus::sync);
        syncing.setDaemon(true);
        syncing.start();
        syncing.join(50);
        assertTrue(syncing.isAlive(), "sync returned with an access under way");
        go.countDown();
        syncing.join(5_000);
        assertFalse(syncing.isAlive());
        assertEquals(1, bus.read(0x800, 4));
    }

    @Test
    @DisplayName("Bus.sync: a thread that has ended is in no access, whatever its word says; whoever has the word "
        + "next is waited for as ever")
    void ownerGone() throws InterruptedException {
        InFlight flight = new InFlight(1, "requester 0x1");
        Thread lost = new Thread(flight::enter);
        lost.start();
        lost.join();
        flight.drain(new InFlight.Patience(Duration.ofSeconds(5)));
        CountDownLatch inside = new CountDownLatch(1);
        CountDownLatch go = new CountDownLatch(1);
        Thread next = new Thread(() -> {
            int entered = flight.enter();
            inside.countDown();
            await(go);
            flight.exit(entered);
        });
        next.setDaemon(true);
        next.start();
        await(inside);
        assertThrows(ErrnoException.class, () -> flight.drain(new InFlight.Patience(Duration.ofMillis(50))));
        go.countDown();
        next.join();
        flight.drain(new InFlight.Patience(Duration.ofSeconds(5)));
    }

    @Test
    @DisplayName("Bus.sync: an access that waits at a shut gate and ends in a StackOverflowError there is counted "
        + "out once")
    void overflownAtGate() throws Exception {
        DmaPort port = echo();
        crowd(() -> port.write(0, 4, 1));
        Gate gate = machine.gate((requester, iova, data) -> false);
        gate.requesters(Set.of(1));
        // On a busy machine a device may come when the gate's bound has passed already.
        for (int round = 0; round < 20 || gate.stalled() == 0 && round < 500; round++) {
            returns(() -> gate.shut(TimeUnit.MILLISECONDS.toNanos(60)));
            Thread device = new Thread(null, () -> atTheEnd(new int[] {200}, () -> port.write(0, 4, 1)), "deep",
                (200 << 10) + round * 64L);
            device.start();
            device.join();
            returns(gate::open);
        }
        returns(gate::close);
        assertTrue(gate.stalled() > 0, "nothing waited at the gate");
    }

    /**
     * Machines of little patience, with two devices; the listener of the first one's refused accesses does not return.
     */
    private final class Stuck {
        final PhysicalBus bus = new PhysicalBus(List.of(new Ram(0, 0x100000)), Duration.ofMillis(300));
        final LocalMachine machine = new LocalMachine(
            new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), bus);
        final CountDownLatch inside = new CountDownLatch(1);
        final CountDownLatch go = new CountDownLatch(1);
        final Attachment unit = machine.attach(Node.at("/iommu"), new Unit(List.of(new Unit.Window(0x10000000, 0x1000,
            registers())), Map.of("/iommu", (requester, iova, length, access) ->
                iova < 0x20000000 ? iova : Refusal.UNMAPPED), InterruptInputs.NONE));
        final DmaPort port = machine.openPort(new Requester(0x11, "/iommu", 1));
        final DmaPort other = machine.openPort(new Requester(0x12, "/iommu", 2));

        Stuck() {
            ends.add(go);
            machine.onFault(fault -> {
                if (fault.requester() == 0x11) {
                    inside.countDown();
                    await(go);
                }
            });
            start(() -> port.write(0x20000000, 4, 1));
            await(inside);
        }

        private Mmio registers() {
            return new Mmio() {
                @Override
                public long read(long offset, int size) {
                    return 0x5a;
                }

                @Override
                public void write(int requester, long offset, int size, long value) {
                }
            };
        }
    }

    @Test
    @DisplayName("Bus.sync: an access that does not end is waited for to a bound; ETIMEDOUT names its device, its "
        + "thread and where it is")
    void bounded() throws InterruptedException {
        Stuck stuck = new Stuck();
        ErrnoException e = assertThrows(ErrnoException.class, stuck.bus::sync);
        assertEquals(Errno.ETIMEDOUT, e.errno());
        assertTrue(e.getMessage().contains("requester 0x11") && e.getMessage().contains(devices.get(0).getName())
            && e.getMessage().contains("DrainTest"), e.getMessage());
        assertThrows(ErrnoException.class, stuck.bus::sync, "the second one does not wait for it");
        assertThrows(ErrnoException.class, () -> stuck.bus.sync(Set.of(0x12, 0x11)));
        stuck.go.countDown();
        devices.get(0).join();
        stuck.bus.sync();
    }

    @Test
    @DisplayName("Bus.sync: who waits for some requesters is not kept by another one, and waits for its own")
    void othersDoNotMatter() {
        Stuck stuck = new Stuck();
        stuck.bus.sync(Set.of(0x12, 0x13));
        ErrnoException e = assertThrows(ErrnoException.class, () -> stuck.bus.sync(Set.of(0x11)));
        assertEquals(Errno.ETIMEDOUT, e.errno());
    }

    @Test
    @DisplayName("gate, unit, port: an access that does not end keeps none of them; the bus goes on waiting for it")
    void goesOn() throws InterruptedException {
        Stuck stuck = new Stuck();
        Gate gate = stuck.machine.gate((requester, iova, data) -> false);
        gate.requesters(Set.of(0x11, 0x12));
        gate.shut(0);
        assertEquals(Refusal.BLOCKED, stuck.other.write(0, 4, 1));
        gate.open();
        assertEquals(Bus.OK, stuck.other.write(0, 4, 1));
        gate.close();
        stuck.unit.close();
        assertEquals(Refusal.BLOCKED, stuck.other.write(0, 4, 1));
        assertEquals(0xff, stuck.bus.read(0x10000000, 1), "the unit's registers are still there");
        ErrnoException e = assertThrows(ErrnoException.class, stuck.port::close);
        assertTrue(e.getMessage().contains("requester 0x11"), e.getMessage());
        assertThrows(ErrnoException.class, stuck.bus::sync, "a port that is closed is not waited for");
        stuck.go.countDown();
        devices.get(0).join();
        stuck.bus.sync();
        stuck.port.close();
    }

    @Test
    @DisplayName("InFlight: who drains while another drain waits is not kept longer than its own bound")
    void drainsAtOnce() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        int entered = inFlight.enter();
        Thread first = draining(inFlight);
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> inFlight.drain(new InFlight.Patience(Duration.ofMillis(50))));
        assertEquals(Errno.ETIMEDOUT, e.errno());
        inFlight.exit(entered);
        first.join(5_000);
        assertFalse(first.isAlive());
    }

    /** Every word belongs to a thread that lives. */
    private InFlight crowded() throws InterruptedException {
        InFlight inFlight = new InFlight(1, "a device");
        crowd(inFlight);
        return inFlight;
    }

    /** {@return what ends the threads that now own all words} */
    private CountDownLatch crowd(InFlight inFlight) throws InterruptedException {
        return crowd(() -> inFlight.exit(inFlight.enter()));
    }

    private CountDownLatch crowd(Runnable access) throws InterruptedException {
        CountDownLatch settled = new CountDownLatch(InFlight.OWNERS);
        CountDownLatch end = new CountDownLatch(1);
        ends.add(end);
        for (int i = 0; i < InFlight.OWNERS; i++) {
            start(() -> {
                access.run();
                settled.countDown();
                await(end);
            });
        }
        await(settled);
        return end;
    }

    /** A drain that has something to wait for. */
    private static Thread draining(InFlight inFlight) throws InterruptedException {
        Thread thread = new Thread(() -> inFlight.drain(new InFlight.Patience(Duration.ofSeconds(20))));
        thread.start();
        thread.join(30);
        assertTrue(thread.isAlive(), "drained past an access under way");
        return thread;
    }

    private void start(Runnable access) {
        Thread thread = new Thread(access);
        devices.add(thread);
        thread.start();
    }

    private static void await(CountDownLatch latch) {
        try {
            assertTrue(latch.await(60, TimeUnit.SECONDS));
        } catch (InterruptedException e) {
            throw new AssertionError(e);
        }
    }
}
