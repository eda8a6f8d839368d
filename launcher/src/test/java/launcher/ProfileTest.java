// SPDX-License-Identifier: Apache-2.0
package launcher;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;

import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.atomic.AtomicReference;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.gogo.jline.Builtin;
import org.apache.felix.gogo.jline.Posix;
import org.apache.felix.gogo.jline.Procedural;
import org.apache.felix.gogo.jline.Shell;
import org.apache.felix.gogo.runtime.CommandProcessorImpl;
import org.apache.felix.gogo.runtime.threadio.ThreadIOImpl;
import org.apache.felix.service.command.CommandSession;
import org.jline.builtins.Completers;
import org.jline.reader.Candidate;
import org.jline.reader.ParsedLine;
import org.jline.terminal.Terminal;
import org.jline.terminal.impl.DumbTerminal;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

/** A person's session, as Gogo begins it. */
class ProfileTest {
    /** Public, or Gogo would not find its methods. */
    public static final class Commands {
        private final AtomicReference<CommandSession> begun = new AtomicReference<>();

        public String config() {
            return "ours";
        }

        public List<String> configurable() {
            return new ArrayList<>(List.of("vfio.container", "iommu.pamu"));
        }

        public List<String> configurable(String pid) {
            if (pid.equals("none")) {
                throw new ErrnoException(Errno.ENOENT, "no such configuration");
            }
            return new ArrayList<>(List.of(pid + "'s stall.bound"));
        }

        public List<String> configurable(String pid, String key) {
            return new ArrayList<>(List.of(pid + "'s " + key + "'s 250"));
        }

        public void begun(CommandSession session) {
            begun.set(session);
        }
    }

    /** Public, or Gogo would not find its methods. */
    public static final class Others {
        public String config() {
            return "theirs";
        }
    }

    @DisplayName("PIDs, keys and values complete behind config; config is ours, though another bundle has one too")
    @Test
    void completes() throws Exception {
        ThreadIOImpl io = new ThreadIOImpl();
        io.start();
        CommandProcessorImpl processor = new CommandProcessorImpl(io);
        Commands commands = new Commands();
        // What Gogo's activator adds; any object does for the bundle's context.
        processor.addConstant(org.apache.felix.gogo.runtime.activator.Activator.CONTEXT, commands);
        List.of("addCommand", "removeCommand", "eval").forEach(name -> processor.addCommand("gogo", processor, name));
        processor.addCommand("scr", new Others(), "config");
        List.of("config", "configurable", "begun").forEach(name -> processor.addCommand("vfio", commands, name));
        List.of("complete", "format", "setopt", "new", "set").forEach(name -> processor.addCommand("gogo", new Builtin(), name));
        List.of("each", "if", "not", "try", "throw").forEach(name -> processor.addCommand("gogo", new Procedural(), name));
        List.of("cat", "echo").forEach(name -> processor.addCommand("gogo", new Posix(processor), name));
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        // What a person types: the one command, and the end of their input.
        ByteArrayInputStream in = new ByteArrayInputStream("vfio:begun\n".getBytes(StandardCharsets.UTF_8));
        try (Terminal terminal = new DumbTerminal(in, out); CommandSession session = processor.createSession(in, out, out)) {
            session.put(Shell.VAR_TERMINAL, terminal);
            Profile.prepare(session, "vfio:irq:gogo:*");
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
            assertEquals(session, commands.begun.get(), out.toString(StandardCharsets.UTF_8));
            assertFalse(out.toString(StandardCharsets.UTF_8).contains("ERROR"), out.toString(StandardCharsets.UTF_8));
            assertEquals("ours", session.execute("config"));
            assertEquals(Set.of("vfio.container", "iommu.pamu"), complete(session, "config", ""));
            assertEquals(Set.of("iommu.pamu's stall.bound"), complete(session, "config", "iommu.pamu", ""));
            assertEquals(Set.of("iommu.pamu's x's 250"), complete(session, "config", "iommu.pamu", "x", ""));
            assertEquals(Set.of(), complete(session, "config", "iommu.pamu", "x", "250", ""));
            assertEquals(Set.of(), complete(session, "config", "none", ""));
        } finally {
            io.stop();
        }
    }

    /** {@return what the definitions of the session offer for the last of these words} */
    private static Set<String> complete(CommandSession session, String... words) throws Exception {
        Map<String, List<Completers.CompletionData>> all = Shell.getCompletions(session);
        session.put(Shell.VAR_COMMAND_LINE, new Line(List.of(words)));
        Set<String> found = new TreeSet<>();
        for (Completers.CompletionData one : all.get("vfio:config")) {
            if (one.argument != null) {
                ((List<?>) session.execute(one.argument)).forEach(word -> found.add(new Candidate(String.valueOf(word)).value()));
            }
        }
        return found;
    }

    /** A line whose last word is being typed. */
    public record Line(List<String> words) implements ParsedLine {
        @Override
        public String word() {
            return words.get(words.size() - 1);
        }

        @Override
        public int wordCursor() {
            return word().length();
        }

        @Override
        public int wordIndex() {
            return words.size() - 1;
        }

        @Override
        public String line() {
            return String.join(" ", words);
        }

        @Override
        public int cursor() {
            return line().length();
        }
    }
}
