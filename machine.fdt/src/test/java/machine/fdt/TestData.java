// SPDX-License-Identifier: Apache-2.0
package machine.fdt;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import machine.api.Machine;

/** Boards for tests: our own, and the real ones where they are there. */
final class TestData {
    static final Path OWN = Path.of("..", "launcher", "boards", "p4080.dtb");
    /** Beside the project; {@code -Dgantry.shared} names another folder, or one that is not there. */
    private static final Path REAL = Path.of(System.getProperty("gantry.shared", "../../shared"), "boards");

    private TestData() {
    }

    static byte[] own() {
        return read(OWN);
    }

    /** The test is skipped, and says so, where the real board is not there. */
    static byte[] real(String name) {
        Path file = REAL.resolve(name);
        assumeTrue(Files.isReadable(file), () -> "SKIPPED: no test data " + name + " beside the project");
        return read(file);
    }

    /** All real trees; the test is skipped, and says so, where there are none. */
    static List<Path> allReal() throws IOException {
        assumeTrue(Files.isDirectory(REAL), () -> "SKIPPED: no test data " + REAL + " beside the project");
        try (Stream<Path> files = Files.list(REAL)) {
            return files.filter(file -> file.toString().endsWith(".dtb")).sorted().toList();
        }
    }

    static Machine open(byte[] content) {
        return open(content, Map.of());
    }

    static Machine open(byte[] content, Map<String, String> options) {
        return new FdtMachineSource().open("test.dtb", content, options);
    }

    private static byte[] read(Path file) {
        try {
            return Files.readAllBytes(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
