// SPDX-License-Identifier: Apache-2.0
package machine.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.IntStream;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** What refusals, accesses, faults and errors are called, and what a gate and a snoop do that are none. */
class VocabularyTest {
    @DisplayName("Refusals have names; a number that is none is shown as it is; what is not negative is an address")
    @Test
    void refusals() {
        assertEquals(List.of("OK", "BLOCKED", "NO_REQUESTER", "OUTSIDE", "UNMAPPED", "DENIED", "MALFORMED", "NO_TARGET",
            "UNSUPPORTED", "NO_MEMORY", "-10"), IntStream.rangeClosed(0,
            10).mapToObj(code -> Refusal.name(-code)).toList());
        assertEquals("OK", Refusal.name(Long.MAX_VALUE));
        assertEquals(Refusal.BLOCKED, TranslationUnit.NONE.translate(1, 0, 4, Access.READ));
    }

    @DisplayName("Accesses and faults in words")
    @Test
    void accesses() {
        assertEquals(List.of("-", "R", "W", "RW", "-", "R"), IntStream.range(0, 6).mapToObj(Access::name).toList());
        assertEquals("requester 0xc1: write of 4 bytes at iova 0x7000: BLOCKED",
            new Fault(0xc1, 0x7000, 4, Access.WRITE, Refusal.BLOCKED).toString());
        assertEquals("requester 0xc1: read of 8 bytes at iova 0x0: UNMAPPED",
            new Fault(0xc1, 0, 8, Access.READ, Refusal.UNMAPPED).toString());
    }

    @DisplayName("Errors: Linux's numbers, each once; a reason without arguments is not taken for a format")
    @Test
    void errors() {
        assertEquals(List.of(1, 2, 5, 22, 28, 110),
            List.of(Errno.EPERM, Errno.ENOENT, Errno.EIO, Errno.EINVAL, Errno.ENOSPC,
            Errno.ETIMEDOUT).stream().map(Errno::number).toList());
        Set<Integer> numbers = new HashSet<>();
        assertTrue(Arrays.stream(Errno.values()).allMatch(errno -> numbers.add(errno.number())));
        Throwable cause = new IllegalStateException();
        ErrnoException e = new ErrnoException(Errno.EBUSY, cause, "core %d", 3);
        assertEquals("core 3", e.reason());
        assertEquals("EBUSY: core 3", e.getMessage());
        assertSame(cause, e.getCause());
        assertEquals("100 %d", new ErrnoException(Errno.EIO, "100 %d").reason());
    }

    @DisplayName("A node is built in only if it says so, and compatible with nothing that it does not name")
    @Test
    void defaults() {
        Node node = Node.at("/pci");
        assertFalse(node.builtIn());
        assertFalse(node.compatibleWith("nobody,this"));
    }

    @DisplayName("A gate in front of devices that cannot be held back does nothing; a snoop that hears nothing gives "
        + "no stamp")
    @Test
    void none() {
        Gate.NONE.requesters(Set.of(0x11));
        Gate.NONE.shut(0);
        Gate.NONE.keepMessages(0x1000);
        Gate.NONE.open();
        assertEquals(0, Gate.NONE.stalled() + Gate.NONE.refused());
        Gate.NONE.close();
        assertEquals(Snoop.NONE, Snoop.NEVER.stamp());
        assertFalse(Snoop.NEVER.unchanged(Snoop.NONE));
        Snoop.NEVER.close();
    }
}
