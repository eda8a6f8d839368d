// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

class ProgressTest {
    private static final Settings SETTINGS = new Settings(86_400, 42);

    private static String shown(int columns) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Referee referee = new Referee();
        referee.bytesVerified.add(123_456_789_012L);
        referee.delivered.add(1_234_567_890L);
        referee.fail("something");
        Progress progress = new Progress(new PrintStream(bytes, true, StandardCharsets.UTF_8), true, SETTINGS, columns);
        progress.show(referee, 12_345);
        progress.say(
            "looking for what was left behind, and for whom it was left, by whom, since when, and why it should "
                + "matter at all …");
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @DisplayName("A progress line is shorter than the terminal is wide, whatever it counts: figures are left out "
        + "from the right, whole")
    @Test
    void fits() {
        for (int columns : new int[] {30, 40, 80, 120}) {
            String[] lines = shown(columns).split("\\r\\033\\[K");
            assertEquals(3, lines.length);
            assertTrue(lines[1].length() < columns && lines[2].length() < columns, columns + ": " + shown(columns));
            assertTrue(lines[1].startsWith("  12345/86400 s"), lines[1]);
        }
        assertTrue(shown(0).contains("1 FAILED") && shown(0).endsWith("at all …"));
    }
}
