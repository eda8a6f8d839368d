// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.FutureTask;
import machine.api.DmaPort;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import vfio.container.state.Quiescence;

/** Requester 0x21 is held back; no IOMMU has heard of it, so what passes is refused there. */
@Timeout(30)
class QuiescenceTest {
    private static final long PAGE = 0x5000;

    private final Board board = Board.type1();
    private final DmaPort port = board.port(0x21, 2);
    private final List<String> kept = new ArrayList<>();
    private final Quiescence quiescence = new Quiescence(board.machine, (requester, iova, data) -> {
        boolean message = data == 7;
        if (message) {
            kept.add(String.format("0x%x 0x%x", requester, iova));
        }
        return message;
    }, Duration.ZERO);

    QuiescenceTest() {
        quiescence.requesters(Set.of(0x21));
    }

    private void costs(long refused, long carried) {
        Quiescence.Tally tally = quiescence.tally();
        assertEquals(List.of(0L, refused, carried), List.of(tally.stalled(), tally.refused(), tally.carried()));
        assertTrue(tally.blockedNanos() > 0);
    }

    private void passes() {
        assertEquals(Refusal.NO_REQUESTER, port.write(PAGE, 4, 7));
        assertEquals(Refusal.NO_REQUESTER, port.write(PAGE, 4, 1));
    }

    @Test
    @DisplayName("shut: memory is refused when the bound has passed, messages are kept; each outage is counted from "
        + "zero")
    void counts() {
        assertTrue(quiescence.possible());
        assertFalse(quiescence.holds());
        passes();
        assertEquals(new Quiescence.Tally(0, 0, 0, 0), quiescence.tally());
        for (int i = 0; i < 2; i++) {
            quiescence.shut();
            assertTrue(quiescence.holds());
            assertEquals(Refusal.BLOCKED, port.write(PAGE, 4, 1));
            assertEquals(0, port.write(PAGE, 4, 7));
            quiescence.shut();
            assertEquals(0, port.write(PAGE, 4, 7));
            costs(1, 2);
            quiescence.open();
            assertFalse(quiescence.holds());
            passes();
            costs(1, 2);
        }
        assertEquals(List.of("0x21 0x5000", "0x21 0x5000", "0x21 0x5000", "0x21 0x5000"), kept);
    }

    @Test
    @DisplayName("messages of some pages are kept, all else passes; it is one outage with the one before it, whose "
        + "time has ended")
    void messages() {
        quiescence.shut();
        assertEquals(Refusal.BLOCKED, port.write(PAGE, 4, 1));
        quiescence.keepMessages(new long[] {PAGE});
        assertTrue(quiescence.holds());
        assertEquals(Refusal.NO_REQUESTER, port.write(PAGE, 4, 1));
        assertEquals(Refusal.NO_REQUESTER, port.write(PAGE + 0x1000, 4, 7));
        assertEquals(0, port.write(PAGE + 0x140, 4, 7));
        costs(1, 1);
        assertEquals(quiescence.tally(), quiescence.tally(), "nothing is blocked any more");
        long first = quiescence.tally().blockedNanos();
        quiescence.shut();
        assertEquals(Refusal.BLOCKED, port.write(PAGE + 0x1000, 4, 1));
        costs(2, 1);
        quiescence.open();
        assertTrue(quiescence.tally().blockedNanos() > first);
        passes();
        quiescence.keepMessages(new long[] {PAGE});
        assertEquals(0, port.write(PAGE, 4, 7));
        assertEquals(new Quiescence.Tally(0, 0, 0, 1), quiescence.tally());
    }

    @Test
    @DisplayName("P2: a departure that is announced keeps all shut, whoever would open, until each has been dealt with")
    void departures() {
        quiescence.departing();
        quiescence.departing();
        for (int i = 0; i < 2; i++) {
            quiescence.open();
            quiescence.keepMessages(new long[] {PAGE});
            assertTrue(quiescence.holds());
            assertEquals(Refusal.BLOCKED, port.write(PAGE + 0x1000, 4, 1));
            quiescence.departed();
        }
        assertEquals(Refusal.BLOCKED, port.write(PAGE + 0x1000, 4, 1), "what is shut stays so");
        quiescence.open();
        passes();
    }

    @Test
    @DisplayName("who is no requester of it any more is not held back; once closed it holds nobody, and another may "
        + "have them")
    void leaves() {
        quiescence.shut();
        quiescence.requesters(Set.of());
        passes();
        quiescence.requesters(Set.of(0x21));
        assertEquals(Refusal.BLOCKED, port.write(PAGE, 4, 1));
        quiescence.close();
        assertFalse(quiescence.holds());
        passes();
        new Quiescence(board.machine, (requester, iova, data) -> false, Duration.ZERO).requesters(Set.of(0x21));
    }

    @Test
    @DisplayName("who waits is counted, outage by outage, and goes on when it opens")
    void waits() throws Exception {
        quiescence.bound(Duration.ofHours(1));
        assertEquals(Duration.ofHours(1), quiescence.bound());
        for (int i = 0; i < 2; i++) {
            quiescence.shut();
            FutureTask<Void> write = HotSwapTest
                .begin(() -> assertEquals(Refusal.NO_REQUESTER, port.write(PAGE, 4, 1)));
            while (quiescence.tally().stalled() == 0) {
                Thread.onSpinWait();
            }
            quiescence.open();
            write.get();
            assertEquals(1, quiescence.tally().stalled());
            assertEquals(0, quiescence.tally().refused());
        }
    }

    @Test
    @DisplayName("shut again while it is shut: the bound goes on, whatever it would be by now")
    void bound() {
        quiescence.shut();
        quiescence.bound(Duration.ofSeconds(5));
        quiescence.shut();
        assertEquals(Refusal.BLOCKED, port.write(PAGE, 4, 1));
        costs(1, 0);
    }
}
