// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Violation;
import java.util.Map;
import machine.api.Access;
import machine.api.Fault;
import machine.api.Refusal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class JournalTest {
    private final Journal journal = new Journal();
    private final Fault denied = new Fault(193, 0x1000, 4, Access.READ, Refusal.DENIED);

    private Journal.Attempt attempt(String expected, Fault fault, Violation violation, boolean untouched) {
        return new Journal.Attempt("guest", "0000:01:00.0", 193, false, 0x1000, 4, expected, "", fault, violation,
            untouched);
    }

    @DisplayName("A run is ok until one thing is not as expected")
    @Test
    void ok() {
        journal.add(new Journal.Transfer("guest", "d", 0, 4096, 64, 0, 0, "", ""));
        journal.add(new Journal.Interrupt("guest", "d", true, 1, 0, 0x140, 0, 1, 0, 5));
        journal.add(attempt("DENIED", denied, null, true));
        journal.add(new Journal.Rejection("EINVAL", "EINVAL: no", "what"));
        assertTrue(journal.ok());
        assertEquals(Map.of(1, 1L), journal.deliveredPerBank());
    }

    @DisplayName("Not ok: a wrong byte, a lost, doubled or stray interrupt, another refusal or none, changed memory, "
        + "another errno")
    @Test
    void notOk() {
        assertFails(() -> journal.add(new Journal.Transfer("guest", "d", 0, 4096, 64, 1, 0, "", "")));
        assertFails(
            () -> journal.add(new Journal.Transfer("guest", "d", 0, 4096, 64, 0, 1, "read at iova 0x0: DENIED", "")));
        assertFails(() -> journal.add(new Journal.Interrupt("guest", "d", true, 1, 0, 0, 0, 0, 0, 5)));
        assertFails(() -> journal.add(new Journal.Interrupt("guest", "d", true, 1, 0, 0, 0, 2, 0, 5)));
        assertFails(() -> journal.add(new Journal.Interrupt("guest", "d", true, 1, 0, 0, 0, 1, 1, 5)));
        assertFails(() -> journal.add(attempt("UNMAPPED", denied, null, true)));
        assertFails(() -> journal.add(attempt("DENIED", null, null, true)));
        assertFails(() -> journal.add(attempt("DENIED", denied, null, false)));
        assertFails(() -> journal.add(new Journal.Rejection("EINVAL", "EEXIST: there", "what")));
        assertFails(() -> journal.add(new Journal.Rejection("EINVAL", "it was done", "what")));
        assertFails(() -> journal.fail("ended early"));
    }

    @DisplayName("A message that remapping refuses has passed the port: the IOMMU's record is the reason")
    @Test
    void recordedOnly() {
        Journal.Attempt forged = attempt("0x26", null,
            new Violation("/drhd", 1, 0, Refusal.DENIED, "0x26 interrupt from another source", "FSTS"), true);
        assertTrue(forged.ok());
        assertEquals("FSTS", forged.registers());
        assertEquals("DENIED", forged.reason(), "what all IOMMUs have in common");
        assertEquals("0x26 interrupt from another source", forged.recorded());
        assertFalse(attempt("", null, null, true).ok(), "nothing refused it");
    }

    private void assertFails(Runnable step) {
        int before = journal.failures().size();
        step.run();
        assertEquals(before + 1, journal.failures().size());
        assertFalse(journal.ok());
    }
}
