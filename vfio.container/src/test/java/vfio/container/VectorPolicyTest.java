// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static vfio.container.Board.msi;
import static vfio.container.Board.refused;

import java.util.Arrays;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import vfio.api.Device;
import vfio.api.msi.MsiRoute;
import vfio.api.msi.Msis;
import vfio.api.msi.VectorPolicy;
import vfio.container.irq.LocalEventFd;

@Timeout(30)
class VectorPolicyTest {
    private final Board board = Board.pamu();
    private final VfioContainer one = board.container("one", 1);
    private final VfioContainer two = board.container("two", 2);

    @BeforeEach
    void auto() {
        board.vfio.addStrategy(board.auto, 10);
        one.as(Msis.class).strategy("auto");
        two.as(Msis.class).strategy("auto");
    }

    private Device enable(FakeFunction function) {
        Device device = board.vfio.groupOf(function.name()).device(function.name());
        device.setIrqs(msi(new LocalEventFd(0)));
        return device;
    }

    private static List<Integer> banks(VfioContainer container) {
        return container.as(Msis.class).routes().stream().map(MsiRoute::bank).toList();
    }

    @Test
    @DisplayName("FIRST_FIT shares the first bank with a free vector")
    void firstFit() {
        enable(board.a);
        enable(board.b);
        enable(board.c);
        assertEquals(List.of(0, 0), banks(one));
        assertEquals(List.of(0), banks(two));
    }

    @Test
    @DisplayName("SPREAD takes each vector from the next bank; PACKED from one in use")
    void spreadAndPacked() {
        one.as(Msis.class).vectorPolicy(VectorPolicy.SPREAD);
        enable(board.a);
        enable(board.b);
        assertEquals(List.of(0, 1), banks(one));
        two.as(Msis.class).vectorPolicy(VectorPolicy.PACKED);
        enable(board.c);
        FakeFunction late = board.function("0000:02:00.1", 0x22, 2);
        board.vfio.addFunction(late);
        enable(late);
        assertEquals(List.of(0, 0), banks(two));
        assertEquals(VectorPolicy.PACKED, two.as(Msis.class).vectorPolicy());
    }

    @ParameterizedTest
    @EnumSource(names = {"PACKED", "ISOLATED"})
    @DisplayName("PACKED, ISOLATED: the next vector is of the bank in use, although one before it is free by now")
    void bankInUse(VectorPolicy policy) {
        one.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        Device first = enable(board.a);
        two.as(Msis.class).vectorPolicy(policy);
        enable(board.c);
        assertEquals(List.of(1), banks(two));
        first.close();
        one.as(Msis.class).strategy("auto");
        one.as(Msis.class).vectorPolicy(VectorPolicy.FIRST_FIT);
        FakeFunction late = board.function("0000:02:00.1", 0x22, 2);
        board.vfio.addFunction(late);
        enable(late);
        assertEquals(List.of(1, 1), banks(two));
        assertTrue(one.as(Msis.class).placements().isEmpty(), "bank 0 was free");
    }

    @Test
    @DisplayName("P7: ISOLATED: a bank of its own, whoever came first; the other cannot take it nor place it later")
    void isolated() {
        one.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        enable(board.a);
        enable(board.c);
        assertEquals(List.of(0), banks(one));
        assertEquals(List.of(1), banks(two));
        enable(board.b);
        assertEquals(List.of(0, 0), banks(one));
        refused(Errno.EBUSY, "isolation", () -> two.as(Msis.class).call("MAP", 0, 0x1000_0000));
        refused(Errno.EBUSY, "isolation", () -> one.as(Msis.class).call("MAP", 1, 0x1000_0000));
    }

    @Test
    @DisplayName("P7: ISOLATED: a bank that another container merely has placed is not its own: its devices could "
        + "ring it")
    void placedElsewhere() {
        one.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        two.as(Msis.class).call("MAP", 0, 0x1000_0000);
        two.as(Msis.class).call("MAP", 1, 0x1080_0000);
        enable(board.a);
        assertEquals(List.of(2), banks(one));
    }

    @Test
    @DisplayName("ISOLATED: no bank is left: ENODEV from the strategy or ENOSPC; where doorbells verify their source "
        + "it may be shared")
    void noneLeft() {
        one.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
        for (int bank = 0; bank < 3; bank++) {
            two.as(Msis.class).call("MAP", bank, 0x1000_0000L + bank * 0x80_0000L);
        }
        refused(Errno.ENODEV, () -> enable(board.a));
        board.controller.verifies = true;
        enable(board.b);
        assertEquals(List.of(0), banks(one));
    }

    @Test
    @DisplayName("P7: a controller that hangs in one container's allocation keeps no other one, and isolation holds "
        + "meanwhile")
    void hangingAllocation() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangs("allocate", go, () -> enable(board.a));
        try {
            enable(board.c);
            assertEquals(List.of(0), banks(two));
            two.as(Msis.class).vectorPolicy(VectorPolicy.ISOLATED);
            refused(Errno.EBUSY, "isolation", () -> two.as(Msis.class).call("MAP", 1, 0x1000_0000));
            two.as(Msis.class).vectorPolicy(VectorPolicy.FIRST_FIT);
        } finally {
            go.countDown();
        }
        user.get(10, TimeUnit.SECONDS);
        assertEquals(List.of(0), banks(one));
        two.as(Msis.class).call("MAP", 2, 0x1000_0000);
        assertTrue(two.as(Msis.class).placements().stream().anyMatch(placement -> placement.bank() == 2));
    }

    @Test
    @DisplayName("a provider that hangs where one container places a bank keeps no other container's interrupts")
    void hangingPlacement() throws Exception {
        CountDownLatch go = new CountDownLatch(1);
        FutureTask<Void> user = hangs("mapDoorbell", go, () -> one.as(Msis.class).call("MAP", 0, 0x1000_0000));
        try {
            enable(board.c);
            assertEquals(List.of(0), banks(two));
        } finally {
            go.countDown();
        }
        user.get(10, TimeUnit.SECONDS);
        assertEquals(1, one.as(Msis.class).placements().size());
    }

    /** {@return a user's call that is inside that function of a provider, until told to go on} */
    private FutureTask<Void> hangs(String call, CountDownLatch go, Runnable work) throws InterruptedException {
        CountDownLatch inside = new CountDownLatch(1);
        Thread[] user = new Thread[1];
        board.trip.each = () -> {
            if (Thread.currentThread() == user[0]
                    && Arrays.stream(Thread.currentThread().getStackTrace())
                    .anyMatch(frame -> frame.getMethodName().equals(call))) {
                inside.countDown();
                HotSwapTest.await(go, 20_000);
            }
        };
        FutureTask<Void> task = new FutureTask<>(work, null);
        user[0] = new Thread(task);
        user[0].setDaemon(true);
        user[0].start();
        assertTrue(inside.await(10, TimeUnit.SECONDS));
        return task;
    }
}
