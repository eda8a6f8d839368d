// SPDX-License-Identifier: Apache-2.0
package machine.local;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import machine.api.Attachment;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Holds;
import machine.api.Holds.Role;
import machine.api.Node;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Who holds a node, who stands by, and who is next. */
class LocalHoldsTest {
    private final Holds holds = new LocalHolds();
    private final List<String> events = new ArrayList<>();
    private final Node one = Node.at("/one");
    private final Node two = Node.at("/two");

    private Attachment take(Role role, String holder, Node... nodes) {
        return holds.take(role, List.of(nodes), holder, () -> {
            events.add(holder + " builds");
            return () -> events.add(holder + " takes down");
        });
    }

    @Test
    @DisplayName("The second stands by and takes over when the first leaves, after that has taken down what it built")
    void inTurn() {
        Attachment first = take(Role.DRIVER, "old", one);
        Attachment second = take(Role.DRIVER, "new", one);
        Attachment third = take(Role.DRIVER, "newer", one);
        assertEquals(List.of("old builds"), events);
        assertEquals(Optional.of("old"), holds.holder(Role.DRIVER, one));
        first.close();
        first.close();
        assertEquals(List.of("old builds", "old takes down", "new builds"), events);
        assertEquals(Optional.of("new"), holds.holder(Role.DRIVER, one));
        third.close();
        second.close();
        assertEquals(List.of("old builds", "old takes down", "new builds", "new takes down"), events,
            "who stood by no more is not asked");
        assertEquals(Optional.empty(), holds.holder(Role.DRIVER, one));
    }

    @Test
    @DisplayName("Hardware and driver of one node are two; a driver of two nodes waits for both")
    void each() {
        Attachment unit = take(Role.UNIT, "unit", one, two);
        Attachment driver = take(Role.DRIVER, "driver of one", one);
        Attachment other = take(Role.DRIVER, "driver of two", two);
        Attachment both = take(Role.DRIVER, "driver of both", one, two);
        assertEquals(List.of("unit builds", "driver of one builds", "driver of two builds"), events);
        driver.close();
        assertFalse(events.contains("driver of both builds"));
        assertEquals(Optional.empty(), holds.holder(Role.DRIVER, one));
        other.close();
        assertEquals(Optional.of("driver of both"), holds.holder(Role.DRIVER, one));
        assertEquals(Optional.of("unit"), holds.holder(Role.UNIT, one));
        both.close();
        unit.close();
    }

    @Test
    @DisplayName("A bundle that fails to build holds nothing: at once it gets the error; if it had taken over, the "
        + "next one takes over")
    void failing() {
        ErrnoException dead = new ErrnoException(Errno.ENODEV, "nothing answers");
        assertEquals(dead,
            assertThrows(ErrnoException.class, () -> holds.take(Role.DRIVER, List.of(one), "dead", () -> {
            throw dead;
        })));
        assertEquals(Optional.empty(), holds.holder(Role.DRIVER, one));
        Attachment first = holds.take(Role.DRIVER, List.of(one), "old", () -> () -> {
            throw new NoClassDefFoundError("stale");
        });
        Attachment broken = holds.take(Role.DRIVER, List.of(one), "broken", () -> {
            throw new NoClassDefFoundError("missing");
        });
        take(Role.DRIVER, "new", one);
        assertThrows(NoClassDefFoundError.class, first::close);
        assertEquals(List.of("new builds"), events, "whatever the first one's end has thrown");
        assertEquals(Optional.of("new"), holds.holder(Role.DRIVER, one));
        broken.close();
        assertEquals(Optional.of("new"), holds.holder(Role.DRIVER, one));
    }

    @Test
    @DisplayName("A bundle that leaves while it takes over leaves when that is done, and takes down the result")
    void leavesWhileTakingOver() throws InterruptedException {
        CountDownLatch building = new CountDownLatch(1);
        CountDownLatch goOn = new CountDownLatch(1);
        Attachment first = take(Role.DRIVER, "old", one);
        Attachment second = holds.take(Role.DRIVER, List.of(one), "new", () -> {
            building.countDown();
            try {
                assertTrue(goOn.await(10, TimeUnit.SECONDS));
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            return () -> events.add("new takes down");
        });
        Thread leaving = new Thread(first::close);
        leaving.start();
        assertTrue(building.await(10, TimeUnit.SECONDS));
        Thread ending = new Thread(second::close);
        ending.start();
        goOn.countDown();
        leaving.join(10_000);
        ending.join(10_000);
        assertFalse(leaving.isAlive() || ending.isAlive());
        assertEquals(List.of("old builds", "old takes down", "new takes down"), events);
        assertEquals(Optional.empty(), holds.holder(Role.DRIVER, one));
    }
}
