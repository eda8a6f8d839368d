// SPDX-License-Identifier: Apache-2.0
package machine.qemu.process;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What there is to say without a QEMU, or with one that will not do. */
class QemuAbsentTest {
    private static final Launch BOARD = Launch.e500("ppce500", 64, 1);

    @DisplayName("Without the binary: ENOENT, which package has it")
    @Test
    void absent() {
        ErrnoException e = assertThrows(ErrnoException.class, () -> Qemu.start(BOARD.by("qemu-system-nowhere")));
        assertEquals(Errno.ENOENT, e.errno());
        assertEquals("ENOENT: there is no qemu-system-nowhere on the PATH; on Debian: apt-get install "
            + "--no-install-recommends qemu-system-ppc", e.getMessage());
    }

    @DisplayName("Versions below 7.2 are refused")
    @Test
    void old() {
        for (String version : new String[] {"7.1.99", "6.2.0", "2.11.1"}) {
            ErrnoException e = assertThrows(ErrnoException.class, () -> Qemu.check(BOARD, version));
            assertEquals(Errno.EOPNOTSUPP, e.errno());
            assertEquals("EOPNOTSUPP: qemu-system-ppc is version " + version + "; 7.2 is the oldest that will do",
                e.getMessage());
        }
        for (String version : new String[] {"7.2.0", "7.10.0", "8.0.0", "10.0.1"}) {
            Qemu.check(BOARD, version);
        }
    }
}
