// SPDX-License-Identifier: Apache-2.0
package bench;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Map;
import java.util.concurrent.ConcurrentSkipListMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
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

/** The yardsticks: the costs of the machine itself, and of the code one would write without Gantry. */
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
public class Floor {
    private static final VarHandle INT = MethodHandles.byteBufferViewVarHandle(int[].class, ByteOrder.LITTLE_ENDIAN);

    /** A small array of indexes. */
    @State(Scope.Benchmark)
    public static class Small {
        final int[] next = new int[16];
        int at;

        /** A ring. */
        @Setup
        public void setUp() {
            for (int i = 0; i < next.length; i++) {
                next[i] = i + 1 & next.length - 1;
            }
        }
    }

    /** An array as large as what the VT-d unit reads for that many mappings. */
    @State(Scope.Benchmark)
    public static class Footprint {
        /** Mappings. */
        @Param("1")
        public int mappings;
        long[] words;
        long state = 1;

        /** Touches all of it. */
        @Setup
        public void setUp() {
            words = new long[(int) (bytes(mappings) / 8)];
            for (int i = 0; i < words.length; i++) {
                words[i] = i;
            }
        }
    }

    /** Ranges in a concurrent sorted map. */
    @State(Scope.Benchmark)
    public static class Ranges {
        /** A mapping. */
        record Range(long physical, long length) {
        }

        /** Mappings. */
        @Param("1")
        public int mappings;
        final ConcurrentSkipListMap<Long, Range> ranges = new ConcurrentSkipListMap<>();
        long state = 1;

        /** Fills it. */
        @Setup
        public void setUp() {
            for (long i = 0; i < mappings; i++) {
                ranges.put(i << 12, new Range((i & 1) << 12, 4096));
            }
        }
    }

    /** Two pieces of memory. */
    @State(Scope.Benchmark)
    public static class Copies {
        /** Bytes. */
        @Param("4096")
        public int bytes;
        byte[] from;
        ByteBuffer to;
        int start;

        /** Touches both. */
        @Setup
        public void setUp() {
            from = new byte[bytes + Places.TURN];
            // On a page, as the machine's memory is.
            to = ByteBuffer.allocateDirect(bytes + 4096).alignedSlice(4096);
        }
    }

    /** A counter. */
    @State(Scope.Benchmark)
    public static class Counter {
        final AtomicLong count = new AtomicLong();
    }

    /**
     * {@return bytes read for so many mappings: an IOTLB entry of 32 bytes each, or the full IOTLB and a table entry of
     * 8 each}
     */
    static long bytes(int mappings) {
        long cached = 1 << 17;
        return mappings <= cached ? mappings * 32L : cached * 32 + mappings * 8L;
    }

    /** One read that needs the one before. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public int dependentRead(Small s) {
        int[] next = s.next;
        int at = s.at;
        for (int i = 0; i < Places.BATCH; i++) {
            at = next[at];
        }
        s.at = at;
        return at;
    }

    /** A read anywhere. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long randomRead(Footprint s) {
        long[] words = s.words;
        long state = s.state;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            state = Places.step(state, answer);
            answer = words[Places.place(state, words.length)];
        }
        s.state = state;
        return answer;
    }

    /** A sorted map asked for the range at or below. */
    @Benchmark
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    @OperationsPerInvocation(Places.BATCH)
    public long skipList(Ranges s) {
        long state = s.state;
        long answer = 0;
        for (int i = 0; i < Places.BATCH; i++) {
            state = Places.step(state, answer);
            long iova = (long) Places.place(state, s.mappings) << 12;
            Map.Entry<Long, Ranges.Range> entry = s.ranges.floorEntry(iova);
            long offset = iova - entry.getKey();
            answer = offset + 4 <= entry.getValue().length() ? entry.getValue().physical() + offset : -1;
        }
        s.state = state;
        return answer;
    }

    /** Copies alone, into memory outside the heap, where the machine's memory is. */
    @CompilerControl(CompilerControl.Mode.DONT_INLINE)
    static void copies(Copies s, int count) {
        for (int i = 0; i < count; i++) {
            s.start = Places.turn(s.start);
            s.to.put(0, s.from, s.start, s.bytes);
        }
    }

    /** Four bytes stored with release, as memory of the machine is. */
    @Benchmark
    public void store(Copies s) {
        INT.setRelease(s.to, 0, 0x1234_5678);
    }

    /** An atomic addition nobody else wants. */
    @Benchmark
    public long atomicAdd(Counter s) {
        return s.count.getAndAdd(1);
    }
}
