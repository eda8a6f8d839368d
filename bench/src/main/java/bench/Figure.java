// SPDX-License-Identifier: Apache-2.0
package bench;

/**
 * The result of a trial.
 *
 * @param nanos of one operation: the lower quartile of all iterations
 * @param ratio to a yardstick that was measured in turns with it, the median of all iterations; NaN if there was none
 * @param bytesPerOp allocated by one operation, JMH's own share taken off
 */
record Figure(double nanos, double ratio, double bytesPerOp) {
    /** {@return the better of two passes; a ratio is that of both, because a host can make it smaller as well} */
    Figure better(Figure other) {
        return new Figure(Math.min(nanos, other.nanos), (ratio + other.ratio) / 2,
            nanos <= other.nanos ? bytesPerOp : other.bytesPerOp);
    }
}
