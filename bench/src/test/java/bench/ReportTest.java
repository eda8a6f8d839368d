// SPDX-License-Identifier: Apache-2.0
package bench;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.StringReader;
import java.util.List;
import java.util.Locale;
import javax.xml.parsers.DocumentBuilderFactory;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.xml.sax.InputSource;

/** The figures as text. Nothing is timed here. */
class ReportTest {
    private static final List<Row> ROWS = List.of(
        new Row("floor", 1.234, null, Double.NaN, Double.NaN, 0),
        new Row("translate", 12.34, "floor", 10, 3, 0),
        new Row("map", 1234.5, "none \"present\"", 1.5, 1.5, 262.4));

    @DisplayName("table: one line per row, numbers to the right, ok at the limit, over above it, nothing without a "
        + "limit")
    @Test
    void table() {
        assertEquals("""
            what       ns/op  yardstick       ratio  limit        B/op
            floor       1.23                                         0
            translate   12.3  floor              10      3  over     0
            map        1,235  none "present"   1.50   1.50  ok     262
            """, Report.table(ROWS));
    }

    @DisplayName("JSON: rows[]{name,nanos,yardstick,ratio,limit,bytesPerOp}, null for what there is not, whatever "
        + "the locale")
    @Test
    void json() {
        Locale before = Locale.getDefault();
        Locale.setDefault(Locale.GERMANY);
        try {
            assertEquals("""
                {
                  "version": 1,
                  "jdk": "a\\\\b",
                  "rows": [
                    {"name": "floor", "nanos": 1.234, "yardstick": null, "ratio": null, "limit": null, "bytesPerOp": 0.000},
                    {"name": "translate", "nanos": 12.340, "yardstick": "floor", "ratio": 10.000, "limit": 3.000, "bytesPerOp": 0.000},
                    {"name": "map", "nanos": 1234.500, "yardstick": "none \\"present\\"", "ratio": 1.500, "limit": 1.500, \
                "bytesPerOp": 262.400}
                  ]
                }
                """, Report.json(ROWS, "jdk", "a\\b"));
        } finally {
            Locale.setDefault(before);
        }
    }

    @DisplayName("SVG: well-formed; a million lies six decades right of one")
    @Test
    void svg() throws Exception {
        String text = Report.svg(
            List.of(new Report.Series("a < b", new double[] {1, 1_000_000}, new double[] {1, 100})),
            List.of(new Report.Series("none stands at one", new double[] {0}, new double[] {50})));
        DocumentBuilderFactory.newInstance().newDocumentBuilder().parse(new InputSource(new StringReader(text)));
        assertTrue(text.contains("points=\"60.0,360.0 520.0,40.0\""), text);
        assertTrue(text.contains("a &lt; b"), text);
    }
}
