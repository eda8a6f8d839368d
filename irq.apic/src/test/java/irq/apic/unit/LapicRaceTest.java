// SPDX-License-Identifier: Apache-2.0
package irq.apic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import irq.apic.Board;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Two threads that change a local APIC at the same moment: the pin ends up where the registers want it. */
class LapicRaceTest {
    private static final int ROUNDS = 15_000;

    @Test
    @Timeout(60)
    @DisplayName("P5: a message that meets a write of the core is offered: the older finding never has the last word "
        + "on the pin")
    void pinIsNotLeftBehind() throws InterruptedException {
        Board board = new Board(1);
        board.enable();
        AtomicInteger round = new AtomicInteger();
        AtomicInteger done = new AtomicInteger();
        Thread device = new Thread(() -> {
            for (int i = 1; i <= ROUNDS; i++) {
                awaitAtLeast(round, i);
                board.ring(0xfee00000, 0x41);
                done.incrementAndGet();
            }
        });
        device.start();
        for (int i = 1; i <= ROUNDS; i++) {
            round.set(i);
            for (int spin = i & 63; spin > 0; spin--) {
                Thread.onSpinWait();
            }
            board.put(0, 0xb0, 0);
            awaitAtLeast(done, i);
            boolean offered = board.pin(0);
            assertEquals(0x41, board.get(0, 0x3f0), "round " + i);
            board.put(0, 0xb0, 0);
            assertTrue(offered, "round " + i + ": requested, and the pin is low");
        }
        device.join();
    }

    @Test
    @DisplayName("APIC: a vector is in IRR, in ISR or in both until it is ended; who reads IRR and then ISR never "
        + "misses it")
    void neverInNeither() throws InterruptedException {
        Board board = new Board(1);
        board.enable();
        // Odd while 0x41 is requested or in service.
        AtomicInteger phase = new AtomicInteger();
        AtomicInteger missed = new AtomicInteger();
        Thread reader = new Thread(() -> {
            for (int now = phase.get(); now >= 0; now = phase.get()) {
                int bits = board.get(0, 0x220) | board.get(0, 0x120);
                if ((now & 1) != 0 && (bits & 2) == 0 && phase.get() == now) {
                    missed.incrementAndGet();
                }
            }
        });
        reader.start();
        for (int i = 0; i < 20 * ROUNDS; i++) {
            board.ring(0xfee00000, 0x41);
            phase.set(2 * i + 1);
            board.get(0, 0x3f0);
            phase.set(2 * i + 2);
            board.put(0, 0xb0, 0);
        }
        phase.set(-1);
        reader.join();
        assertEquals(0, missed.get(), "times it was in neither");
    }

    private static void awaitAtLeast(AtomicInteger counter, int value) {
        for (int spins = 0; counter.get() < value; spins++) {
            if (spins < 2_000) {
                Thread.onSpinWait();
            } else {
                Thread.yield();
            }
        }
    }
}
