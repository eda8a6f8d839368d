// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The counts of accesses under way, thread by thread. */
@Timeout(30)
class InFlightTest {
    private final InFlight flight = new InFlight(0x11, "device x");
    private final List<ExecutorService> threads = new ArrayList<>();
    private final ExecutorService drainer = thread("drainer");

    private ExecutorService thread(String name) {
        ExecutorService one = Executors.newSingleThreadExecutor(work -> {
            Thread thread = new Thread(work, name);
            thread.setDaemon(true);
            return thread;
        });
        threads.add(one);
        return one;
    }

    @AfterEach
    void end() {
        threads.forEach(ExecutorService::shutdownNow);
    }

    private int enter(ExecutorService on) throws Exception {
        return on.submit(flight::enter).get(10, TimeUnit.SECONDS);
    }

    private void exit(ExecutorService on, int entered) throws Exception {
        on.submit(() -> flight.exit(entered)).get(10, TimeUnit.SECONDS);
    }

    private Future<?> drain(long millis) {
        return drainer.submit(() -> flight.drain(new InFlight.Patience(Duration.ofMillis(millis))));
    }

    private ErrnoException timesOut(long millis) {
        ErrnoException e =
            assertThrows(ErrnoException.class, () -> flight.drain(new InFlight.Patience(Duration.ofMillis(millis))));
        assertEquals(Errno.ETIMEDOUT, e.errno());
        return e;
    }

    @Test
    @DisplayName("each thread counts in a word of its own: the second is inside, whether the first is or not")
    void ownWords() throws Exception {
        ExecutorService first = thread("first");
        ExecutorService second = thread("second");
        int one = enter(first);
        int two = enter(second);
        assertTrue(two >= 0 && one >= 0);
        assertNotEquals(one, two);
        exit(first, one);
        ErrnoException e = timesOut(100);
        assertTrue(e.getMessage().contains("device x") && e.getMessage().contains("on thread second"), e.getMessage());
        exit(second, two);
        drain(5_000).get(10, TimeUnit.SECONDS);
    }

    @Test
    @DisplayName("P1: a drain that waits for another drain tells, when its patience ends, which thread is "
        + "inside: none of "
        + "those that have been, and none if it has no word of its own")
    void besideAnother() throws Exception {
        List<ExecutorService> owners = new ArrayList<>();
        for (int i = 0; i < InFlight.OWNERS; i++) {
            owners.add(thread("owner " + i));
            exit(owners.get(i), enter(owners.get(i)));
        }
        int inside = enter(owners.get(2));
        Future<?> other = drain(20_000);
        String text = "";
        while (!text.contains("on thread owner 2")) {
            // The first one may not have begun.
            text = timesOut(50).getMessage();
        }
        exit(owners.get(2), inside);
        other.get(10, TimeUnit.SECONDS);

        ExecutorService stranger = thread("stranger");
        int joined = enter(stranger);
        other = drain(20_000);
        String last = timesOut(100).getMessage();
        assertFalse(last.contains("on thread"), last);
        assertTrue(last.contains("device x"), last);
        exit(stranger, joined);
        other.get(10, TimeUnit.SECONDS);
    }

    @Test
    @DisplayName("a thread that ended inside an access is in none any more, whichever word was its own; who "
        + "takes the word "
        + "is counted as anybody")
    void endedInside() throws Exception {
        ExecutorService first = thread("first");
        exit(first, enter(first));
        int[] entered = new int[1];
        Thread gone = new Thread(() -> entered[0] = flight.enter());
        gone.start();
        gone.join();
        flight.drain(new InFlight.Patience(Duration.ofSeconds(10)));
        ExecutorService next = thread("next");
        int again = enter(next);
        assertEquals(entered[0], again, "the word is free");
        timesOut(50);
        exit(next, again);
        flight.drain(new InFlight.Patience(Duration.ofSeconds(10)));
    }

    @Test
    @DisplayName("threads beyond those with a word free the words of threads that have ended, after 256 accesses or so")
    void review() throws Exception {
        for (int i = 0; i < InFlight.OWNERS; i++) {
            Thread owner = new Thread(() -> flight.exit(flight.enter()));
            owner.start();
            owner.join();
        }
        int joined = 0;
        int entered = flight.enter();
        while (entered <= 1 && joined < 1_000) {
            flight.exit(entered);
            joined++;
            entered = flight.enter();
        }
        flight.exit(entered);
        assertTrue(joined >= 0xff && joined <= 0x101, joined + " accesses");
    }

    @Test
    @DisplayName("a drain that is interrupted while it waits for another one waits on, and its thread stays "
        + "interrupted")
    void interrupted() throws Exception {
        ExecutorService device = thread("device");
        int inside = enter(device);
        Future<?> other = drain(20_000);
        while (!timesOut(50).getMessage().contains("on thread device")) {
            Thread.onSpinWait();
        }
        Thread.currentThread().interrupt();
        timesOut(100);
        assertTrue(Thread.interrupted());
        exit(device, inside);
        other.get(10, TimeUnit.SECONDS);
    }
}
