// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Bus;
import machine.api.Cpu;
import machine.api.DmaPort;
import machine.local.LocalCpu;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import vfio.container.irq.LocalEventFd;

/**
 * The whole road for an interrupt: a device's write, PAMU, MPIC, its driver, an eventfd; and on to a thread that waits.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Msi {
    /** A device and its message. */
    @State(Scope.Benchmark)
    public static class Device {
        final LocalEventFd eventFd = new LocalEventFd(0);
        private final QoriqBoard board = new QoriqBoard(8);
        private final DmaPort port = board.port();
        private final long[] message = board.message(eventFd::signal);

        void ring() {
            int status = port.write(message[0], 4, message[1]);
            if (status != Bus.OK) {
                throw new IllegalStateException("refused: " + status);
            }
        }

        /** Each message has been counted, or the figure is worth nothing. */
        @Setup
        public void check() {
            ring();
            if (eventFd.poll() != 1) {
                throw new IllegalStateException("the message did not arrive");
            }
        }
    }

    /** A thread that sleeps until it is wanted, answers, and sleeps again. */
    public abstract static class Waiter {
        /** Counts the answers. */
        volatile long answers;
        private Thread thread;
        private volatile boolean stop;

        abstract void await() throws InterruptedException;

        final boolean stopped() {
            return stop;
        }

        /** Starts it. */
        @Setup
        public void start() {
            stop = false;
            thread = new Thread(() -> {
                try {
                    while (!stop) {
                        await();
                        answers = answers + 1;
                    }
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }, "waiter");
            thread.setDaemon(true);
            thread.start();
        }

        /** Stops it. */
        @TearDown
        public void stop() throws InterruptedException {
            stop = true;
            thread.interrupt();
            thread.join();
        }

        final Thread thread() {
            return thread;
        }

        /** {@return the answers so far, once it sleeps} */
        final long asleep() {
            Thread.State state = thread.getState();
            while (state != Thread.State.WAITING && state != Thread.State.TIMED_WAITING) {
                Thread.onSpinWait();
                state = thread.getState();
            }
            return answers;
        }

        final long answered(long before) {
            while (answers == before) {
                Thread.onSpinWait();
            }
            return answers;
        }
    }

    /** Sleeps on the device's eventfd. */
    @State(Scope.Benchmark)
    public static class EventFdWaiter extends Waiter {
        final Device device = new Device();

        @Override
        void await() throws InterruptedException {
            long taken = 0;
            while (taken == 0) {
                taken = device.eventFd.read(1, TimeUnit.HOURS);
            }
        }
    }

    /** Sleeps on a flag. */
    @State(Scope.Benchmark)
    public static class BareWaiter extends Waiter {
        volatile boolean wanted;

        @Override
        void await() {
            while (!wanted && !stopped()) {
                LockSupport.park(this);
            }
            wanted = false;
        }
    }

    /** Parts of the way to the counter, on a board where nothing else happens. */
    @State(Scope.Benchmark)
    public static class Parts {
        final Cpu core = new LocalCpu(0);
        private final QoriqBoard board = new QoriqBoard(8);
        final Bus bus = board.machine.bus();

        /** A handler that does as little as one can. */
        @Setup
        public void setUp() {
            core.attach(() -> core.pin(false));
        }
    }

    /** To the counter. */
    @Benchmark
    public void toCounter(Device s) {
        s.ring();
    }

    /**
     * One access to a register of the MPIC: the bus, the unit's lock, which register it is. Four of them are one
     * message.
     */
    @Benchmark
    public long register(Parts s) {
        return s.bus.read(QoriqBoard.WHOAMI, 4);
    }

    /** The core's pin up, its handler called, the pin down. */
    @Benchmark
    public void pin(Parts s) {
        s.core.pin(true);
    }

    /** To a sleeping thread and its answer back. */
    @Benchmark
    public long toThread(EventFdWaiter s) {
        long before = s.asleep();
        s.device.ring();
        return s.answered(before);
    }

    /** Yardstick of the former: flag and unpark, and the answer back. */
    @Benchmark
    public long handOver(BareWaiter s) {
        long before = s.asleep();
        s.wanted = true;
        LockSupport.unpark(s.thread());
        return s.answered(before);
    }
}
