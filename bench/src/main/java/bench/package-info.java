// SPDX-License-Identifier: Apache-2.0
/** The road measured: JMH benchmarks of every stretch, yardsticks beside them, one table of ratios. */
package bench;
