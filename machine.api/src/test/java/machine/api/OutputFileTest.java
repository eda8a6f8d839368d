// SPDX-License-Identifier: Apache-2.0
package machine.api;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OutputFileTest {
    @TempDir
    private Path directory;

    @DisplayName("A file that cannot be written is refused when it is opened, by its name and the reason, and "
        + "nothing is left there")
    @Test
    void refused() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "there");
        assertRefused(Errno.ENOENT, directory.resolve("none/x.json"), "no such directory");
        assertRefused(Errno.EISDIR, directory, "it is a directory");
        assertRefused(Errno.ENOTDIR, file.resolve("x.json"), "a part of its path is not a directory");
        assertRefused(Errno.ENAMETOOLONG, directory.resolve("x".repeat(300)), "the name is too long");
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> OutputFile.open("a\0b"));
        assertEquals(Errno.EINVAL, refusal.errno());
        assertFalse(Files.exists(directory.resolve("none")));
        assertEquals("there", Files.readString(file));
    }

    @DisplayName("An existing file stays until something is written in its place, and nothing of it is left then")
    @Test
    void replaced() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "something longer");
        try (OutputFile output = OutputFile.open(file.toString())) {
            assertEquals("something longer", Files.readString(file));
            output.write("µs\n");
            assertFalse(output.failed());
        }
        assertEquals("µs\n", Files.readString(file));
        OutputFile.open(file.toString()).close();
        assertEquals("µs\n", Files.readString(file));
    }

    @DisplayName("A new file nothing was written to is deleted; one that something was written to stays; a link that "
        + "led nowhere leads to it")
    @Test
    void made() throws IOException {
        Path file = directory.resolve("new");
        try (OutputFile output = OutputFile.open(file.toString())) {
            assertTrue(Files.exists(file));
            assertFalse(output.isStandard());
        }
        assertFalse(Files.exists(file));
        Path link = Files.createSymbolicLink(directory.resolve("link"), file);
        try (OutputFile output = OutputFile.open(link.toString())) {
            output.write("x");
        }
        assertEquals("x", Files.readString(file));
    }

    @DisplayName("A device that is full: the write is refused with ENOSPC, and it is known to have failed")
    @Test
    void full() {
        Path full = Path.of("/dev/full");
        assumeTrue(Files.isWritable(full), "SKIPPED: there is no /dev/full");
        try (OutputFile output = OutputFile.open(full.toString())) {
            ErrnoException refusal = assertThrows(ErrnoException.class, () -> output.write("x"));
            assertEquals("ENOSPC: cannot write /dev/full: no space left on device", refusal.getMessage());
            assertTrue(output.failed());
        }
        assertTrue(Files.exists(full));
    }

    private static void assertRefused(Errno errno, Path file, String words) {
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> OutputFile.open(file.toString()));
        assertEquals(errno + ": cannot write " + file + ": " + words, refusal.getMessage());
    }
}
