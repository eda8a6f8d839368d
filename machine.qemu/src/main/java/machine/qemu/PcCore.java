// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.util.concurrent.TimeUnit;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.Node.Range;
import machine.qemu.process.Qtest;

/**
 * QEMU's x86 core as seen from outside: makes accesses to its local APIC, and reports the interrupts it takes. The
 * other end is {@link CoreRom}.
 *
 * <p>A core that takes an interrupt asserts the pin of its {@link machine.api.Cpu}; reading {@link #ACKNOWLEDGE}, the
 * register that irq.apic has for the acknowledge cycle of a core, gives the vector and lowers it. Until the end of that
 * interrupt the core takes no other. Thread-safe; one access at a time.
 */
final class PcCore implements QemuBus.Inside {
    /** The local APIC of the one core. */
    static final Range LAPIC = new Range(0xfee0_0000L, 0x1000);
    /** Offset of a register that no local APIC has: a read is the acknowledge cycle. */
    private static final int ACKNOWLEDGE = 0x3f0;
    /** A message that is an NMI for core 0, to the range where the bus has messages. */
    private static final long NMI = 4 << 8;
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(10);
    private static final int NONE = -1;

    private final Qtest qtest;
    private final SocketChannel channel;
    private final Pins pins;
    private final Object mailbox = new Object();

    // Guarded by this.
    private int taken = NONE;
    private long served = NONE;
    private int exception = NONE;
    private boolean ended;

    PcCore(Qtest qtest, SocketChannel channel, Pins pins) {
        this.qtest = qtest;
        this.channel = channel;
        this.pins = pins;
        Thread thread = new Thread(this::listen, "machine.qemu core");
        thread.setDaemon(true);
        thread.start();
    }

    @Override
    public long read(long physical) {
        if (physical - LAPIC.physical() == ACKNOWLEDGE) {
            return acknowledge();
        }
        return access(CoreRom.READ, physical, 0);
    }

    @Override
    public void write(long physical, long value) {
        access(CoreRom.WRITE, physical, value);
    }

    private synchronized long acknowledge() {
        int vector = taken;
        taken = NONE;
        pins.level(0, false);
        return vector == NONE ? CoreRom.SPURIOUS : vector;
    }

    private long access(int operation, long physical, long value) {
        synchronized (mailbox) {
            synchronized (this) {
                served = NONE;
            }
            qtest.batch().writel(CoreRom.MAILBOX, operation).writel(CoreRom.MAILBOX + 4, physical)
                .writel(CoreRom.MAILBOX + 8, value)
                .writel(LAPIC.physical(), NMI).run();
            return await(physical);
        }
    }

    private long await(long physical) {
        boolean interrupted = false;
        long until = System.nanoTime() + PATIENCE;
        synchronized (this) {
            while (served == NONE && !ended && exception == NONE && System.nanoTime() < until) {
                try {
                    wait(1000);
                } catch (InterruptedException e) {
                    interrupted = true;
                }
            }
        }
        if (interrupted) {
            Thread.currentThread().interrupt();
        }
        synchronized (this) {
            if (served != NONE) {
                return served;
            }
            if (exception != NONE) {
                throw new ErrnoException(Errno.EIO,
                    "QEMU's core stopped with exception 0x%x; its last access was to be at 0x%x", exception,
                    physical);
            }
        }
        // If the process has gone this says so.
        qtest.settle();
        throw new ErrnoException(Errno.ETIMEDOUT, "QEMU's core did not make an access to 0x%x within %d s", physical,
            TimeUnit.NANOSECONDS.toSeconds(PATIENCE));
    }

    private void listen() {
        ByteBuffer bytes = ByteBuffer.allocate(256);
        // How many bytes of the mailbox's word are still to come.
        int left = 0;
        long value = 0;
        try {
            while (channel.read(bytes.clear()) >= 0) {
                for (bytes.flip(); bytes.hasRemaining(); ) {
                    int one = bytes.get() & 0xff;
                    if (left > 0) {
                        left--;
                        value |= (long) one << 8 * (3 - left);
                        if (left == 0) {
                            served(value);
                        }
                    } else if (one == CoreRom.SERVED) {
                        left = 4;
                        value = 0;
                    } else if (one >= CoreRom.FIRST_INTERRUPT) {
                        taken(one);
                    } else {
                        stopped(one);
                    }
                }
            }
        } catch (IOException e) {
            // The end, told below; a process that has ended gives its reason to the next caller.
        }
        ended();
    }

    private synchronized void taken(int vector) {
        taken = vector;
        pins.level(0, true);
    }

    private synchronized void served(long value) {
        served = value;
        notifyAll();
    }

    private synchronized void stopped(int number) {
        exception = number;
        notifyAll();
    }

    private synchronized void ended() {
        ended = true;
        notifyAll();
    }
}
