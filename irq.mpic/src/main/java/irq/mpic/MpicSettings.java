// SPDX-License-Identifier: Apache-2.0
package irq.mpic;

/**
 * The settings of the driver.
 *
 * @param core number of the core that all interrupts go to
 */
public record MpicSettings(int core) {
    /** All interrupts go to core 0. */
    public static final MpicSettings DEFAULTS = new MpicSettings(0);

    /** Checks. */
    public MpicSettings {
        if (core < 0) {
            throw new IllegalArgumentException("core " + core + " is negative");
        }
    }
}
