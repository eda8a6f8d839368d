// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.lang.reflect.InvocationTargetException;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.osgi.framework.BundleException;

class CausesTest {
    @DisplayName("A cause is one line with the causes that say something: neither wrappers nor stack traces")
    @Test
    void line() {
        assertEquals("java.lang.IllegalStateException: a b", Causes.line(new BundleException("Activator start error",
            new InvocationTargetException(new IllegalStateException("a\n  b\n")))));
        assertEquals("Unable to resolve", Causes.line(new BundleException("Unable to resolve")));
        assertEquals("EBUSY: taken", Causes.line(new BundleException("no", new ErrnoException(Errno.EBUSY, "taken"))));
        assertEquals("java.lang.Error: x", Causes.trace("java.lang.Error: x\n\tat a.B.c(B.java:1)\n"));
        assertEquals("java.lang.Error: y",
            Causes.trace("java.lang.reflect.InvocationTargetException\n\tat a.B.c(B.java:1)\n"
            + "Caused by: java.lang.Error: y\n\t... 3 more\n"));
        assertEquals("", Causes.trace(""));
        assertEquals(402, Causes.line(new ErrnoException(Errno.EIO, "%s", "x".repeat(1000))).length());
    }
}
