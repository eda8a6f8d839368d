// SPDX-License-Identifier: Apache-2.0
package iommu.pamu.unit;

import static org.junit.jupiter.api.Assertions.assertEquals;

import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** The interrupt wire of one instance when a violation and a W1C write race. */
class ViolationsTest {
    private final StringBuilder levels = new StringBuilder();
    private boolean level;
    private Violations violations;
    private Runnable beforeHigh = () -> {
    };

    private Violations violations() {
        return violations = new Violations(asserted -> {
            if (asserted) {
                Runnable other = beforeHigh;
                beforeHigh = () -> {
                };
                other.run();
            }
            level = asserted;
            levels.append(asserted ? 'H' : 'L');
        });
    }

    @Test
    @DisplayName("PAMU: a status cleared while the wire is being raised leaves the wire low")
    void clearedInBetween() {
        violations().writePics(4);
        beforeHigh = () -> violations.writePics(0xc);
        violations.record(1, 0x400, 0, 0, 0);
        assertEquals(4, violations.pics());
        assertEquals(false, level, levels.toString());
    }

    @Test
    @DisplayName("PAMU: a violation recorded while the wire is being raised for another leaves it high")
    void recordedInBetween() {
        violations().writePics(4);
        beforeHigh = () -> {
            violations.writePics(0xc);
            violations.record(2, 0x400, 0, 0, 0);
        };
        violations.record(1, 0x400, 0, 0, 0);
        assertEquals(0xc, violations.pics());
        assertEquals(true, level, levels.toString());
    }
}
