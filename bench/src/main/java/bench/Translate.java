// SPDX-License-Identifier: Apache-2.0
package bench;

import iommu.api.IommuDomain;
import iommu.vtd.unit.VtdUnit;
import java.util.concurrent.TimeUnit;
import machine.api.Access;
import machine.api.DmaBuffer;
import machine.api.TranslationUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.CompilerControl;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OperationsPerInvocation;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;

/** Stop 2 of the road alone: a unit's answer. Each access begins when the one before has its answer. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Translate {
    /** A PAMU with all windows mapped; the address is in a window that has an entry of its own. */
    @State(Scope.Benchmark)
    public static class PamuState {
        /** Windows of the domain. */
        @Param("8")
        public int windows;
        TranslationUnit unit;
        long iova;

        /** Builds the board. */
        @Setup
        public void setUp() {
            QoriqBoard board = new QoriqBoard(windows);
            unit = board.pamu;
            iova = board.window(windows / 2) + 0x40;
        }
    }

    /** A VT-d domain with n mappings side by side, none of which continues its neighbour. */
    @State(Scope.Benchmark)
    public static class VtdState {
        /** Mappings of the domain. */
        @Param("1")
        public int mappings;
        /** log2 of the bytes of each: 12 or 21. */
        @Param("12")
        public int shift;
        VtdUnit unit;
        long state = 1;
        long next;

        /** Maps everything, and lets the device see each page once. */
        @Setup
        public void setUp() {
            VtdBoard board = new VtdBoard();
            unit = board.unit;
            IommuDomain domain = board.driver.open();
            domain.attach(VtdBoard.REQUESTER);
            long size = 1L << shift;
            DmaBuffer buffer = board.memory(2 * size, size);
            for (long i = 0; i < mappings; i++) {
                domain.map(i * size, buffer, (i & 1) * size, size, Access.READ_WRITE);
            }
            for (int pass = 0; pass < 4; pass++) {
                for (long i = 0; i < mappings; i++) {
                    if (unit.translate(VtdBoard.SOURCE, i * size, 4, Access.WRITE) < 0) {
                        throw new IllegalStateException("mapping " + i + " is not there");
                    }
                }
            }
        }
    }

    /** One address again and again. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long pamuHot(PamuState s) {
        TranslationUnit unit = s.unit;
        long iova = s.iova;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            answer = unit.translate(QoriqBoard.LIODN, iova + (answer >>> 63), 4, Access.WRITE);
        }
        return checked(answer);
    }

    /** One address again and again: the IOTLB knows it. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long vtdHot(VtdState s) {
        VtdUnit unit = s.unit;
        long iova = (long) (s.mappings / 2) << s.shift;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            answer = unit.translate(VtdBoard.SOURCE, iova + (answer >>> 63), 4, Access.WRITE);
        }
        return checked(answer);
    }

    /** Page after page, around and around. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long vtdSequential(VtdState s) {
        VtdUnit unit = s.unit;
        long next = s.next;
        long end = (long) s.mappings << s.shift;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            answer = unit.translate(VtdBoard.SOURCE, next + (answer >>> 63), 4, Access.WRITE);
            next += 1L << s.shift;
            next = next >= end ? 0 : next;
        }
        s.next = next;
        return checked(answer);
    }

    /** Any page. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long vtdRandom(VtdState s) {
        VtdUnit unit = s.unit;
        long state = s.state;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            state = Places.step(state, answer);
            answer = unit.translate(VtdBoard.SOURCE, (long) Places.place(state, s.mappings) << s.shift, 4,
                Access.WRITE);
        }
        s.state = state;
        return checked(answer);
    }

    private static long checked(long answer) {
        if (answer < 0) {
            throw new IllegalStateException("refused: " + answer);
        }
        return answer;
    }
}
