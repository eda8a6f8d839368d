// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.function.ObjIntConsumer;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/**
 * The road and its yardstick in turns of some ten microseconds each, in one JVM: a host that is slow for a minute is so
 * for both, and the ratio stays. For trials that a host makes twice as slow, such as copies.
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

    /**
     * Takes the road so often, then the yardstick. The loops must not be inlined here, or they would share what the
     * compiler knows.
     */
    <R, Y> void take(int count, R onRoad, ObjIntConsumer<R> roads, Y atYardstick, ObjIntConsumer<Y> yardsticks) {
        long begin = System.nanoTime();
        roads.accept(onRoad, count);
        long middle = System.nanoTime();
        yardsticks.accept(atYardstick, count);
        yardstick += System.nanoTime() - middle;
        road += middle - begin;
        operations += count;
    }
}
