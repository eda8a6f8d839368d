// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputsTest {
    @TempDir
    private Path directory;

    private static Map<String, String> named(String json, String svg) {
        Map<String, String> named = new LinkedHashMap<>();
        named.put("json", json);
        named.put("svg", svg);
        return named;
    }

    @DisplayName("If one of two files cannot be written, neither is there; two options that name one file are refused")
    @Test
    void allOrNone() {
        Path first = directory.resolve("run.json");
        Map<String, String> second = named(first.toString(), directory.resolve("none/run.svg").toString());
        assertEquals(Errno.ENOENT, assertThrows(ErrnoException.class, () -> new Outputs(second)).errno());
        assertFalse(Files.exists(first));
        for (String name : List.of(first.toString(), "-")) {
            assertEquals(Errno.EINVAL,
                assertThrows(ErrnoException.class, () -> new Outputs(named(name, name))).errno());
        }
        assertFalse(Files.exists(first));
    }

    @DisplayName("People read standard output, and standard error when standard output is for a program")
    @Test
    void people() {
        try (Outputs none = new Outputs(named(null, null));
            Outputs files = new Outputs(named(null, directory.resolve("x").toString()));
             Outputs standard = new Outputs(named("-", null))) {
            assertSame(System.out, none.people(System.out, System.err));
            assertSame(System.out, files.people(System.out, System.err));
            assertSame(System.err, standard.people(System.out, System.err));
            assertEquals(List.of("svg"), List.copyOf(files.files().keySet()));
            assertTrue(none.files().isEmpty());
        }
    }

    @DisplayName("Printed text arrives, or its loss is known, however it was printed")
    @Test
    void console() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Console good = new Console(bytes);
        good.stream().printf("%d µs%n", 1);
        assertEquals("1 µs" + System.lineSeparator(), bytes.toString(StandardCharsets.UTF_8));
        assertEquals(Optional.empty(), good.failure());
        Console full = new Console(new OutputStream() {
            @Override
            public void write(int b) throws IOException {
                throw new IOException("No space left on device");
            }
        });
        PrintStream out = full.stream();
        out.println("lost");
        out.println("lost, too");
        assertEquals("ENOSPC: cannot write standard output: no space left on device",
            full.failure().orElseThrow().getMessage());
    }

    private static String shown(int columns, boolean colours, String... printed) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        Console console = new Console(bytes, columns, colours);
        PrintStream out = console.stream();
        for (String text : printed) {
            out.print(text);
            out.flush();
        }
        console.finish();
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @DisplayName("On a terminal, lines that are too long are folded at blanks and indented; what no blank is in is "
        + "cut; a pipe has them whole")
    @Test
    void folded() {
        assertEquals("  one two\n      three\n      four\n", shown(12, false, "  one two", " three", " four\n"));
        assertEquals("xxxxx\n  xxx\n  xx\n", shown(5, false, "x".repeat(10) + "\n"));
        assertEquals("x".repeat(500) + " y\n", shown(0, true, "x".repeat(500) + " y\n"));
        assertEquals("exactly 10\nµs\nleft", shown(10, false, "exactly 10\nµs\nleft"));
        assertEquals("\r\033[K  1/30 s and so on", shown(10, true, "\r\033[K  1/30 s and so on"),
            "a progress line has its own length");
    }

    @DisplayName("Verdicts have a colour on a terminal with colours, unless NO_COLOR is set; the words stay")
    @Test
    void colours() {
        assertEquals("\033[32mOK:\033[0m all\n", shown(80, true, "OK: all\n"));
        assertEquals("\033[1;31mNOT OK:\033[0m\n", shown(80, true, "NOT OK:\n"));
        assertEquals("OK: all\n", shown(80, false, "OK: all\n"));
        assertEquals("OK: all\n", shown(0, true, "OK: all\n"));
        assertTrue(Console.colours(Map.of("TERM", "xterm", "NO_COLOR", "")));
        assertFalse(Console.colours(Map.of("TERM", "xterm", "NO_COLOR", "1")));
        assertFalse(Console.colours(Map.of("TERM", "dumb")));
        assertFalse(Console.colours(Map.of()));
    }
}
