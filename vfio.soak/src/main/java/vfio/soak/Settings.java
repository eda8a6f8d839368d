// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import machine.api.Errno;
import machine.api.ErrnoException;

/**
 * The duration and the seed of a soak.
 *
 * @param seconds duration of the swaps, 1..86400
 * @param seed seed of every random choice
 */
record Settings(int seconds, long seed) {
    static final int DAY = 86_400;

    /** @throws ErrnoException EINVAL if the time is out of range */
    Settings {
        if (seconds < 1 || seconds > DAY) {
            throw new ErrnoException(Errno.EINVAL, "%d seconds: must be 1..%d", seconds, DAY);
        }
    }
}
