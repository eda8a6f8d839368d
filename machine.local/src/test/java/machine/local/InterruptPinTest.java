// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Attachment;
import machine.api.Board;
import machine.api.InterruptInputs;
import machine.api.InterruptLine;
import machine.api.Node;
import machine.api.PolledLine;
import machine.api.Unit;
import machine.api.Wire;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(30)
class InterruptPinTest {
    private final LocalMachine machine =
        new LocalMachine(
        new Board("bench", List.of(), List.of(), List.of(), List.of(), 1, List.of()), new PhysicalBus(List.of()));
    private final List<String> told = new ArrayList<>();

    private Attachment controller(InterruptInputs inputs) {
        return machine.attach(Node.at("/pic"), new Unit(List.of(), Map.of(), inputs));
    }

    private InterruptLine line(int input) {
        return machine.line(new Wire("/pic", input, true, ""));
    }

    private void log(int input, boolean asserted) {
        told.add(input + (asserted ? "+" : "-"));
    }

    @Test
    @DisplayName("wired or: asserted while any wire is; the controller hears changes only")
    void wiredOr() {
        controller(this::log);
        InterruptLine one = line(5);
        InterruptLine two = line(5);
        one.set(true);
        one.set(true);
        two.set(true);
        one.set(false);
        assertEquals(List.of("5+"), told);
        two.set(false);
        two.set(false);
        assertEquals(List.of("5+", "5-"), told);
        line(6).set(true);
        assertEquals(List.of("5+", "5-", "6+"), told);
        machine.line(new Wire("/other", 5, true, "")).set(true);
        assertEquals(3, told.size());
    }

    @Test
    @DisplayName("a line that is closed is low and stays so, whatever the device says, which is not asked any more; "
        + "other wires of the input are as they were")
    void closed() {
        controller(this::log);
        AtomicInteger asked = new AtomicInteger();
        PolledLine line = machine.line(new Wire("/pic", 5, true, ""), () -> {
            asked.incrementAndGet();
            return true;
        });
        InterruptLine other = line(5);
        line.update();
        other.set(true);
        line.close();
        assertEquals(List.of("5+"), told, "the other one asserts it still");
        other.close();
        assertEquals(List.of("5+", "5-"), told);
        int before = asked.get();
        line.update();
        line.close();
        other.set(true);
        other.close();
        assertEquals(before, asked.get());
        assertEquals(List.of("5+", "5-"), told);
        told.clear();
        line(6).set(true);
        InterruptLine late = line(6);
        late.close();
        assertEquals(List.of("6+"), told, "one that has asserted nothing takes nothing away");
    }

    @Test
    @DisplayName("a line that is closed while no controller is there is low for the one that comes")
    void closedUnseen() {
        PolledLine line = machine.line(new Wire("/pic", 5, true, ""), () -> true);
        line.update();
        line.close();
        controller(this::log);
        assertEquals(List.of(), told);
    }

    @Test
    @DisplayName("P5: a controller that comes finds asserted what still is, and only that")
    void replay() {
        InterruptLine one = line(1);
        InterruptLine two = line(2);
        one.set(true);
        two.set(true);
        two.set(false);
        Attachment first = controller(this::log);
        assertEquals(List.of("1+"), told);
        first.close();
        one.set(false);
        two.set(true);
        assertEquals(List.of("1+"), told);
        told.clear();
        controller(this::log).close();
        assertEquals(List.of("2+"), told);
        told.clear();
        controller(this::log);
        assertEquals(List.of("2+"), told);
        two.set(false);
        assertEquals(List.of("2+", "2-"), told);
    }

    @Test
    @DisplayName("levels reach the controller in order, from one thread at a time, and the last one is the truth")
    void ordering() throws InterruptedException {
        AtomicInteger inside = new AtomicInteger();
        AtomicBoolean concurrent = new AtomicBoolean();
        AtomicBoolean repeated = new AtomicBoolean();
        AtomicBoolean level = new AtomicBoolean();
        controller((input, asserted) -> {
            if (inside.incrementAndGet() != 1) {
                concurrent.set(true);
            }
            if (level.getAndSet(asserted) == asserted) {
                repeated.set(true);
            }
            inside.decrementAndGet();
        });
        InterruptLine shared = line(3);
        for (int round = 0; round < 200; round++) {
            Thread[] threads = new Thread[3];
            boolean last = (round & 1) == 0;
            InterruptLine[] own = {line(3), line(3), line(3)};
            for (int i = 0; i < threads.length; i++) {
                int number = i;
                threads[i] = new Thread(() -> {
                    for (int n = 0; n < 100; n++) {
                        own[number].set((n & 1) == 0);
                        shared.set((n & 2) == 0);
                    }
                    own[number].set(last && number == 1);
                    shared.set(false);
                });
                threads[i].start();
            }
            for (Thread thread : threads) {
                thread.join();
            }
            assertEquals(last, level.get(), "round " + round);
            own[1].set(false);
            assertFalse(level.get());
        }
        assertFalse(concurrent.get(), "two threads at once in the controller");
        assertFalse(repeated.get(), "a level was repeated: an edge input would have counted it");
    }

    @Test
    @DisplayName("wired or: a wire that several threads drive never takes the level away from under another wire")
    void noGlitch() throws InterruptedException {
        AtomicInteger drops = new AtomicInteger();
        controller((input, asserted) -> {
            if (!asserted) {
                drops.incrementAndGet();
            }
        });
        line(4).set(true);
        InterruptLine racing = line(4);
        Thread[] threads = new Thread[2];
        for (int i = 0; i < threads.length; i++) {
            boolean value = i == 0;
            threads[i] = new Thread(() -> {
                for (int n = 0; n < 1_000_000; n++) {
                    racing.set(value);
                }
            });
            threads[i].start();
        }
        for (Thread thread : threads) {
            thread.join();
        }
        assertEquals(0, drops.get());
    }

    @Test
    @DisplayName("a controller that throws loses no later level")
    void controllerThrows() {
        InterruptLine one = line(1);
        AtomicBoolean bad = new AtomicBoolean(true);
        controller((input, asserted) -> {
            log(input, asserted);
            if (bad.getAndSet(false)) {
                one.set(false);                         // as another thread would: leaves word
                throw new IllegalStateException("a bad controller");
            }
        });
        one.set(true);
        assertEquals(List.of("1+", "1-"), told);
    }

    @Test
    @DisplayName("level: a handler that lowers the wire, itself or by another thread, is heard while it still runs")
    void loweredFromTheHandler() {
        InterruptLine line = line(1);
        AtomicBoolean level = new AtomicBoolean();
        AtomicInteger heard = new AtomicInteger();
        controller(new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                level.set(asserted);
            }

            @Override
            public void settle() {
                // What a core does: it handles for as long as the level is there.
                for (int handled = 0; level.get(); handled++) {
                    assertTrue(handled < 3, "the level stays although the wire was lowered");
                    CompletableFuture.runAsync(() -> line.set(false)).join();
                    heard.incrementAndGet();
                }
            }
        });
        line.set(true);
        assertEquals(1, heard.get());
        assertFalse(level.get());
    }

    @Test
    @DisplayName("a device that cannot say its level leaves its wire as it is, and those that share the input go on")
    void levelThrows() {
        controller(this::log);
        AtomicBoolean level = new AtomicBoolean(true);
        AtomicBoolean dead = new AtomicBoolean();
        PolledLine polled = machine.line(new Wire("/pic", 5, true, ""), () -> {
            if (dead.get()) {
                Throwing.any(new IOException("dead"));
            }
            return level.get();
        });
        InterruptLine other = line(5);
        polled.update();
        dead.set(true);
        level.set(false);
        polled.update();
        other.set(true);
        other.set(false);
        assertEquals(List.of("5+"), told);
        dead.set(false);
        polled.update();
        assertEquals(List.of("5+", "5-"), told);
    }

    @Test
    @DisplayName("a controller that throws, whatever it is, hears the next change, and the device goes on")
    void inputsThrow() {
        controller(new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                log(input, asserted);
                Throwing.any(new IOException("dead"));
            }

            @Override
            public void settle() {
                throw new StackOverflowError();
            }
        });
        InterruptLine one = line(5);
        one.set(true);
        one.set(false);
        assertEquals(List.of("5+", "5-"), told);
    }

    @Test
    @DisplayName("a controller that comes settles once it has been told; other controllers are not told again")
    void settlesOnReplay() {
        machine.attach(Node.at("/other"), new Unit(List.of(), Map.of(), this::log));
        machine.line(new Wire("/other", 9, true, "")).set(true);
        line(1).set(true);
        assertEquals(List.of("9+"), told);
        AtomicInteger settled = new AtomicInteger();
        controller(new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                log(input, asserted);
            }

            @Override
            public void settle() {
                settled.incrementAndGet();
            }
        });
        assertEquals(List.of("9+", "1+"), told);
        assertEquals(1, settled.get());
    }
}
