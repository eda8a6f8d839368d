// SPDX-License-Identifier: Apache-2.0
package bench;

import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * What the road and its yardstick take in turns of some microseconds, in one JVM: a host that is slow for a minute is so for both, and
 * the ratio stays. For trials that a host makes twice as slow, such as copies.
 */
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.EVENTS)
public class Turns {
    /** Nanoseconds on the road. */
    public long road;
    /** Nanoseconds of the yardstick. */
    public long yardstick;
    /** Operations of each. */
    public long operations;

    /** The road was taken so often from the one moment to the next, and the yardstick from then until now. */
    void add(int count, long begin, long middle) {
        yardstick += System.nanoTime() - middle;
        road += middle - begin;
        operations += count;
    }
}
