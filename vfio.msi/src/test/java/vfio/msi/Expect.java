// SPDX-License-Identifier: Apache-2.0
package vfio.msi;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.function.Executable;

/** That a call fails with an errno and says a thing. */
final class Expect {
    private Expect() {
    }

    static void refused(Errno errno, String text, Executable call) {
        ErrnoException e = assertThrows(ErrnoException.class, call);
        assertEquals(errno, e.errno(), e.getMessage());
        assertTrue(e.getMessage().contains(text), e.getMessage());
    }
}
