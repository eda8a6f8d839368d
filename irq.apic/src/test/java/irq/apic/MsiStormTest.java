// SPDX-License-Identifier: Apache-2.0
package irq.apic;

import static org.junit.jupiter.api.Assertions.assertEquals;

import irq.api.MsiDoorbells;
import irq.api.MsiMessage;
import irq.api.MsiRequest;
import irq.api.MsiVector;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Queue;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.DmaPort;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** P5 on the local APIC: many device threads, one core or several; each waits for its handler before it rings again. */
class MsiStormTest {
    private static final int DEVICES = 8;
    private static final int RINGS = 10_000;

    @Test
    @Timeout(60)
    @DisplayName("P5: eight devices, one core: every MSI reaches its handler exactly once")
    void oneCore() throws InterruptedException {
        storm(1);
    }

    @Test
    @Timeout(60)
    @DisplayName("P5: eight devices, three cores: every MSI reaches its handler exactly once")
    void threeCores() throws InterruptedException {
        storm(3);
    }

    private static void storm(int cores) throws InterruptedException {
        Board board = new Board(cores);
        Queue<String> failures = new ConcurrentLinkedQueue<>();
        List<AtomicInteger> counts = new ArrayList<>();
        List<Thread> devices = new ArrayList<>();
        try (ApicDriver driver = new ApicDriver(board.machine, board.lapic(), Optional.empty(),
                (what, why) -> failures.add(what + ": " + why))) {
            for (int i = 0; i < DEVICES; i++) {
                AtomicInteger count = new AtomicInteger();
                MsiVector vector = driver.doorbells().allocate(new MsiRequest(i, List.of(0), count::incrementAndGet));
                MsiMessage message = driver.doorbells().compose(vector);
                DmaPort port = board.port(i);
                counts.add(count);
                devices.add(new Thread(() -> ring(port, message, count, failures), "device " + i));
            }
            // A ninth device comes and goes all the while; its vectors are taken and given back under fire.
            Thread guest = new Thread(() -> comeAndGo(driver.doorbells(), board.port(99), failures), "guest");
            guest.setUncaughtExceptionHandler((thread, why) -> failures.add("guest: " + why));
            guest.start();
            devices.forEach(Thread::start);
            for (Thread device : devices) {
                device.join();
            }
            guest.join();
            assertEquals(List.of(), List.copyOf(failures));
            for (AtomicInteger count : counts) {
                assertEquals(RINGS, count.get());
            }
            assertEquals(driver.doorbells().banks().get(0).vectors() - DEVICES, driver.doorbells().free(0));
        }
        for (int core = 0; core < cores; core++) {
            for (int word = 0; word < 8; word++) {
                assertEquals(0, board.get(core, 0x100 + 16 * word), "in service");
                assertEquals(0, board.get(core, 0x200 + 16 * word), "requested");
            }
        }
    }

    private static void ring(DmaPort port, MsiMessage message, AtomicInteger count, Queue<String> failures) {
        for (int i = 1; i <= RINGS; i++) {
            port.write(0xfee00000L + message.offset(), 4, message.data());
            long deadline = System.nanoTime() + 5_000_000_000L;
            while (count.get() != i) {
                if (System.nanoTime() > deadline) {
                    failures.add("ring " + i + " of " + message + " was lost or doubled: " + count.get());
                    return;
                }
                Thread.onSpinWait();
            }
        }
    }

    private static void comeAndGo(MsiDoorbells doorbells, DmaPort port, Queue<String> failures) {
        for (int i = 0; i < 2_000; i++) {
            // While the thread that serves the core has no processor, requests of released vectors pile up undone.
            while (doorbells.free(0) == 0) {
                Thread.yield();
            }
            AtomicInteger mine = new AtomicInteger();
            MsiVector vector = doorbells.allocate(new MsiRequest(99, List.of(0), mine::incrementAndGet));
            MsiMessage message = doorbells.compose(vector);
            port.write(0xfee00000L + message.offset(), 4, message.data());
            doorbells.release(vector);
            if (mine.get() > 1) {
                failures.add("a vector was handed out with a request of its last owner still in it");
                return;
            }
        }
    }
}
