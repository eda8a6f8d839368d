// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import irq.mpic.Board;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Cpu;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The pin's level is right after any race between those who raise and those who take. */
@Timeout(60)
class PinRaceTest {
    /** A race is a matter of nanoseconds: a second is plenty of rounds, on a busy machine fewer. */
    private static final long NANOS = 1_000_000_000L;

    @Test
    @DisplayName("Unit: a message and an MSIR read at once: afterwards the pin is asserted if and only if a bit is set")
    void ringAgainstRead() throws InterruptedException {
        Board board = Board.p4080().enable();
        board.source(0xe3, 5, 0x123);
        AtomicInteger turns = new AtomicInteger();
        AtomicBoolean stop = new AtomicBoolean();
        Thread reader = new Thread(() -> {
            for (int round = 1; await(turns, 3 * round - 2, stop); round++) {
                for (int i = 0; i < 4; i++) {
                    board.get(0x1630);
                }
                turns.incrementAndGet();
            }
        });
        reader.start();
        try {
            long start = System.nanoTime();
            for (int round = 1; System.nanoTime() - start < NANOS; round++) {
                turns.incrementAndGet();
                for (int i = 0; i < 4; i++) {
                    board.ring(0xffe044140L, 0x67);
                }
                turns.incrementAndGet();
                await(turns, 3 * round, stop);
                assertEquals(board.mpic.peek(0x1630) != 0, board.pin(0), "round " + round);
            }
        } finally {
            stop.set(true);
            reader.join();
        }
    }

    @Test
    @DisplayName("Unit: a handler that throws when it has changed the level leaves the pin as it should be, and does "
        + "not disturb who drove it")
    void oldLevel() {
        Cpu cpu = Board.p4080().machine.cpus().get(0);
        Core core = new Core(cpu);
        cpu.attach(() -> {
            core.offer(Core.NONE);
            core.drive();
            throw new IllegalStateException("broken");
        });
        core.offer(7);
        core.drive();
        assertFalse(cpu.asserted());
    }

    /** Spins for as long as the other is likely to be on a processor, then lets it have this one. */
    private static boolean await(AtomicInteger turns, int turn, AtomicBoolean stop) {
        for (int spins = 1; turns.get() < turn; spins++) {
            if (stop.get()) {
                return false;
            }
            if (spins % 1000 == 0) {
                Thread.yield();
            } else {
                Thread.onSpinWait();
            }
        }
        return true;
    }
}
