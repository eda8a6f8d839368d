// SPDX-License-Identifier: Apache-2.0
package bench;

/**
 * One line of the table.
 *
 * @param name what was measured
 * @param nanos what one operation takes, nanoseconds
 * @param yardstick what it is compared with; null for what is only shown
 * @param ratio nanos in units of the yardstick; NaN without one
 * @param limit the largest ratio that was aimed at; NaN where none was
 * @param bytesPerOp bytes allocated by one operation
 */
record Row(String name, double nanos, String yardstick, double ratio, double limit, double bytesPerOp) {
    /** {@return {@code ok} or {@code over}; empty where nothing was aimed at} */
    String verdict() {
        return Double.isNaN(limit) || Double.isNaN(ratio) ? "" : ratio <= limit ? "ok" : "over";
    }
}
