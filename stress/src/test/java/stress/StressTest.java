// SPDX-License-Identifier: Apache-2.0
package stress;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** Runs them in a JVM of their own. {@code -Dgantry.stress=5000} gives each so many milliseconds. */
class StressTest {
    private static final Set<String> ALL = Set.of("Drain.OfGate", "Drain.OfSync", "Drain.OfSecondSync", "InFlightRace",
        "Messages.OfKeeping", "Messages.OfShut",
        "Publish.OfPamu", "Publish.OfVtd", "Signals.OfPoll", "Signals.OfRead", "Unmap.OfPamu", "Unmap.OfVtd");
    private static final Pattern PASSED = Pattern.compile("^.*\\[OK\\]\\s+(?:stress|machine\\.local)\\.(\\S+)",
        Pattern.MULTILINE);

    @Test
    @DisplayName("P1, P3, P5: drains, gates, tables and signals under jcstress: nothing forbidden is observed")
    void stress() throws Exception {
        long millis = Long.getLong("gantry.stress", 100);
        Path target = Path.of("target").toAbsolutePath();
        Path log = target.resolve("jcstress.log");
        // One fork and one compilation mode for each: fewer trials are made than in its own presets, but of all tests,
        // in each build.
        List<String> command = List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString(), "-cp",
            System.getProperty("java.class.path"), "org.openjdk.jcstress.Main",
            "-t", "stress\\..*|machine\\.local\\..*", "-v", "-f", "1",
            "-iters", "1", "-time", String.valueOf(millis), "-sc", "false", "-af", "NONE", "-jvmArgs",
            "-Xmx256m -XX:+UseSerialGC", "-strideSize", "16", "-strideCount", "8", "-r",
            target.resolve("jcstress").toString());
        Process process = new ProcessBuilder(command).directory(target.toFile()).redirectErrorStream(true)
            .redirectInput(ProcessBuilder.Redirect.from(new File("/dev/null"))).redirectOutput(log.toFile()).start();
        try {
            assertTrue(process.waitFor(300 + 60 * millis / 1000, TimeUnit.SECONDS), () -> "jcstress hangs; see " + log);
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
        String text = Files.readString(log, StandardCharsets.UTF_8);
        Set<String> passed = new TreeSet<>();
        Matcher matcher = PASSED.matcher(text);
        while (matcher.find()) {
            passed.add(matcher.group(1));
        }
        assertEquals(0, process.exitValue(), text);
        assertEquals(new TreeSet<>(ALL), passed, text);
    }
}
