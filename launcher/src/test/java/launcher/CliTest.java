// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.lang.reflect.Proxy;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.osgi.framework.Bundle;
import org.osgi.framework.BundleContext;
import org.osgi.framework.Version;
import picocli.CommandLine;

/** What the command line answers before anything is loaded. */
class CliTest {
    private static final List<String> COMMANDS = List.of("run", "compare", "soak", "shell", "test", "bench", "version",
        "help");

    private record Result(int status, String out, String err) {
    }

    @DisplayName("help, --help, -h and nothing at all: exit 0, and every command is listed with what it does")
    @ParameterizedTest
    @ValueSource(strings = {"help", "--help", "-h"})
    void help(String word) {
        Result result = gantry(word);
        assertEquals(0, result.status, result.err);
        assertEquals("", result.err);
        for (String command : COMMANDS) {
            assertTrue(result.out.lines().anyMatch(line -> line.matches("  " + command + " +[A-Z].*")),
                command + "\n" + result.out);
        }
    }

    @DisplayName("--version, -V and version: exit 0, the version of this and of Java")
    @ParameterizedTest
    @ValueSource(strings = {"--version", "-V", "version"})
    void version(String word) {
        Result result = gantry(word);
        assertEquals(0, result.status, result.err);
        assertEquals("", result.err);
        assertTrue(result.out.startsWith("gantry 1.2.3.X\nJava " + Runtime.version()), result.out);
        assertEquals(2, result.out.lines().count(), result.out);
    }

    @DisplayName("help COMMAND, COMMAND --help and COMMAND -h are the same for each command: exit 0, how it is "
        + "called and what it takes")
    @Test
    void helpOfEach() {
        for (String command : COMMANDS) {
            Result result = gantry("help", command);
            assertEquals(0, result.status, result.err);
            assertTrue(result.out.contains("Usage: gantry " + command + " "), result.out);
            assertEquals("", result.err);
            if (!command.equals("help")) {
                assertEquals(result, gantry(command, "--help"));
                assertEquals(result, gantry(command, "-h"));
            }
        }
        assertTrue(gantry("help", "test").out.contains("-Dgantry.seed="));
        for (String option : List.of("--quick", "--json=FILE", "--svg=FILE")) {
            assertTrue(gantry("help", "bench").out.contains(option), option);
        }
    }

    @DisplayName("Misuse: exit 2, one line on standard error that says what is wrong and where the right use is shown")
    @Test
    void misuse() {
        assertMisuse(
            "there is no command rum; there are [run, compare, soak, shell, test, bench, version, help]; see "
                + "./gantry help",
            "rum");
        assertMisuse("Unknown subcommand 'rum'; see ./gantry help", "help", "rum");
        assertMisuse("Unknown option: '--what'; see ./gantry help", "--what");
        assertMisuse("Unknown option: '--what'; see ./gantry help run", "run", "--what");
        assertMisuse("Missing required parameter for option '--machine' (FILE); see ./gantry help soak", "soak",
            "--machine");
        assertMisuse("test needs the sources: start it as ./gantry test in the checkout", "test");
        assertMisuse("bench needs the sources: start it as ./gantry bench in the checkout", "bench", "--quick");
    }

    private static void assertMisuse(String says, String... words) {
        assertEquals(new Result(2, "", "gantry: " + says + "\n"), gantry(words));
    }

    /** None of these commands may ask for more of the framework than the version of the bundle. */
    private static Result gantry(String... words) {
        Bundle bundle = answering(Bundle.class, "getVersion", new Version("1.2.3.X"));
        Cli cli = new Cli(answering(BundleContext.class, "getBundle", bundle), null, null, null, null,
            Map.of("launcher.arguments", words));
        StringWriter out = new StringWriter();
        StringWriter err = new StringWriter();
        CommandLine line = cli.line(words);
        line.setOut(new PrintWriter(out, true));
        line.setErr(new PrintWriter(err, true));
        return new Result(line.execute(words), out.toString(), err.toString());
    }

    private static <T> T answering(Class<T> type, String method, Object answer) {
        return type.cast(Proxy.newProxyInstance(CliTest.class.getClassLoader(), new Class<?>[] {type},
            (proxy, called, arguments) -> {
            if (called.getName().equals(method)) {
                return answer;
            }
            throw new AssertionError(called + " is not to be called");
        }));
    }
}
