// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

class OverseerTest {
    private final Referee referee = new Referee();
    private final Overseer overseer = new Overseer(referee);

    @DisplayName("A hang in a phase is a failure that names the phase and the place, and the waiting thread goes on")
    @Test
    @Timeout(30)
    void hangs() throws ExecutionException {
        overseer.phase("the beginning", 20);
        CountDownLatch never = new CountDownLatch(1);
        assertEquals(Optional.empty(), overseer.oversee(() -> {
            overseer.phase("the end of swaps", 0);
            never.await();
            return 1;
        }, () -> { }));
        assertEquals(1, referee.failed());
        String failure = referee.failures().get(0);
        assertTrue(failure.contains("the end of swaps has not come to an end within 0 s"), failure);
        assertTrue(failure.contains("CountDownLatch.await"), failure);
        never.countDown();
    }

    @DisplayName("An interrupt of the waiting thread is passed on, and the result of the work is returned all the same")
    @Test
    @Timeout(30)
    void interrupted() throws ExecutionException {
        overseer.phase("all of it", 20);
        CountDownLatch enough = new CountDownLatch(1);
        Thread.currentThread().interrupt();
        assertEquals(Optional.of(42), overseer.oversee(() -> {
            enough.await();
            return 42;
        }, enough::countDown));
        assertEquals(0, referee.failed());
    }

    @DisplayName("An exception of the work is thrown")
    @Test
    void throwing() {
        overseer.phase("all of it", 20);
        IOException thrown = new IOException("broken");
        assertSame(thrown, assertThrows(ExecutionException.class, () -> overseer.oversee(() -> {
            throw thrown;
        }, () -> { })).getCause());
    }
}
