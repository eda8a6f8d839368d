// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.stream.StreamSupport;
import org.jline.reader.History;
import org.jline.reader.impl.LineReaderImpl;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.DumbTerminal;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The file of what a person typed. */
class PastLinesTest {
    private final List<String> said = new ArrayList<>();
    private Terminal terminal;

    @TempDir
    private Path directory;

    @BeforeEach
    void open() throws IOException {
        terminal = new DumbTerminal(new ByteArrayInputStream(new byte[0]), new ByteArrayOutputStream());
    }

    @AfterEach
    void close() throws IOException {
        terminal.close();
    }

    /** {@return what a session has that begins with this file} */
    private PastLines session(Path file) throws IOException {
        PastLines lines = new PastLines(file, said::add);
        lines.attach(new LineReaderImpl(terminal));
        return lines;
    }

    private static List<String> all(History lines) {
        return StreamSupport.stream(lines.spliterator(), false).map(History.Entry::line).toList();
    }

    private static String mode(Path file) throws IOException {
        return PosixFilePermissions.toString(Files.getPosixFilePermissions(file));
    }

    @DisplayName("The file is under XDG_STATE_HOME if that is absolute, else under HOME, else under the home the JVM "
        + "knows")
    @ParameterizedTest
    @CsvSource({"/state,/home/a,/state/gantry/history", "state,/home/a,/home/a/.local/state/gantry/history",
        "'',/home/a,/home/a/.local/state/gantry/history", "'','',/root/.local/state/gantry/history",
        ".,.,/root/.local/state/gantry/history"})
    void place(String state, String home, String expected) {
        assertEquals(Path.of(expected), PastLines.file(Map.of("XDG_STATE_HOME", state, "HOME", home), "/root"));
        assertEquals(Path.of("/root/.local/state/gantry/history"), PastLines.file(Map.of(), "/root"));
    }

    @DisplayName("Lines are there in the next session; file and folders are the user's alone, also if the file was "
        + "not, or was deleted")
    @Test
    void kept() throws Exception {
        Path file = directory.resolve("a/b/history");
        PastLines first = session(file);
        first.add("map guest 0 1M");
        first.add("if { true } {\n  groups\n}");
        first.add(" not this one, with a blank in front");
        assertEquals("rw-------", mode(file));
        assertEquals("rwx------", mode(file.getParent()));
        assertEquals("rwx------", mode(file.getParent().getParent()));
        assertEquals(List.of("map guest 0 1M", "if { true } {\n  groups\n}"), all(session(file)));
        Files.delete(file);
        first.add("again");
        assertEquals("rw-------", mode(file));
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rw-rw-r--"));
        assertEquals(List.of("again"), all(session(file)));
        assertEquals("rw-------", mode(file));
        assertEquals(List.of(), said);
    }

    @DisplayName("The file does not grow without end: the latest lines are kept, none that is very long")
    @Test
    void bounded() throws Exception {
        Path file = directory.resolve("history");
        StringBuilder many = new StringBuilder();
        for (int i = 0; i < PastLines.LINES * 2; i++) {
            many.append("line ").append(i).append('\n');
        }
        Files.writeString(file, many);
        PastLines lines = session(file);
        lines.add("x".repeat(PastLines.LONGEST + 1));
        lines.add("the last");
        List<String> kept = Files.readAllLines(file);
        assertTrue(kept.size() >= PastLines.LINES && kept.size() <= PastLines.LINES * 5 / 4, "lines: " + kept.size());
        assertEquals("the last", kept.get(kept.size() - 1));
        assertTrue(kept.contains("line " + (PastLines.LINES * 2 - 1)) && !kept.contains("line 0"));
        assertTrue(kept.stream().noneMatch(line -> line.length() > PastLines.LONGEST));
        assertEquals("rw-------", mode(file));
    }

    @DisplayName("A file that cannot be written, is none, or is no text: one line says so and why, and the session "
        + "has its own lines")
    @Test
    void refused() throws Exception {
        Path blocked = Files.createFile(directory.resolve("blocked"));
        assertRefused(blocked.resolve("history"), "ENOTDIR: cannot write %s: a part of its path is not a directory");
        assertRefused(directory, "EISDIR: cannot write %s: it is a directory");
        Path bytes = Files.write(directory.resolve("bytes"), new byte[] {'a', '\n', (byte) 0xff, (byte) 0xfe, '\n'});
        assertRefused(bytes, "EINVAL: cannot read %s: it is not text in UTF-8");
        assertEquals(5, Files.size(bytes));
        // As after a disk has become full: what could be written at first cannot be any more.
        Path later = directory.resolve("later/history");
        PastLines lines = session(later);
        lines.add("one");
        Files.delete(later);
        Files.delete(later.getParent());
        Files.createFile(later.getParent());
        lines.add("two");
        lines.add("three");
        assertEquals(List.of("one", "two", "three"), all(lines));
        assertEquals(1, said.size(), said.toString());
    }

    private void assertRefused(Path file, String why) throws IOException {
        PastLines lines = session(file);
        lines.add("one");
        lines.add("two");
        assertEquals(List.of("one", "two"), all(lines));
        assertEquals(List.of("gantry: the lines of this session are not kept: " + String.format(why, file)), said);
        assertFalse(said.get(0).contains("\n"));
        said.clear();
    }
}
