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
import java.util.List;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.gogo.jline.Posix;
import org.apache.felix.gogo.runtime.CommandProcessorImpl;
import org.apache.felix.gogo.runtime.threadio.ThreadIOImpl;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;
import org.apache.felix.service.command.Parameter;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The command {@code help}, with commands of this test. */
class HelpTest {
    /** Public, or Gogo would not find its methods. */
    public static final class Fake {
        @Descriptor("allocate memory and map it; aligned as the largest power of two in its size, whatever that is, "
            + "at most 1 GiB")
        public void map(CommandSession session,
            @Descriptor("physical address") @Parameter(names = {"-p",
                "--physical"}, absentValue = "")
                String physical,
            @Descriptor("single pages") @Parameter(names = {"-s",
                "--scattered"}, presentValue = "true", absentValue = "false") boolean scattered,
            @Descriptor("what devices may do") @Parameter(names = {"-a",
                "--access"}, absentValue = "RW") String access,
            @Descriptor("container") String name, @Descriptor("first device address") String iova) {
        }

        @Descriptor("show a container whose name is given, or, should none be given, every container that is open "
            + "right now")
        public void show() {
        }

        @Descriptor("show one")
        public void show(@Descriptor("container") String name, String... rest) {
        }

        public void undescribed() {
        }

        public List<String> __names() {
            return List.of();
        }
    }

    private final Commands commands = new Commands(() -> List.of(
        new Commands.Provider("vfio", List.of("show", "map", "__names"), List.of(),
            List.of("to set up: map", "to look: show"), List.of(), () -> Fake.class),
        new Commands.Provider("irq", List.of("undescribed"), List.of(), List.of(), List.of(), () -> Fake.class),
        new Commands.Provider("gogo", List.of("help"), List.of(), List.of(), List.of("help (__commands)"),
            () -> Help.class)));
    private final ByteArrayOutputStream out = new ByteArrayOutputStream();
    private ThreadIOImpl io;
    private CommandProcessorImpl processor;
    private CommandSession session;

    @BeforeEach
    void open() {
        io = new ThreadIOImpl();
        io.start();
        processor = new CommandProcessorImpl(io);
        List.of("show", "map", "__names").forEach(name -> processor.addCommand("vfio", new Fake(), name));
        processor.addCommand("irq", new Fake(), "undescribed");
        processor.addCommand("felix", new Fake(), "show");
        List.of("cat", "echo", "grep").forEach(name -> processor.addCommand("gogo", new Posix(processor), name));
        var gosh = new org.apache.felix.gogo.jline.Shell(new org.apache.felix.gogo.jline.Shell.Context() {
            @Override
            public String getProperty(String name) {
                return System.getProperty(name);
            }

            @Override
            public void exit() {
                throw new AssertionError("help must not end the framework");
            }
        }, processor);
        processor.addCommand("gogo", new Help(commands, gosh), "help");
        PrintStream stream = new PrintStream(out, true, StandardCharsets.UTF_8);
        session = processor.createSession(new ByteArrayInputStream(new byte[0]), stream, stream);
        session.put("SCOPE", "vfio:irq:gogo:*");
    }

    @AfterEach
    void close() {
        session.close();
        processor.stop();
        io.stop();
    }

    private List<String> run(String line) throws Exception {
        out.reset();
        session.execute(line);
        return out.toString(StandardCharsets.UTF_8).lines().toList();
    }

    @DisplayName("help: ours by group, a line each with what it does; then how to see how one is called, and the "
        + "others; nothing hidden")
    @Test
    void ours() throws Exception {
        List<String> lines = run("help");
        assertEquals(List.of("more:", "  undescribed", "to look:",
            "  show         show a container whose name is given, or, should none be given, every container that is "
                + "open right now",
            "to set up:", "  map          allocate memory and map it",
            "'help COMMAND' says how one is called; 'help all' lists the others, of Gogo and the framework, too."),
            lines);
    }

    @DisplayName("No line is longer than the terminal is wide, no word is lost; what does not fit goes on below, not "
        + "below the name")
    @ParameterizedTest
    @ValueSource(ints = {30, 40, 60, 80, 132})
    void fits(int columns) {
        List<String> wide = Help.ours(commands.ours(), 0);
        List<String> lines = Help.ours(commands.ours(), columns);
        List<String> usage = Help.usage(commands.find("map").orElseThrow(), columns);
        assertTrue(lines.stream().allMatch(line -> line.length() <= columns), String.join("\n", lines));
        assertTrue(usage.stream().allMatch(line -> line.length() <= columns), String.join("\n", usage));
        assertEquals(words(wide), words(lines));
        assertEquals(words(Help.usage(commands.find("map").orElseThrow(), 0)), words(usage));
        assertEquals(3, lines.stream().filter(line -> line.matches("  \\S.*")).count(), String.join("\n", lines));
    }

    @DisplayName("A word that is longer than a line has one of its own, and nothing is in front of it")
    @Test
    void longWords() {
        assertEquals(List.of("longer", "a b", "longer"), Help.folded("", "longer a b longer", 4));
    }

    private static List<String> words(List<String> lines) {
        return List.of(String.join(" ", lines).trim().split("\\s+"));
    }

    @DisplayName("help COMMAND: each way to call it, with options, what is taken when they are not given, and "
        + "arguments")
    @Test
    void usage() throws Exception {
        List<String> map = List.of("map [--physical PHYSICAL] [--scattered] [--access ACCESS] CONTAINER IOVA",
            "    allocate memory and map it; aligned as the largest power of two in its size, whatever that is, at "
                + "most 1 GiB",
            "  -p, --physical PHYSICAL  physical address",
            "  -s, --scattered          single pages",
            "  -a, --access ACCESS      what devices may do; by default RW",
            "  IOVA                     first device address");
        assertEquals(map, run("help map"));
        assertEquals(map, run("help vfio:map"));
        List<String> show = run("help show");
        assertEquals(List.of("show", "show CONTAINER [REST]..."),
            show.stream().filter(line -> !line.startsWith(" ")).toList());
    }

    @DisplayName("help all, help SCOPE: names of the others; one of theirs is told of as Gogo does it; one that is "
        + "not there is ENOENT")
    @Test
    void others() throws Exception {
        List<String> all = run("help all");
        assertTrue(all.contains("  map          allocate memory and map it") && all.contains("felix: show")
            && all.contains("gogo: cat echo grep help"), String.join("\n", all));
        assertTrue(all.stream().noneMatch(line -> line.startsWith("vfio:") || line.contains("__names")),
            String.join("\n", all));
        assertEquals(List.of("felix: show"), run("help felix"));
        assertEquals(List.of("vfio: map show"), run("help vfio"));
        assertTrue(run("help felix:show").stream().anyMatch(line -> line.contains("scope: felix")));
        assertEquals(List.of("'grep --help' says what one of Gogo's own takes."), run("help grep"));
        for (String none : List.of("nonsense", "vfio:nonsense", "felix:map")) {
            ErrnoException refusal = assertThrows(ErrnoException.class, () -> session.execute("help " + none));
            assertEquals(Errno.ENOENT, refusal.errno());
            assertTrue(refusal.reason().startsWith("there is no command " + none), refusal.reason());
        }
        assertFalse(out.toString(StandardCharsets.UTF_8).contains("\tat "));
    }
}
