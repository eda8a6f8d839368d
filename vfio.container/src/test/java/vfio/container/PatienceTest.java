// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.lang.ref.WeakReference;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicReference;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class PatienceTest {
    @Test
    @DisplayName("a thread that has called a provider remembers nothing of it when it has ended, whoever remembers the thread")
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

    private static WeakReference<Object> called(AtomicReference<Thread> thread) {
        Object provider = new Object();
        new Patience(Duration.ofSeconds(10)).call(provider, "a call", progress -> {
            thread.set(Thread.currentThread());
            return provider;
        }, late -> {
        });
        return new WeakReference<>(provider);
    }
}
