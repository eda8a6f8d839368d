// SPDX-License-Identifier: Apache-2.0
package vfio.container;

import irq.api.InterruptHandler;
import vfio.api.EventFd;

/**
 * The last hop of an interrupt: from the controller's driver to the user's eventfd, which may be replaced or taken away while
 * the vector stays. Runs on the device's thread; lock-free. Before it the driver's cascade, after it {@link EventFd#signal}.
 */
final class Relay implements InterruptHandler {
    private volatile EventFd target;

    Relay(EventFd target) {
        this.target = target;
    }

    @Override
    public void interrupt() {
        EventFd to = target;
        if (to != null) {
            to.signal();
        }
    }

    void target(EventFd next) {
        target = next;
    }
}
