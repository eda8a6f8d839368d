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
            assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> new Outputs(named(name, name))).errno());
        }
        assertFalse(Files.exists(first));
    }

    @DisplayName("People read standard output, and standard error when standard output is for a program")
    @Test
    void people() {
        try (Outputs none = new Outputs(named(null, null)); Outputs files = new Outputs(named(null, directory.resolve("x").toString()));
             Outputs standard = new Outputs(named("-", null))) {
            assertSame(System.out, none.people(System.out, System.err));
            assertSame(System.out, files.people(System.out, System.err));
            assertSame(System.err, standard.people(System.out, System.err));
            assertEquals(List.of("svg"), List.copyOf(files.files().keySet()));
            assertTrue(none.files().isEmpty());
        }
    }

    @DisplayName("What is printed arrives, and it is known when it does not, however it was printed")
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
        assertEquals("ENOSPC: cannot write standard output: no space left on device", full.failure().orElseThrow().getMessage());
    }
}
