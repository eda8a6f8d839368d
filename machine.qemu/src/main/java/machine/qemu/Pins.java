// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.List;
import java.util.concurrent.locks.LockSupport;
import machine.api.Cpu;

/**
 * The thread that interrupt handlers run on. QEMU reports a pin's level on the thread that reads its replies, where a
 * handler must not run: it would wait for replies of its own.
 */
final class Pins implements AutoCloseable {
    private final List<Cpu> cpus;
    private final Thread thread = new Thread(this::run, "machine.qemu interrupts");
    private volatile boolean closed;
    private volatile boolean rung;

    Pins(List<Cpu> cpus) {
        this.cpus = cpus;
        thread.setDaemon(true);
        thread.start();
    }

    /** The pin of a core has this level now. Any thread; calls nobody. */
    void level(int core, boolean asserted) {
        cpus.get(core).level(asserted);
        if (asserted) {
            rung = true;
            LockSupport.unpark(thread);
        }
    }

    @Override
    public void close() {
        closed = true;
        LockSupport.unpark(thread);
        boolean interrupted = false;
        while (thread.isAlive() && Thread.currentThread() != thread) {
            try {
                thread.join();
            } catch (InterruptedException e) {
                interrupted = true;
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
    }

    private void run() {
        while (!closed) {
            if (!rung) {
                LockSupport.park(this);
                continue;
            }
            rung = false;
            cpus.forEach(Cpu::serve);
        }
    }
}
