// SPDX-License-Identifier: Apache-2.0
package machine.qemu;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.locks.LockSupport;
import machine.api.Errno;
import machine.api.ErrnoException;
import machine.api.PciFunction;

/** The substitute for the reset that QEMU's edu does not have. Register numbers as QEMU documents them. */
final class EduReset {
    /** Device and vendor id. */
    static final long IDENTITY = 0x11e8_1234L;

    private static final int STATUS = 0x20;
    private static final int INTERRUPTS = 0x24;
    private static final int ACKNOWLEDGE = 0x64;
    private static final int SOURCE = 0x80;
    private static final int DESTINATION = 0x88;
    private static final int COUNT = 0x90;
    private static final int COMMAND = 0x98;
    private static final int RUNNING = 1;
    private static final long PATIENCE = TimeUnit.SECONDS.toNanos(10);

    private EduReset() {
    }

    /** The function answers in its BAR and is no bus master, so that what its transfer moves is lost. */
    static void clear(PciFunction edu) {
        long until = System.nanoTime() + PATIENCE;
        while ((edu.readBar(0, COMMAND, 8) & RUNNING) != 0) {
            if (System.nanoTime() > until) {
                throw new ErrnoException(Errno.ETIMEDOUT, "the transfer of edu %s does not end", edu.name());
            }
            LockSupport.parkNanos(100_000);
        }
        edu.writeBar(0, SOURCE, 8, 0);
        edu.writeBar(0, DESTINATION, 8, 0);
        edu.writeBar(0, COUNT, 8, 0);
        edu.writeBar(0, COMMAND, 8, 0);
        edu.writeBar(0, STATUS, 4, 0);
        edu.writeBar(0, ACKNOWLEDGE, 4, edu.readBar(0, INTERRUPTS, 4));
    }
}
