// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Hashtable;
import java.util.List;
import java.util.Map;
import org.apache.felix.gogo.jline.Builtin;
import org.apache.felix.gogo.jline.Converters;
import org.apache.felix.gogo.jline.Posix;
import org.apache.felix.gogo.jline.Procedural;
import org.apache.felix.service.command.CommandProcessor;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Converter;
import org.jline.terminal.Terminal;
import org.jline.terminal.TerminalBuilder;
import org.jline.terminal.impl.DumbTerminal;
import org.osgi.framework.BundleContext;
import org.osgi.framework.ServiceRegistration;

/**
 * Gogo, for scripts and for interactive use. Gogo's shell bundle is not started, because it would read standard input
 * at once, for scripts too; its commands are registered here instead.
 */
final class Shell implements AutoCloseable {
    private static final String SCOPES = "vfio:irq:gogo:*";
    /** The maximum width of tables; 0 for no limit. */
    private static final String COLUMNS = "gantry.columns";

    private final BundleContext context;
    private final CommandProcessor processor;
    private final PrintStream out;
    private final PrintStream err;
    private final Commands commands;
    private final org.apache.felix.gogo.jline.Shell gosh;
    private final List<ServiceRegistration<?>> registrations = new ArrayList<>();

    /**
     * @param out where scenarios print
     * @param err where they print what is wrong
     */
    Shell(BundleContext context, CommandProcessor processor, PrintStream out, PrintStream err) {
        this.context = context;
        this.out = out;
        this.err = err;
        this.processor = processor;
        this.commands = new Commands(context);
        this.gosh = new org.apache.felix.gogo.jline.Shell(new GogoContext(), processor);
        register(new Builtin(), "format", "getopt", "new", "set", "type", "jobs", "fg", "bg", "keymap", "setopt",
            "unsetopt", "complete", "history", "widget", "__files", "__directories", "__usage_completion");
        register(new Procedural(), "each", "if", "not", "throw", "try", "until", "while", "break", "continue");
        register(new Posix(processor), "cat", "echo", "grep", "sort", "sleep", "cd", "pwd", "ls", "less", "head",
            "tail", "clear", "wc", "date");
        register(gosh, "gosh", "sh", "source");
        register(new Help(commands, gosh), Map.of(Commands.COMPLETES, "help (__commands)"), "help", "__commands");
        register(new ExitCommand(), "exit");
        register(new Show(), Scenario.SHOW);
        registrations.add(context.registerService(Converter.class,
            new Converters(context.getBundle(0).getBundleContext()), null));
    }

    /** Runs a script. {@return what its last command gave} */
    Object run(String script) throws Exception {
        try (CommandSession session = session()) {
            return session.execute(script);
        }
    }

    /** Runs a scenario. */
    void run(Scenario scenario) throws Scenario.Failure {
        try (CommandSession session = session()) {
            scenario.run(session, name -> commands.find(name).map(Usage::lines).orElse(List.of()), commands.looking());
        }
    }

    /** Calls one command with one argument, whatever it is. */
    Object call(String command, Object argument) throws Exception {
        try (CommandSession session = session()) {
            session.put("argument", argument);
            return session.execute(command + " $argument");
        }
    }

    /** Calls one command with options, whatever their values are; one whose value is null is left out. */
    Object call(String command, Map<String, ?> options) throws Exception {
        try (CommandSession session = session()) {
            StringBuilder line = new StringBuilder(command);
            options.forEach((name, value) -> {
                if (value != null) {
                    session.put(name, value);
                    line.append(" --").append(name).append(" $").append(name);
                }
            });
            return session.execute(line);
        }
    }

    /** Runs an interactive session until its user leaves. */
    void talk() throws Exception {
        try (Terminal terminal = terminal();
             CommandSession session = processor.createSession(terminal.input(), terminal.output(), terminal.output())) {
            // Tables fit the terminal, which may change.
            width(terminal);
            terminal.handle(Terminal.Signal.WINCH, signal -> width(terminal));
            session.put(org.apache.felix.gogo.jline.Shell.VAR_TERMINAL, terminal);
            Profile.prepare(session, SCOPES, others -> new Completion(session, commands, others), history(terminal));
            gosh.gosh(session, new String[] {"--login", "--nohistory", "--noshutdown"});
        }
    }

    private static void width(Terminal terminal) {
        System.setProperty(COLUMNS, String.valueOf(terminal.getWidth()));
    }

    @Override
    public void close() {
        registrations.forEach(ServiceRegistration::unregister);
    }

    /** {@return where a person's lines are kept; null where none types them, as in a pipe} */
    private static PastLines history(Terminal terminal) {
        return terminal instanceof DumbTerminal ? null
            : new PastLines(PastLines.file(System.getenv(), System.getProperty("user.home")), line -> {
                terminal.writer().println(line);
                terminal.flush();
            });
    }

    private void register(Object provider, String... functions) {
        register(provider, Map.of(), functions);
    }

    private void register(Object provider, Map<String, String> more, String... functions) {
        Hashtable<String, Object> properties = new Hashtable<>(more);
        properties.put(CommandProcessor.COMMAND_SCOPE, "gogo");
        properties.put(CommandProcessor.COMMAND_FUNCTION, functions);
        registrations.add(context.registerService(Object.class, provider, properties));
    }

    /**
     * JLine looks its ways to a terminal up through the thread's class loader, which knows nothing of it in a
     * framework.
     */
    private static Terminal terminal() throws IOException {
        Thread thread = Thread.currentThread();
        ClassLoader before = thread.getContextClassLoader();
        thread.setContextClassLoader(TerminalBuilder.class.getClassLoader());
        try {
            return TerminalBuilder.builder().name("gantry").system(true).dumb(true).nativeSignals(true)
                .signalHandler(Terminal.SignalHandler.SIG_IGN).build();
        } finally {
            thread.setContextClassLoader(before);
        }
    }

    private CommandSession session() {
        CommandSession session = processor.createSession(new FileInputStream(FileDescriptor.in), out, err);
        session.put("SCOPE", SCOPES);
        return session;
    }

    /** The command {@code exit}. Public, or Gogo would not find its method. */
    public static final class ExitCommand {
        /** Ends the program; the framework's own hook stops the framework. */
        public void exit() {
            System.exit(0);
        }
    }

    /** The command that prints what it is given, and gives it on. Public, or Gogo would not find its method. */
    public static final class Show {
        /** Prints as a session would print a command's result. */
        public Object __show(CommandSession session, Object shown) {
            if (shown != null) {
                String text = String.valueOf(session.format(shown, Converter.INSPECT));
                // Not the session's console, which knows nothing of a pipe or a file that this goes to.
                System.out.print(text.endsWith("\n") ? text : text + "\n");
            }
            return shown;
        }
    }

    private final class GogoContext implements org.apache.felix.gogo.jline.Shell.Context {
        @Override
        public String getProperty(String name) {
            return context.getProperty(name);
        }

        @Override
        public void exit() throws IOException {
            // The end of a session ends the program, not the framework under it.
        }
    }
}
