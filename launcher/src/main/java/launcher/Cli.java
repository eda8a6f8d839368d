// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.PrintStream;
import java.io.PrintWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import machine.api.ErrnoException;
import machine.api.Machine;
import machine.api.Machines;
import machine.api.OutputFile;
import org.apache.felix.service.command.CommandProcessor;
import org.osgi.framework.BundleContext;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.component.runtime.ServiceComponentRuntime;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParameterException;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;
import picocli.CommandLine.UnmatchedArgumentException;

/**
 * The command line. The framework's launcher calls it on the main thread when all bundles are started. Its result is
 * the exit status: 0 all as expected, 1 a result is not, 2 nothing has begun.
 */
@Component(service = Callable.class, property = "main.thread=true")
public final class Cli implements Callable<Integer> {
    /** All was as expected. */
    static final int OK = 0;
    /** Something was not as expected. */
    static final int NOT_OK = 1;
    /** Wrong use, or a board or file that cannot be used. */
    static final int UNUSABLE = 2;

    /** The command's model, from which picocli prints the usage. */
    private static final int LEAST_USAGE = 55;

    /** Prefix of the locators of QEMU machines; there is no file of that name. */
    private static final String QEMU = "qemu:";

    private final BundleContext context;
    private final CommandProcessor processor;
    private final Machines machines;
    private final ServiceComponentRuntime components;
    private final Log log;
    private final String[] arguments;
    // Not those of System: Gogo puts its own in their place, which lead to those of a session, and round and round if a
    // session has them.
    private final Console console = new Console(new FileOutputStream(FileDescriptor.out));
    private final PrintStream out = console.stream();
    private final PrintStream err = new PrintStream(new FileOutputStream(FileDescriptor.err), true,
        StandardCharsets.UTF_8);

    /** Built by Declarative Services. */
    @Activate
    public Cli(BundleContext context, @Reference(name = "processor") CommandProcessor processor,
            @Reference(name = "machines") Machines machines,
        @Reference(name = "components") ServiceComponentRuntime components,
            @Reference(name = "log") Log log,
            @Reference(name = "launcher", service = Object.class,
                target = "(&(launcher.arguments=*)(launcher.ready=true))")
            Map<String, Object> launcher) {
        this.context = context;
        this.processor = processor;
        this.machines = machines;
        this.components = components;
        this.log = log;
        this.arguments = launcher.get("launcher.arguments") instanceof String[] words ? words : new String[0];
    }

    @Override
    public Integer call() {
        int status = line(arguments).execute(arguments.length == 0 ? new String[] {"help"} : arguments);
        out.flush();
        console.finish();
        console.failure().ifPresent(e -> err.println("gantry: " + e.getMessage()));
        return status == OK && console.failure().isPresent() ? NOT_OK : status;
    }

    /** {@return what reads the command line; writes to standard output and standard error} */
    CommandLine line(String... words) {
        CommandLine line = new CommandLine(new Root());
        commands(words).forEach(line::addSubcommand);
        line.addSubcommand(new CommandLine.HelpCommand());
        line.getSubcommands().get("help").getCommandSpec().usageMessage()
            .description("Shows this, or what a command takes.");
        line.getCommandSpec().versionProvider(this::version);
        line.setErr(new PrintWriter(err, true, StandardCharsets.UTF_8));
        line.setOut(new PrintWriter(out, true, StandardCharsets.UTF_8));
        if (console.columns() > 0) {
            // Less than picocli can do with is as little as it can do with.
            line.setUsageHelpWidth(Math.max(LEAST_USAGE, console.columns()));
        }
        line.setParameterExceptionHandler((e, rest) -> misused(e));
        line.setExecutionExceptionHandler((e, command, parsed) -> failed(e, command.getErr()));
        return line;
    }

    /**
     * The command that is asked for, or all of them, for help and for a word that is none: each takes a while to be
     * looked at, and a start is to be quick.
     */
    private List<Object> commands(String... words) {
        List<Object> all = List.of(new Run(), new Compare(), new Soak(), new ShellCommand(), new Tests(), new Bench(),
            new Version());
        List<Object> named = all.stream()
            .filter(one -> words.length > 0 && one.getClass().getAnnotation(Command.class).name().equals(words[0]))
            .toList();
        return named.isEmpty() ? all : named;
    }

    private String[] version() {
        return new String[] {
            "gantry " + context.getBundle().getVersion(),
            String.format("Java %s (%s), %s %s", Runtime.version(), System.getProperty("java.vendor"),
                System.getProperty("os.name"), System.getProperty("os.arch"))};
    }

    /** One line, and where the right use is shown. */
    private static int misused(ParameterException e) {
        CommandLine asked = e.getCommandLine();
        boolean root = asked.getParent() == null;
        String message = e.getMessage();
        if (e instanceof UnmatchedArgumentException unmatched && root && !unmatched.isUnknownOption()) {
            message = String.format("there is no command %s; there are %s", unmatched.getUnmatched().get(0),
                asked.getSubcommands().keySet());
        }
        asked.getErr()
            .println("gantry: " + (message.endsWith(".") ? message.substring(0, message.length() - 1) : message)
            + "; see ./gantry help" + (root ? "" : " " + asked.getCommandName()));
        return UNUSABLE;
    }

    /** One line, whatever went wrong; what a user can do nothing about comes with its stack. */
    private static int failed(Exception e, PrintWriter err) {
        if (e instanceof ErrnoException || e instanceof Unusable || e instanceof IOException) {
            err.println("gantry: " + (e instanceof FileSystemException file
                ? file.getFile() + " cannot be read or written: " + e.getClass().getSimpleName() : e.getMessage()));
        } else {
            e.printStackTrace(err);
        }
        return UNUSABLE;
    }

    /** A reason to end with {@link #UNUSABLE}. */
    private static final class Unusable extends Exception {
        private static final long serialVersionUID = 1L;

        Unusable(String reason) {
            super(reason);
        }
    }

    /** The options of every command. */
    private abstract static class Helped {
        @Option(names = {"-h", "--help"}, usageHelp = true, description = "show this")
        private boolean help;
    }

    @Command(name = "gantry", description = "A VFIO platform for the JVM: real boards, PAMU windows, MSI banks.",
        synopsisSubcommandLabel = "COMMAND", footer = {"", "./gantry help COMMAND shows what a command takes."})
    private static final class Root extends Helped implements Runnable {
        @Option(names = {"-V", "--version"}, versionHelp = true, description = "show the version, and that of Java")
        private boolean version;

        @Spec
        private CommandSpec spec;

        /** Options without a command, none of which asked for help. */
        @Override
        public void run() {
            throw new ParameterException(spec.commandLine(), "a command is missing");
        }
    }

    @Command(name = "version", description = "Shows the version, and that of Java.")
    private static final class Version extends Helped implements Runnable {
        @Spec
        private CommandSpec spec;

        @Override
        public void run() {
            spec.parent().commandLine().printVersionHelp(spec.commandLine().getOut());
        }
    }

    /** A command that the script in the checkout performs, before the launcher runs. */
    private abstract static class OfScript extends Helped implements Callable<Integer> {
        @Spec
        private CommandSpec spec;

        @Override
        public final Integer call() throws Unusable {
            throw new Unusable(
                spec.name() + " needs the sources: start it as ./gantry " + spec.name() + " in the checkout");
        }
    }

    @Command(name = "test", description = {
        "Runs all tests, on the JDK in use and on the newest one installed beside it.",
        "Exits with 0 if all passed, 1 if not, 2 if it could not begin."})
    private static final class Tests extends OfScript {
        @Parameters(paramLabel = "WORD", description = "passed on to Maven, e.g. -Dgantry.seed=42")
        private List<String> words;
    }

    @Command(name = "bench", description = {
        "Measures each part of the road beside a yardstick; prints one table, judges nothing.",
        "Exits with 0 if everything was measured, 1 if not, 2 if it could not begin."})
    private static final class Bench extends OfScript {
        @Option(names = "--quick", description = "fewer sizes, one pass: 3 minutes instead of a quarter of an hour")
        private boolean quick;

        @Option(names = "--json", paramLabel = "FILE", description = "write the table as JSON; - is standard output")
        private String json;

        @Option(names = "--svg", paramLabel = "FILE", description = "write the plot")
        private String svg;
    }

    private static Map<String, String> named(String json, String svg) {
        Map<String, String> files = new LinkedHashMap<>();
        files.put("json", json);
        files.put("svg", svg);
        return files;
    }

    /** The options of every command that needs a machine. */
    private abstract class OnMachine extends Helped implements Callable<Integer> {
        @Option(names = "--machine", paramLabel = "FILE",
            description = "a device tree (.dtb), an ACPI DMAR table, or qemu:q35, qemu:ppce500; by default a P4080 "
                + "example board")
        private String machine;

        @Option(names = "--set", paramLabel = "NAME=VALUE", description = "override what the description says, e.g. "
            + "liodn.pcie0=0xc1")
        private final Map<String, String> options = new LinkedHashMap<>();

        @Option(names = "--config", paramLabel = "PID.KEY=VALUE",
            description = "configure a component, e.g. vfio.container.stall.bound=250; may be given often; see "
                + "config in ./gantry shell")
        private final List<String> configurations = new ArrayList<>();

        @Override
        public Integer call() throws Exception {
            prepare();
            Path example = null;
            try (Outputs outputs = new Outputs(outputs())) {
                String board = context.getProperty("gantry.board");
                if (machine == null && !board.startsWith(QEMU)) {
                    example = unpackExample();
                }
                boolean isolates = !"none".equals(context.getProperty("gantry.iommu"));
                new Configurations(context, processor).set(configurations);
                Machine loaded = machines.load(machine != null ? machine : example == null ? board : example.toString(),
                    options);
                if (isolates) {
                    requireRequesters(loaded);
                }
                loaded.warnings().forEach(warning -> err.println("gantry: warning: " + warning));
                new Readiness(context, components).await(log, isolates);
                return worked(loaded, outputs);
            } finally {
                machines.unload();
                if (example != null) {
                    Files.deleteIfExists(example);
                }
            }
        }

        /** Checks the arguments before anything is done. */
        void prepare() throws IOException {
            // Most have nothing to look at.
        }

        /** {@return the options that name a file to be written, and the names, null where not given} */
        Map<String, String> outputs() {
            return Map.of();
        }

        abstract int work(Machine machine, Outputs outputs) throws Exception;

        private int worked(Machine machine, Outputs outputs) throws Exception {
            try {
                return work(machine, outputs);
            } catch (ErrnoException e) {
                if (!outputs.failed()) {
                    throw e;
                }
                // The work is done, and what came of it cannot be had.
                err.println("gantry: " + e.getMessage());
                return NOT_OK;
            }
        }

        private Path unpackExample() throws IOException {
            Path file = Files.createTempFile("gantry-", "-" + context.getProperty("gantry.board"));
            file.toFile().deleteOnExit();
            try (InputStream board = Cli.class.getResourceAsStream("/boards/" + context.getProperty("gantry.board"))) {
                Files.write(file, board.readAllBytes());
            }
            return file;
        }

        /** A board whose devices speak as nobody has no IOMMU for us: said at once, not after a time-out. */
        private void requireRequesters(Machine loaded) throws Unusable {
            Optional<String> reason = Places.missing(loaded);
            if (reason.isPresent()) {
                throw new Unusable(reason.get());
            }
        }
    }

    @Command(name = "run", description = {"Runs a scenario and shows what happened.",
        "Exits with 0 if all was as expected, 1 if not, 2 if it could not begin."})
    private final class Run extends OnMachine {
        @Option(names = "--json", paramLabel = "FILE", description = "write everything as JSON; - is standard output")
        private String json;

        @Option(names = "--svg", paramLabel = "FILE", description = "write a picture of the apertures")
        private String svg;

        @Parameters(arity = "0..1", paramLabel = "SCENARIO.gosh",
            description = "a Gogo script of vfio: commands; by default one that fits the machine's IOMMU")
        private String file;

        private Scenario scenario;

        @Override
        Map<String, String> outputs() {
            return named(json, svg);
        }

        @Override
        void prepare() throws IOException {
            if (file != null) {
                scenario = Scenario.read(file);
                return;
            }
            String name = context.getProperty("gantry.scenario");
            try (InputStream builtIn = Cli.class.getResourceAsStream("/scenarios/" + name)) {
                scenario = Scenario.parse(name, new String(builtIn.readAllBytes(), StandardCharsets.UTF_8));
            }
        }

        @Override
        int work(Machine machine, Outputs outputs) throws Exception {
            try (Shell shell = new Shell(context, processor, outputs.people(out, err), err)) {
                boolean finished = finishes(shell);
                if (!begun(shell)) {
                    return UNUSABLE;
                }
                outputs.people(out, err).print(shell.run("vfio:report"));
                for (Map.Entry<String, OutputFile> output : outputs.files().entrySet()) {
                    shell.call("vfio:" + output.getKey(), output.getValue());
                }
                return finished && Boolean.TRUE.equals(shell.run("vfio:ok")) ? OK : NOT_OK;
            }
        }

        /** {@return whether the machine has what the scenario said it needs} */
        private boolean begun(Shell shell) throws Exception {
            return Boolean.TRUE.equals(shell.run("vfio:begun"));
        }

        private boolean finishes(Shell shell) throws Exception {
            if (scenario.isEmpty()) {
                shell.call("vfio:note", (file == null ? "the scenario" : file) + " is empty: nothing was done");
            }
            try {
                shell.run(scenario);
                return true;
            } catch (Scenario.Failure e) {
                err.println("gantry: " + e.getMessage());
                // How "needs" is called does not matter where the machine does not have it.
                if (begun(shell)) {
                    e.usage().forEach(line -> err.println("  usage: " + line));
                }
                shell.call("vfio:fail", e.getMessage());
                return false;
            }
        }
    }

    @Command(name = "compare", description = {
        "Runs the same workload under each MSI strategy and shows how they differ.",
        "Exits with 0 if each that works here delivered every interrupt and verified every byte."})
    private final class Compare extends OnMachine {
        @Option(names = "--json", paramLabel = "FILE", description = "write everything as JSON; - is standard output")
        private String json;

        @Option(names = "--svg", paramLabel = "FILE", description = "write a picture of the apertures side by side")
        private String svg;

        @Override
        Map<String, String> outputs() {
            return named(json, svg);
        }

        @Override
        int work(Machine machine, Outputs outputs) throws Exception {
            try (Shell shell = new Shell(context, processor, outputs.people(out, err), err)) {
                outputs.people(out, err).print(shell.call("vfio:compare", outputs.files()));
                return Boolean.TRUE.equals(shell.run("vfio:ok")) ? OK : NOT_OK;
            }
        }
    }

    @Command(name = "soak", description = {
        "Swaps every backend again and again under working devices, and compares everything.",
        "Ctrl-C, or a TERM signal, ends the swaps early: what was done until then is judged.",
        "Exits with 0 if every promise held, 1 if not, 2 if it could not begin, 128 and the signal's number if it "
            + "held until a signal."})
    private final class Soak extends OnMachine {
        @Option(names = "--seconds", paramLabel = "N", description = "for how long; by default 30")
        private String seconds;

        @Option(names = "--seed", paramLabel = "S", description = "seed of all random choices; by default a new one "
            + "each time")
        private String seed;

        @Option(names = "--json", paramLabel = "FILE", description = "write the result as JSON; - is standard output")
        private String json;

        @Override
        Map<String, String> outputs() {
            return named(json, null);
        }

        @Override
        int work(Machine machine, Outputs outputs) throws Exception {
            Map<String, Object> options = new LinkedHashMap<>(outputs.files());
            options.put("seconds", seconds);
            options.put("seed", seed);
            try (Shell shell = new Shell(context, processor, outputs.people(out, err), err);
                 Interruption interruption = new Interruption(() -> shell.run("vfio:enough"))) {
                return Boolean.TRUE.equals(shell.call("vfio:soak", options)) ? interruption.status() : NOT_OK;
            }
        }
    }

    @Command(name = "shell", description = "Loads a machine and opens a shell; 'help' there lists the commands.")
    private final class ShellCommand extends OnMachine {
        @Override
        int work(Machine machine, Outputs outputs) throws Exception {
            out.println("Gantry on " + machine.model() + ". 'help' lists commands, TAB completes, 'exit' leaves.");
            try (Shell shell = new Shell(context, processor, out, err)) {
                shell.talk();
            }
            return OK;
        }
    }
}
