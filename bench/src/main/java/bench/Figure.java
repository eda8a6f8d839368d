// SPDX-License-Identifier: Apache-2.0
package bench;

/**
 * What a trial has given.
 *
 * @param nanos of one operation: the lower quartile of all iterations
 * @param bytesPerOp allocated by one operation, JMH's own share taken off
 */
record Figure(double nanos, double bytesPerOp) {
}
