// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.api.IommuDomain;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.DmaPort;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;

/** The wait for accesses in flight, while device threads write 4 KiB blocks as fast as they can through one port. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Drain {
    /** Devices at work. */
    @State(Scope.Benchmark)
    public static class Devices {
        /** Device threads. */
        @Param("0")
        public int devices;
        final VtdBoard board = new VtdBoard();
        private final List<Thread> threads = new ArrayList<>();
        private volatile boolean stop;

        /** Starts them. */
        @Setup
        public void start() {
            stop = false;
            IommuDomain domain = board.driver.open();
            domain.attach(VtdBoard.REQUESTER);
            DmaBuffer page = board.memory(VtdBoard.PAGE, VtdBoard.PAGE);
            domain.map(0, page, 0, VtdBoard.PAGE, Access.READ_WRITE);
            DmaPort port = board.port();
            for (int i = 0; i < devices; i++) {
                Thread thread = new Thread(() -> {
                    byte[] block = new byte[4096];
                    while (!stop) {
                        port.write(0, block, 0, block.length);
                    }
                }, "device " + i);
                thread.setDaemon(true);
                thread.start();
                threads.add(thread);
            }
        }

        /** Stops them. */
        @TearDown
        public void stop() throws InterruptedException {
            stop = true;
            for (Thread thread : threads) {
                thread.join();
            }
        }
    }

    /** One wait. */
    @Benchmark
    public void sync(Devices s) {
        s.board.machine.bus().sync();
    }
}
