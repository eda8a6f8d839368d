// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.osgi.framework.BundleException;

@Timeout(60)
class WatchTest {
    private final AtomicInteger moved = new AtomicInteger();
    private final Watch watch = new Watch(100, moved::get);

    @DisplayName("An exception of a step is thrown, an Error wrapped; an interrupt is kept for afterwards")
    @Test
    void throwing() throws Exception {
        Thread.currentThread().interrupt();
        AtomicInteger done = new AtomicInteger();
        watch.run("a step", done::incrementAndGet);
        assertTrue(Thread.interrupted(), "the interrupt is lost");
        assertEquals(1, done.get());
        assertEquals("no", assertThrows(BundleException.class, () -> watch.run("a step", () -> {
            throw new BundleException("no");
        })).getMessage());
        ExecutionException error = assertThrows(ExecutionException.class, () -> watch.run("a step", () -> {
            throw new NoClassDefFoundError("a/B");
        }));
        assertEquals("java.lang.NoClassDefFoundError: a/B", Causes.line(error));
    }

    @DisplayName("A step that hangs is interrupted, then given up; its end is reported when it comes. One that heeds "
        + "the interrupt has hung, too")
    @Test
    void hanging() throws Exception {
        CountDownLatch release = new CountDownLatch(1);
        Watch.Hung deaf = assertThrows(Watch.Hung.class, () -> watch.run("starting it", () -> {
            while (release.getCount() > 0) {
                try {
                    release.await();
                } catch (InterruptedException e) {
                    // As what hangs for good.
                }
            }
        }));
        assertEquals("starting it has not returned within 100 ms (provider.timeout)", deaf.getMessage());
        assertFalse(deaf.end().isDone());
        release.countDown();
        deaf.end().get(30, TimeUnit.SECONDS);
        CountDownLatch never = new CountDownLatch(1);
        assertTrue(assertThrows(Watch.Hung.class, () -> watch.run("starting it", never::await)).end().isDone());
    }

    @DisplayName("While something moves, a step may take longer")
    @Test
    void moving() throws Exception {
        watch.run("a long one", () -> {
            for (int i = 0; i < 10; i++) {
                moved.incrementAndGet();
                Thread.sleep(30);
            }
        });
    }
}
