// SPDX-License-Identifier: Apache-2.0
package irq.mpic.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import irq.mpic.Board;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** The pin's level is right after any race between those who raise and those who take. */
@Timeout(60)
class PinRaceTest {
    private static final int ROUNDS = 60_000;

    @Test
    @DisplayName("Unit: a message and an MSIR read at once: afterwards the pin is asserted if and only if a bit is set")
    void ringAgainstRead() throws InterruptedException {
        Board board = Board.p4080().enable();
        board.source(0xe3, 5, 0x123);
        AtomicInteger turns = new AtomicInteger();
        Thread reader = new Thread(() -> {
            for (int round = 1; round <= ROUNDS; round++) {
                while (turns.get() < 3 * round - 2) {
                    Thread.onSpinWait();
                }
                for (int i = 0; i < 4; i++) {
                    board.get(0x1630);
                }
                turns.incrementAndGet();
            }
        });
        reader.start();
        for (int round = 1; round <= ROUNDS; round++) {
            turns.incrementAndGet();
            for (int i = 0; i < 4; i++) {
                board.ring(0xffe044140L, 0x67);
            }
            turns.incrementAndGet();
            while (turns.get() < 3 * round) {
                Thread.onSpinWait();
            }
            assertEquals(board.mpic.peek(0x1630) != 0, board.pin(0), "round " + round);
        }
        reader.join();
    }
}
