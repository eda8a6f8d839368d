// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.gogo.runtime.CommandProcessorImpl;
import org.apache.felix.gogo.runtime.threadio.ThreadIOImpl;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Function;
import org.apache.felix.service.command.Parameter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Scenarios in Gogo itself, with commands of this test. */
class ScenarioTest {
    private final Commands commands = new Commands();
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private ThreadIOImpl io;
    private CommandProcessorImpl processor;
    private CommandSession session;

    /** Public, or Gogo would not find its methods. */
    public static final class Commands {
        private final List<String> mapped = new ArrayList<>();

        public void map(
            @Descriptor("single pages") @Parameter(names = {"-s",
                "--scattered"}, presentValue = "true", absentValue = "false")
                boolean scattered,
            @Descriptor("what devices may do") @Parameter(names = {"-a",
                "--access"}, absentValue = "RW") String access,
                @Descriptor("container") String name, @Descriptor("first device address") String iova) {
            if (iova.equals("bad")) {
                throw new ErrnoException(Errno.EINVAL, "no address");
            }
            mapped.add(name + iova);
        }

        public List<String> slots() {
            return new ArrayList<>(List.of("pcie0", "pcie1"));
        }

        public String plug(CommandSession session, @Descriptor("slot") String slot, String... places) {
            return "device of " + slot;
        }

        public void twice(CommandSession in, Function body) throws Exception {
            body.execute(in, List.of());
            body.execute(in, List.of());
        }

        public void refused(CommandSession in, Function body) throws Exception {
            assertThrows(ErrnoException.class, () -> body.execute(in, List.of()));
        }
    }

    @BeforeEach
    void open() {
        io = new ThreadIOImpl();
        io.start();
        processor = new CommandProcessorImpl(io);
        for (String name : List.of("map", "slots", "plug", "twice", "refused")) {
            processor.addCommand("vfio", commands, name);
        }
        processor.addCommand("gogo", new Shell.Show(), Scenario.SHOW);
        PrintStream stream = new PrintStream(out, true, StandardCharsets.UTF_8);
        session = processor.createSession(new ByteArrayInputStream(new byte[0]), stream, stream);
        session.put("SCOPE", "vfio:gogo:*");
    }

    @AfterEach
    void close() {
        session.close();
        processor.stop();
        io.stop();
    }

    private Object run(String text) throws Scenario.Failure {
        launcher.Commands described = new launcher.Commands(() -> List.of(new launcher.Commands.Provider("vfio",
            List.of("map", "slots", "plug", "twice", "refused"), List.of("slots"), List.of(), List.of(),
            () -> Commands.class)));
        return Scenario.parse("my.gosh", text).run(session,
            command -> described.find(command).map(Usage::lines).orElse(List.of()), described.looking());
    }

    @DisplayName("A script that cannot be parsed is refused with name and line before anything of it is run")
    @ParameterizedTest
    @CsvSource({"'map a 1\n\necho (slots\n',3,')'", "'map a 1\n}\n',2,'}'", "'map a 1\ntwice {\n  slots\n',3,'}'",
        "'map \"a\n',1,'\"'"})
    void unparsable(String text, int line, String about) {
        ErrnoException refusal = assertThrows(ErrnoException.class, () -> Scenario.parse("my.gosh", text));
        assertEquals(Errno.EINVAL, refusal.errno());
        assertTrue(
            refusal.getMessage().startsWith("EINVAL: my.gosh:" + line + ": ") && refusal.reason().contains(about),
            refusal.getMessage());
    }

    @DisplayName("A file that is missing, a directory, or no text: by its name and errno")
    @Test
    void unreadable(@TempDir Path directory) throws Exception {
        Path missing = directory.resolve("missing.gosh");
        assertEquals("ENOENT: cannot read scenario " + missing + ": no such file",
            assertThrows(ErrnoException.class, () -> Scenario.read(missing.toString())).getMessage());
        assertEquals(Errno.EISDIR,
            assertThrows(ErrnoException.class, () -> Scenario.read(directory.toString())).errno());
        Path bytes = Files.write(directory.resolve("bytes"), new byte[] {(byte) 0xff, (byte) 0xfe});
        assertEquals(Errno.EINVAL, assertThrows(ErrnoException.class, () -> Scenario.read(bytes.toString())).errno());
    }

    @DisplayName("Nothing but comments is empty; one command is not")
    @Test
    void empty() throws Exception {
        assertTrue(Scenario.parse("my.gosh", "").isEmpty());
        assertTrue(Scenario.parse("my.gosh", "\n# nothing\n\n").isEmpty());
        assertFalse(Scenario.parse("my.gosh", "# something\nslots\n").isEmpty());
        run("# nothing\n");
    }

    @DisplayName("An error has the line of the statement that failed, in a closure or in parentheses, too, and how "
        + "its command is called")
    @ParameterizedTest
    @CsvSource({"'slots\n\nmap a bad\nmap b 1\n',3", "'twice {\n  map a 1\n  map a bad\n}\n',3",
        "'x = (slots); y = (map a bad)\n',1", "'slots\necho x (\n map a bad)\n',3",
        "'refused { map a bad }\nslots\nmap a bad\n',3", "'slots ; slots\n  map --scattered a bad',2"})
    void located(String text, int line) {
        processor.addCommand("gogo", new Object() {
            @SuppressWarnings("unused")
            public void echo(Object... words) {
                assertTrue(words.length > 0);
            }
        }, "echo");
        Scenario.Failure failure = assertThrows(Scenario.Failure.class, () -> run(text));
        assertEquals("my.gosh:" + line + ": EINVAL: no address", failure.getMessage());
        assertEquals(List.of("map [--scattered] [--access ACCESS] CONTAINER IOVA"), failure.usage());
        assertFalse(commands.mapped.contains("b1"), "what comes after is not run");
    }

    @DisplayName("Arguments that do not fit, a word that is no command: said in words, with the line and the usage")
    @Test
    void misfits() {
        Scenario.Failure failure = assertThrows(Scenario.Failure.class, () -> run("slots\nmap a\n"));
        assertEquals("my.gosh:2: map does not take this one argument", failure.getMessage());
        assertEquals(1, failure.usage().size());
        failure = assertThrows(Scenario.Failure.class, () -> run("x = (vfio:map a 1 2 3)\n"));
        assertEquals("my.gosh:1: vfio:map does not take these 4 arguments", failure.getMessage());
        failure = assertThrows(Scenario.Failure.class, () -> run("plug\n"));
        assertEquals("my.gosh:1: plug needs arguments", failure.getMessage());
        assertEquals(List.of("plug SLOT [PLACES]..."), failure.usage());
        failure = assertThrows(Scenario.Failure.class, () -> run("(slots) nothing"));
        assertEquals("my.gosh:1: there is nothing called nothing there", failure.getMessage());
        failure = assertThrows(Scenario.Failure.class, () -> run("\n\nnonsense x\n"));
        assertEquals("my.gosh:3: there is no command nonsense; 'help' in ./gantry shell lists them",
            failure.getMessage());
        assertEquals(List.of(), failure.usage());
    }

    @DisplayName("Commands that look print what they see, in closures, too; not what is assigned, taken in "
        + "parentheses or piped; others do not")
    @Test
    void looking() throws Exception {
        run("x = (slots)\ny = ((slots) get 0)\nplug $y\nmap $y 1\n");
        assertEquals("", out.toString(StandardCharsets.UTF_8));
        assertEquals(List.of("pcie01"), commands.mapped);
        run("slots # what there is\n");
        String once = out.toString(StandardCharsets.UTF_8);
        assertTrue(once.contains("pcie0") && once.contains("pcie1"), once);
        run("twice { vfio:slots }");
        assertEquals(once.repeat(3), out.toString(StandardCharsets.UTF_8));
    }
}
