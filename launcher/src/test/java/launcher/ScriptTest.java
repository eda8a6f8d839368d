// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.attribute.FileTime;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * The script {@code gantry} in a small checkout of its own, with a Maven and a JDK that only write down what they are
 * asked for.
 */
class ScriptTest {
    private static final Path SCRIPT = Path.of("..", "gantry").toAbsolutePath().normalize();
    private static final long PATIENCE_SECONDS = 120;

    @TempDir
    private Path directory;
    private Path checkout;
    private Path jdk;
    private Path built;
    private final List<Process> started = new ArrayList<>();

    private record Result(int status, String out, String err) {
    }

    @BeforeEach
    void lay() throws IOException {
        checkout = directory.resolve("a checkout");
        jdk = directory.resolve("jdk");
        built = directory.resolve("built");
        write(checkout.resolve("pom.xml"),
            "<module>machine.api</module>\n<module>launcher</module>\n<module>itest</module>\n");
        write(checkout.resolve("bnd.bnd"), "");
        write(checkout.resolve("cnf/run/felix.bndrun"), "");
        write(checkout.resolve("machine.api/src/main/java/A.java"), "");
        write(checkout.resolve("launcher/pom.xml"), "");
        write(checkout.resolve("launcher/boards/p4080.dtb"), "");
        write(checkout.resolve("itest/src/main/java/T.java"), "");
        Files.copy(SCRIPT, checkout.resolve("gantry"), StandardCopyOption.COPY_ATTRIBUTES);
        write(jdk.resolve("release"), "JAVA_VERSION=\"17.0.15\"\n");
        program(jdk.resolve("bin/javac"), "");
        program(jdk.resolve("bin/jar"), """
            mkdir jar
            touch jar/biz.aQute.launcher-1.jar jar/org.apache.felix.framework-1.jar
            printf 'launch.bundles=jar/a.jar\\nlaunch.embedded=true\\n' >launcher.properties
            """);
        program(jdk.resolve("bin/java"), """
            for word; do
              case $word in -XX:ArchiveClassesAtExit=*) touch "${word#*=}"; exit ;; esac
            done
            printf '%s\\n' "$@"
            touch "$MARKS/running"
            while [ -e "$MARKS/hold" ]; do sleep 0.05; done
            """);
        // Two at once would be seen.
        program(directory.resolve("bin/mvn"), """
            mkdir "$MARKS/busy" || echo overlap >>"$MARKS/built"
            touch "$MARKS/building"
            echo "$*" >>"$MARKS/built"
            while [ -e "$MARKS/slow" ]; do sleep 0.05; done
            mkdir -p launcher/target && echo jar >launcher/target/p4080.jar
            rmdir "$MARKS/busy"
            """);
    }

    @AfterEach
    void end() throws Exception {
        Files.deleteIfExists(directory.resolve("hold"));
        Files.deleteIfExists(directory.resolve("slow"));
        for (Process process : started) {
            process.destroyForcibly().waitFor();
        }
    }

    @DisplayName("The first start builds, the second does not; neither does one after a report or a scenario was "
        + "written anywhere in the checkout")
    @Test
    void reportsAreNoSources() throws Exception {
        assertEquals(0, gantry("run").status);
        assertEquals(1, builds());
        age();
        for (String name : List.of("run.json", "launcher/run.json", "my.bndrun", "mine/src/main/java/Mine.java",
            "mine/pom.xml",
                "itest/src/main/java/T.java", "cnf/README.md", "launcher/src/test/java/T.java")) {
            write(checkout.resolve(name), "{}");
        }
        assertEquals(0, gantry("run").status);
        assertEquals(1, builds());
    }

    @DisplayName("A start builds anew after a source, a description, a board was changed, or a source was deleted")
    @Test
    void sources() throws Exception {
        gantry("run");
        int expected = 1;
        for (String name : List.of("pom.xml", "machine.api/src/main/java/A.java", "launcher/pom.xml",
            "launcher/boards/p4080.dtb",
                "cnf/run/felix.bndrun", "bnd.bnd")) {
            age();
            write(checkout.resolve(name), Files.readString(checkout.resolve(name)));
            assertEquals(0, gantry("run").status);
            assertEquals(++expected, builds(), name);
        }
        age();
        Files.delete(checkout.resolve("machine.api/src/main/java/A.java"));
        gantry("run");
        assertEquals(++expected, builds(), "a deleted source");
    }

    @DisplayName("Two first starts at once: one builds, the other waits, says for whom, and does not build again")
    @Test
    void twoFirstStarts() throws Exception {
        mark("slow");
        Process first = start("first", "run");
        appears("building");
        Process second = start("second", "run");
        says("second", "waiting for ./gantry run (process " + first.pid() + ")");
        Files.delete(directory.resolve("slow"));
        assertEquals(0, wait(first));
        assertEquals(0, wait(second));
        assertEquals(1, builds());
    }

    @DisplayName("A build waits for what runs, tests wait for what runs; what needs no build does not wait for it")
    @Test
    void besideAStart() throws Exception {
        gantry("run");
        mark("hold");
        Files.deleteIfExists(directory.resolve("running"));
        Process running = start("running-out", "shell");
        appears("running");
        Process other = start("other", "run");
        Process tests = start("tests", "test");
        says("tests", "waiting for ");
        assertEquals(1, builds());
        Files.delete(directory.resolve("hold"));
        assertEquals(0, wait(running));
        assertEquals(0, wait(other));
        wait(tests);
        assertEquals(2, builds());
        assertFalse(Files.readString(built).contains("overlap"));
        assertFalse(Files.readString(directory.resolve("other.err")).contains("waiting"));
    }

    @DisplayName("A start waits for tests; the lock of a process that was killed holds nobody up")
    @Test
    void besideTests() throws Exception {
        gantry("run");
        mark("slow");
        Files.deleteIfExists(directory.resolve("building"));
        Process tests = start("tests", "test");
        appears("building");
        Process second = start("second", "run");
        says("second", "waiting for ./gantry test (process " + tests.pid() + ")");
        List<ProcessHandle> children = tests.descendants().toList();
        tests.destroyForcibly().waitFor();
        children.forEach(ProcessHandle::destroyForcibly);
        assertEquals(0, wait(second));
        assertEquals(0, gantry("run").status);
    }

    @DisplayName("A moved and a copied checkout run what lies in them")
    @Test
    void moved() throws Exception {
        // A path that unpacked bundles can have.
        Path first = Files.move(checkout, directory.resolve("first"));
        checkout = first;
        gantry("run");
        assertTrue(gantry("run").out.contains(first + "/launcher/target/"));
        checkout = Files.move(first, directory.resolve("moved"));
        assertHome(checkout, first);
        Path copy = directory.resolve("copy");
        assertEquals(0,
            new ProcessBuilder("cp", "-a", checkout.toString(), copy.toString()).inheritIO().start().waitFor());
        Path moved = checkout;
        checkout = copy;
        assertHome(copy, moved);
        assertEquals(1, builds());
    }

    private void assertHome(Path home, Path before) throws Exception {
        Result result = gantry("run");
        assertEquals(0, result.status, result.err);
        assertTrue(result.out.contains(home + "/launcher/target/"), result.out);
        assertFalse(result.out.contains(before + "/"), result.out);
        String properties = result.out.lines().filter(line -> line.startsWith("-Dlauncher.properties=")).findFirst()
            .orElseThrow();
        assertTrue(Files.readString(Path.of(properties.substring(properties.indexOf('=') + 1))).contains(home + "/"));
    }

    @DisplayName("test --help and bench -h, wherever among the words: what the product says of them, and neither "
        + "tests nor benchmarks begin")
    @Test
    void helpOfTheScriptsOwn() throws Exception {
        for (String[] words : List.of(new String[] {"test", "--help"}, new String[] {"test", "-Dx=y", "-h"},
            new String[] {"bench", "-h"},
                new String[] {"bench", "--quick", "--help"})) {
            Result result = gantry(words);
            assertEquals(0, result.status, result.err);
            assertTrue(result.out.endsWith("\nhelp\n" + words[0] + "\n"), result.out);
        }
        assertEquals(1, builds());
        assertFalse(Files.readString(built).contains("verify"));
    }

    @DisplayName("A closed standard output is exit 2, before any work")
    @Test
    void closed() throws Exception {
        Process process = process("closed", "bash", "-c", "exec '" + checkout.resolve("gantry") + "' run >&-").start();
        assertNotEquals(0, wait(process));
        says("closed", "standard output is closed");
        assertFalse(Files.exists(built));
    }

    // --- around -----------------------------------------------------------------------------------------------------

    private Result gantry(String... words) throws Exception {
        int status = wait(start("once", words));
        return new Result(status, Files.readString(directory.resolve("once.out")),
            Files.readString(directory.resolve("once.err")));
    }

    private Process start(String name, String... words) throws IOException {
        List<String> command = new ArrayList<>(List.of(checkout.resolve("gantry").toString()));
        command.addAll(List.of(words));
        Process process = process(name, command.toArray(String[]::new)).start();
        started.add(process);
        return process;
    }

    private ProcessBuilder process(String name, String... command) {
        ProcessBuilder builder = new ProcessBuilder(command).redirectOutput(directory.resolve(name + ".out").toFile())
            .redirectError(directory.resolve(name + ".err").toFile());
        builder.environment().put("PATH", directory.resolve("bin") + ":" + System.getenv("PATH"));
        builder.environment().put("JAVA_HOME", jdk.toString());
        builder.environment().put("MARKS", directory.toString());
        builder.environment().remove("GANTRY_JAVA_OPTS");
        return builder;
    }

    private static int wait(Process process) throws InterruptedException {
        assertTrue(process.waitFor(PATIENCE_SECONDS, TimeUnit.SECONDS), "it hangs");
        return process.exitValue();
    }

    private int builds() throws IOException {
        return Files.exists(built) ? Files.readAllLines(built).size() : 0;
    }

    private void mark(String name) throws IOException {
        write(directory.resolve(name), "");
    }

    private void appears(String name) throws Exception {
        await(name, () -> Files.exists(directory.resolve(name)));
    }

    private void says(String name, String text) throws Exception {
        await(name + " to say: " + text, () -> Files.readString(directory.resolve(name + ".err")).contains(text));
    }

    private interface Condition {
        boolean holds() throws IOException;
    }

    private static void await(String what, Condition condition) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_SECONDS);
        while (!condition.holds()) {
            assertTrue(System.nanoTime() < deadline, what);
            Thread.sleep(20);
        }
    }

    /** Everything is an hour older: what is written from now on is newer, whatever the file system's clock. */
    private void age() throws IOException {
        FileTime then = FileTime.from(Instant.now().minusSeconds(3600));
        try (Stream<Path> files = Files.walk(checkout)) {
            for (Path file : files.toList()) {
                Files.setLastModifiedTime(file, then);
            }
        }
    }

    private static void program(Path file, String text) throws IOException {
        write(file, "#!/usr/bin/env bash\n" + text);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("rwxr-xr-x"));
    }

    private static void write(Path file, String text) throws IOException {
        Files.createDirectories(file.getParent());
        Files.writeString(file, text);
    }
}
