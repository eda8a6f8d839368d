// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.IntStream;
import org.apache.felix.gogo.jline.Builtin;
import org.apache.felix.gogo.jline.Posix;
import org.apache.felix.gogo.jline.Procedural;
import org.apache.felix.gogo.jline.Shell;
import org.apache.felix.gogo.runtime.CommandProcessorImpl;
import org.apache.felix.gogo.runtime.threadio.ThreadIOImpl;
import org.apache.felix.service.command.CommandSession;
import org.jline.reader.History;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.ExternalTerminal;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** A person's session, as Gogo begins it, with a terminal and what they type. */
class ProfileTest {
    /** Public, or Gogo would not find its methods. */
    public static final class Commands {
        private final List<List<String>> calls = new ArrayList<>();

        public void config(String... words) {
            calls.add(Arrays.asList(words));
        }

        public List<String> __pids(String... before) {
            return List.of("vfio.container", "iommu.pamu");
        }

        public List<String> __keys(String pid) {
            return List.of(pid + ".bound");
        }
    }

    /** Public, or Gogo would not find its methods. */
    public static final class Others {
        public void config(String... words) {
            throw new AssertionError("another bundle's command of that name");
        }
    }

    private final Commands commands = new Commands();
    private ThreadIOImpl io;
    private CommandProcessorImpl processor;

    @TempDir
    private Path directory;

    @BeforeEach
    void open() {
        io = new ThreadIOImpl();
        io.start();
        processor = new CommandProcessorImpl(io);
        // What Gogo's activator adds; any object does for the bundle's context.
        processor.addConstant(org.apache.felix.gogo.runtime.activator.Activator.CONTEXT, commands);
        List.of("addCommand", "removeCommand", "eval").forEach(name -> processor.addCommand("gogo", processor, name));
        // Gogo takes the first it finds: without scopes that is one of so many others.
        IntStream.range(0, 60).forEach(i -> processor.addCommand("other" + i, new Others(), "config"));
        List.of("config", "__pids", "__keys").forEach(name -> processor.addCommand("vfio", commands, name));
        List.of("complete", "format", "setopt", "new", "set")
            .forEach(name -> processor.addCommand("gogo", new Builtin(), name));
        List.of("each", "if", "not", "try", "throw")
            .forEach(name -> processor.addCommand("gogo", new Procedural(), name));
        List.of("cat", "echo").forEach(name -> processor.addCommand("gogo", new Posix(processor), name));
    }

    @AfterEach
    void close() {
        processor.stop();
        io.stop();
    }

    /** {@return what a person sees who types that, and then ends their input} */
    private String types(String keys, History history) throws Exception {
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        ByteArrayInputStream in = new ByteArrayInputStream((keys + "\004").getBytes(StandardCharsets.UTF_8));
        launcher.Commands described = new launcher.Commands(
            () -> List.of(new launcher.Commands.Provider("vfio", List.of("config"),
            List.of(), List.of(), List.of("config (__pids) (__keys)"), () -> Commands.class)));
        try (Terminal terminal = new ExternalTerminal("test", "xterm", in, out, StandardCharsets.UTF_8);
             CommandSession session = processor.createSession(terminal.input(), terminal.output(), terminal.output())) {
            session.put(Shell.VAR_TERMINAL, terminal);
            // On a machine that is busy all may be late.
            Profile.prepare(session, "vfio:irq:gogo:*",
                others -> new Completion(session, described, others, Long.MAX_VALUE), history);
            new Shell(new Shell.Context() {
                @Override
                public String getProperty(String name) {
                    return System.getProperty(name);
                }

                @Override
                public void exit() {
                    throw new AssertionError("the session must not end the framework");
                }
            }, processor).gosh(session, new String[] {"--login", "--nohistory", "--noshutdown"});
        }
        String seen = out.toString(StandardCharsets.UTF_8);
        assertFalse(seen.contains("ERROR") || seen.contains("\tat "), seen);
        return seen;
    }

    @DisplayName("TAB completes the arguments of our command, though another bundle has one of that name; what is "
        + "typed is run, and kept")
    @Test
    void session() throws Exception {
        Path file = directory.resolve("history");
        Files.writeString(file, "config before\n");
        List<String> said = new ArrayList<>();
        // The last is the key that goes back, three times.
        types("conf\tvf\t\t\n" + "config i\tx\n" + "\020\020\020\n", new PastLines(file, said::add));
        assertEquals(
            List.of(List.of("vfio.container", "vfio.container.bound"), List.of("iommu.pamu", "x"), List.of("before")),
            commands.calls);
        assertEquals(
            List.of("config before", "config vfio.container vfio.container.bound", "config iommu.pamu x",
                "config before"),
            Files.readAllLines(file).stream().map(String::strip).toList());
        assertEquals(List.of(), said);
    }
}
