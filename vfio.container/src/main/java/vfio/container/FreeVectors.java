// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import irq.api.InterruptController;
import java.util.List;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.Attachment;

/**
 * Notifies routes that wait for a vector when one is free (decision 28), on a thread of its own: a vector becomes free
 * inside an interrupt handler, and with any lock held. None is missed: a route waits from before it asks the controller
 * until it has a vector.
 */
final class FreeVectors {
    private static final Attachment NOBODY = () -> {
    };

    private final List<VfioContainer> containers;
    /**
     * The number of vectors that became free while a route waited for one, since the notifying thread last looked.
     */
    private final AtomicInteger freed = new AtomicInteger();
    /** Guarded by the topology lock. */
    private Attachment followed = NOBODY;

    /** @param containers those that are open, as of any time */
    FreeVectors(List<VfioContainer> containers) {
        this.containers = containers;
    }

    /** Hears of free vectors from the controller that acts, and from no other. */
    void follow(InterruptController controller) {
        close();
        if (controller != null) {
            followed = controller.doorbells().onFree(this::vectorFree);
        }
    }

    void close() {
        Attachment before = followed;
        followed = NOBODY;
        before.close();
    }

    /** A vector has become free, or the use of a bank. Any thread, with any lock. */
    void vectorFree() {
        for (VfioContainer container : containers) {
            if (container.waits()) {
                if (freed.getAndIncrement() == 0) {
                    seeToWaiting();
                }
                return;
            }
        }
    }

    private void seeToWaiting() {
        Thread thread = new Thread(() -> {
            int seen;
            do {
                seen = freed.get();
                for (VfioContainer container : containers) {
                    if (!routeWaiting(container)) {
                        freed.getAndIncrement();
                    }
                }
            } while (freed.addAndGet(-seen) != 0);
        }, "vfio.container: a free vector");
        thread.setDaemon(true);
        try {
            thread.start();
        } catch (Throwable e) {
            // The next one that becomes free tries again.
            freed.set(0);
            throw e;
        }
    }

    /** {@return false if that has to be tried again} */
    private static boolean routeWaiting(VfioContainer container) {
        try {
            return container.controllers().vectorFree();
        } catch (RuntimeException | Error e) {
            System.getLogger(FreeVectors.class.getName()).log(System.Logger.Level.WARNING, container
                + " could not be given a vector that has become free", e);
            return true;
        }
    }
}
