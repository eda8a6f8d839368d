// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.swap.Swap;

/** Who is told of swaps, and by which thread. */
class SwapLogTest {
    private final SwapLog log = new SwapLog();
    private final List<String> told = new ArrayList<>();

    private static Swap swap(String container) {
        return new Swap(Instant.EPOCH, container, Swap.Backend.IOMMU, "a", "b", 0, 0, 0, 0, 0, 0, 0, 0, "");
    }

    private static void elsewhere(Runnable work) throws InterruptedException {
        Thread thread = new Thread(work);
        thread.start();
        thread.join();
    }

    @Test
    @DisplayName("a report is announced by the thread that made it: an unrelated call does not wait for its listeners")
    void own() throws InterruptedException {
        log.add(swap -> told.add(swap.container()));
        log.add(swap("mine"));
        elsewhere(() -> {
            log.add(swap("another's"));
            log.announce();
        });
        assertEquals(List.of("another's"), told);
        elsewhere(log::announce);
        assertEquals(List.of("another's"), told);
        log.announce();
        log.announce();
        assertEquals(List.of("another's", "mine"), told);
        assertEquals(List.of("mine", "another's"), log.latest().stream().map(Swap::container).toList());
    }

    @Test
    @DisplayName("a listener that reports and announces in its turn has each report told once")
    void nested() {
        log.add(swap -> {
            told.add(swap.container());
            if (swap.container().equals("first")) {
                log.add(swap("third"));
                log.announce();
            }
        });
        log.add(swap("first"));
        log.add(swap("second"));
        log.announce();
        assertEquals(List.of("first", "second", "third"), told);
    }

    @Test
    @DisplayName("a listener that throws keeps no other from being told")
    void throwing() {
        log.add(swap -> {
            throw new IllegalStateException("on purpose");
        });
        log.add(swap -> told.add(swap.container()));
        log.add(swap("one"));
        log.announce();
        assertEquals(List.of("one"), told);
    }
}
