// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import machine.api.InterruptInputs;
import machine.api.Node;
import machine.api.Unit;
import machine.api.Wire;
import machine.fixture.TestBoard;
import machine.local.LocalMachine;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The interrupt wire of one instance when a violation and a W1C write meet in the handler. */
class ViolationsTest {
    private static final Wire WIRE = new Wire("/pic", 24, true, "24 2 0 0");

    private final LocalMachine machine = TestBoard.named("bench").machine();
    private final Violations violations = new Violations(level -> machine.line(WIRE, level));
    private final AtomicBoolean level = new AtomicBoolean();
    private final AtomicInteger handled = new AtomicInteger();

    /** A controller whose core handles for as long as the level is there. */
    private void controller(Runnable handler) {
        machine.attach(Node.at("/pic"), new Unit(List.of(), Map.of(), new InterruptInputs() {
            @Override
            public void set(int input, boolean asserted) {
                level.set(asserted);
            }

            @Override
            public void settle() {
                while (level.get()) {
                    assertTrue(handled.incrementAndGet() < 10, "the wire stays high although the status is clear");
                    handler.run();
                }
            }
        }));
    }

    @Test
    @DisplayName("PAMU: the handler clears the status; the wire is low at once, whichever thread cleared it")
    void cleared() {
        controller(() -> CompletableFuture.runAsync(() -> violations.writePics(0xc)).join());
        violations.writePics(4);
        violations.record(1, 0x400, 0, 0, 0);
        assertEquals(1, handled.get());
        assertEquals(4, violations.pics());
    }

    @Test
    @DisplayName("PAMU: a violation recorded while the handler clears another asserts the wire again")
    void recordedMeanwhile() {
        controller(() -> {
            violations.writePics(0xc);
            if (handled.get() == 1) {
                violations.record(2, 0x400, 0, 0, 0);
            }
        });
        violations.writePics(4);
        violations.record(1, 0x400, 0, 0, 0);
        assertEquals(2, handled.get());
        assertEquals(4, violations.pics());
    }

    @Test
    @DisplayName("PAMU: hardware that is gone drives its wire no more, though an access is still on its way to it")
    void gone() {
        machine.attach(Node.at("/pic"), new Unit(List.of(), Map.of(), (input, asserted) -> level.set(asserted)));
        violations.writePics(4);
        violations.record(1, 0x400, 0, 0, 0);
        assertTrue(level.get());
        violations.powerOff();
        assertFalse(level.get());
        violations.writePics(0xc);
        violations.record(2, 0x400, 0, 0, 0);
        assertFalse(level.get());
    }
}
