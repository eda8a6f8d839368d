// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.container.host.Cleanup;
import vfio.container.host.ProviderCalls;

class ProviderCallsTest {
    @Test
    @DisplayName("a thread that has called a provider remembers nothing of it when it has ended, whoever remembers "
        + "the thread")
    void forgets() throws Exception {
        AtomicReference<Thread> thread = new AtomicReference<>();
        WeakReference<Object> provider = called(thread);
        thread.get().join();
        long begin = System.nanoTime();
        while (provider.get() != null && System.nanoTime() - begin < 5_000_000_000L) {
            System.gc();
            Thread.sleep(10);
        }
        assertNotNull(thread.get());
        assertFalse(thread.get().isAlive());
        assertNull(provider.get());
    }

    @SuppressWarnings("unchecked")
    private static <T extends Throwable> void sneak(Throwable thrown) throws T {
        throw (T) thrown;
    }

    @Test
    @DisplayName("a checked exception that no signature announces is an answer like any other, and not a call that "
        + "hangs")
    void unannounced() {
        ProviderCalls patience = new ProviderCalls(Duration.ofSeconds(20));
        Object provider = new Object();
        long begin = System.nanoTime();
        ErrnoException e = assertThrows(ErrnoException.class,
            () -> patience.run(provider, "a call",
                () -> ProviderCallsTest.<RuntimeException>sneak(new IOException("gone"))));
        assertEquals(Errno.EIO, e.errno());
        assertTrue(e.getMessage().contains("gone"), e.getMessage());
        assertFalse(patience.hangs(provider));
        assertTrue(System.nanoTime() - begin < 15_000_000_000L, "waited for it");
    }

    @Test
    @DisplayName("steps are all taken, whatever one of them throws")
    void steps() {
        Cleanup steps = new Cleanup();
        int[] taken = new int[1];
        steps.take(() -> ProviderCallsTest.<RuntimeException>sneak(new IOException("gone")));
        steps.take(() -> {
            throw new StackOverflowError();
        });
        steps.take(() -> taken[0]++);
        assertEquals(1, taken[0]);
        assertEquals(Errno.EIO, assertThrows(ErrnoException.class, steps::end).errno());
    }

    private static WeakReference<Object> called(AtomicReference<Thread> thread) {
        Object provider = new Object();
        new ProviderCalls(Duration.ofSeconds(10)).call(provider, "a call", progress -> {
            thread.set(Thread.currentThread());
            return provider;
        }, late -> {
        });
        return new WeakReference<>(provider);
    }
}
