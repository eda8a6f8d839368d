// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.api.IommuDomain;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.Bus;
import machine.api.DmaBuffer;
import machine.api.DmaMemory;
import machine.api.DmaPort;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.CompilerControl;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/**
 * The whole road for data: a device's write, through a VT-d unit with 4 KiB pages, into memory that is not contiguous.
 */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Dma {
    private static final int TURN_BYTES = 1 << 20;

    /** A device and what it may write to. */
    @State(Scope.Benchmark)
    public static class Device {
        /** Bytes of a transfer. Up to 4 KiB lie in one page; more begin inside a page and cross. */
        @Param("4096")
        public int bytes;
        DmaPort port;
        byte[] from;
        int start;
        long iova;
        Bus bus;
        long physical;

        /** Maps 2 pages more than needed, as single pages. */
        @Setup
        public void setUp() {
            VtdBoard board = new VtdBoard();
            IommuDomain domain = board.driver.open();
            domain.attach(VtdBoard.REQUESTER);
            long size = (bytes + 3 * VtdBoard.PAGE - 1) & -VtdBoard.PAGE;
            DmaBuffer buffer = board.machine.memory().allocate(size, VtdBoard.PAGE, DmaMemory.Layout.SCATTERED);
            domain.map(0, buffer, 0, size, Access.READ_WRITE);
            port = board.port();
            bus = board.machine.bus();
            physical = buffer.physical(0);
            from = new byte[bytes + Places.TURN];
            iova = bytes > VtdBoard.PAGE ? 0x80 : 0;
        }
    }

    /** One value. */
    @Benchmark
    public int value(Device s) {
        return checked(s.port.write(s.iova, 4, 0x1234_5678));
    }

    /** A block, and a bare copy in turn. */
    @Benchmark
    public void block(Device s, Floor.Copies copies, Turns turns) {
        turns.take(turn(s), s, Dma::blocks, copies, Floor::copies);
    }

    /** The same block, stored by a core: what the port and the translation add is the rest. */
    @Benchmark
    public void store(Device s, Floor.Copies copies, Turns turns) {
        turns.take(turn(s), s, Dma::stores, copies, Floor::copies);
    }

    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    static void blocks(Device s, int count) {
        for (int i = 0; i < count; i++) {
            s.start = Places.turn(s.start);
            checked(s.port.write(s.iova, s.from, s.start, s.bytes));
        }
    }

    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    static void stores(Device s, int count) {
        for (int i = 0; i < count; i++) {
            s.start = Places.turn(s.start);
            checked(s.bus.write(Bus.CPU, s.physical, s.from, s.start, s.bytes));
        }
    }

    private static int turn(Device s) {
        return Math.max(1, TURN_BYTES / s.bytes);
    }

    private static int checked(int status) {
        if (status != Bus.OK) {
            throw new IllegalStateException("refused: " + status);
        }
        return status;
    }
}
