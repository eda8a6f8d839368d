// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import iommu.api.Geometry;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import vfio.api.msi.MsiAssessment;
import vfio.api.msi.MsiChoice;

class ComparisonTest {
    private static final Layout EMPTY = new Layout(new Geometry(0, 0), 0, List.of());

    static Comparison.Result result(boolean feasible, long raised, long delivered, long bytes, long mismatches,
        String failure) {
        return new Comparison.Result(new MsiChoice("bank", 0, MsiAssessment.refused("no"), false, false), feasible, "",
            4, "", 3, 0, "", "", 0, "", List.of(), raised, delivered, Map.of(), bytes, mismatches, 1, 1, failure,
            EMPTY);
    }

    @DisplayName("A strategy passes if every interrupt arrived once and every byte is right; one that is not "
        + "feasible cannot fail")
    @Test
    void ok() {
        assertTrue(result(true, 5, 5, 64, 0, "").ok());
        assertTrue(result(false, 0, 0, 0, 0, "").ok());
        assertFalse(result(true, 5, 4, 64, 0, "").ok());
        assertFalse(result(true, 5, 6, 64, 0, "").ok());
        assertFalse(result(true, 5, 5, 64, 1, "").ok());
        assertFalse(result(true, 5, 5, 0, 0, "").ok(), "nothing was compared");
        assertFalse(result(true, 5, 5, 64, 0, "EIO").ok());
    }

    @DisplayName("Apertures are drawn side by side, each under its name, in well-formed text")
    @Test
    void picture() {
        String svg = Svg.draw("a < b",
            List.of(new Svg.Aperture("bank", "4", EMPTY), new Svg.Aperture("tail", "0", EMPTY)));
        assertTrue(svg.contains("width=\"920\"") && svg.contains("a &lt; b"), svg);
        assertEquals(2, svg.split("nothing is mapped", -1).length - 1);
    }
}
