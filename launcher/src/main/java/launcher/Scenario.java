// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.gogo.runtime.CommandNotFoundException;
import org.apache.felix.gogo.runtime.EOFError;
import org.apache.felix.gogo.runtime.Parser;
import org.apache.felix.gogo.runtime.SyntaxError;
import org.apache.felix.gogo.runtime.Token;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Job;

/**
 * A Gogo script that was read and can be parsed. An error is reported with its line; commands that look at something
 * print their result, as in the shell.
 */
final class Scenario {
    /** The command that prints what it is given. */
    static final String SHOW = "__show";

    /** Gogo's own words for arguments that fit no method of that name. */
    private static final Pattern MISFIT = Pattern.compile("Cannot coerce (\\S+)\\((.*)\\) to any of \\[(.*)]",
        Pattern.DOTALL);

    private final String name;
    private final String text;

    private Scenario(String name, String text) {
        this.name = name;
        this.text = text;
    }

    /**
     * Reads a scenario from a file and parses it.
     *
     * @throws ErrnoException as {@link #parse}; ENOENT, EACCES, EISDIR, EIO if it cannot be read; EINVAL if it is not
     *     UTF-8
     */
    static Scenario read(String file) {
        try {
            Path path = Path.of(file);
            if (Files.isDirectory(path)) {
                throw new ErrnoException(Errno.EISDIR, "cannot read scenario %s: it is a directory", file);
            }
            return parse(file, Files.readString(path));
        } catch (NoSuchFileException e) {
            throw new ErrnoException(Errno.ENOENT, e, "cannot read scenario %s: no such file", file);
        } catch (AccessDeniedException e) {
            throw new ErrnoException(Errno.EACCES, e, "cannot read scenario %s: permission denied", file);
        } catch (CharacterCodingException e) {
            throw new ErrnoException(Errno.EINVAL, e, "cannot read scenario %s: it is not text in UTF-8", file);
        } catch (InvalidPathException e) {
            throw new ErrnoException(Errno.EINVAL, e, "cannot read scenario %s: %s", file, e.getReason());
        } catch (IOException e) {
            throw new ErrnoException(Errno.EIO, e, "cannot read scenario %s: %s", file, e.getMessage());
        }
    }

    /** @throws ErrnoException EINVAL with name and line, if the text is no script */
    static Scenario parse(String name, String text) {
        try {
            new Parser(text).program();
            return new Scenario(name, text);
        } catch (EOFError e) {
            throw new ErrnoException(Errno.EINVAL, e, "%s:%d: the scenario ends where '%s' is missing", name,
                Math.min(e.line() + 1, text.lines().count()), closing(e));
        } catch (SyntaxError e) {
            throw new ErrnoException(Errno.EINVAL, e, "%s:%d: %s", name, e.line() + 1, e.getMessage());
        }
    }

    private static String closing(EOFError e) {
        return e.repair() == null || e.repair().isBlank() ? String.valueOf(e.missing()) : e.repair().strip();
    }

    /** {@return whether there is nothing to do in it} */
    boolean isEmpty() {
        return new Parser(text).program().tokens().isEmpty();
    }

    /**
     * Runs it in a session.
     *
     * @param usage gives one line for each way to call a command
     * @param looking the commands that print what they give
     * @return what its last statement gave
     * @throws Failure when a statement fails; those after it are not run
     */
    Object run(CommandSession session, Function<String, List<String>> usage, Set<String> looking) throws Failure {
        // The innermost statement that has failed by an exception is the first that ends with it; what a command
        // catches is forgotten.
        Map<Exception, CharSequence> culprits = Collections.synchronizedMap(new IdentityHashMap<>());
        session.setJobListener((job, before, now) -> {
            if (now == Job.Status.Done && job.result() != null && job.result().exception() != null) {
                culprits.putIfAbsent(job.result().exception(), job.command());
            }
        });
        try {
            return session.execute(new Parser(shown(text, looking)).program());
        } catch (Exception e) {
            throw failure(e, culprits.get(e), usage);
        } finally {
            session.setJobListener(null);
        }
    }

    /** The text with each statement that only looks given to {@link #SHOW}. Lines stay what they were. */
    static String shown(String text, Set<String> looking) {
        List<int[]> found = new ArrayList<>();
        find(new Parser(text).program(), looking, found);
        StringBuilder shown = new StringBuilder(text);
        // From the end, so that places before stay where they are; one does not lie within another.
        for (int i = found.size() - 1; i >= 0; i--) {
            shown.insert(found.get(i)[1], ")").insert(found.get(i)[0], SHOW + " (");
        }
        return shown.toString();
    }

    /** Finds the commands to print; those in parentheses pass their result on and are left alone. */
    private static void find(Parser.Program program, Set<String> looking, List<int[]> found) {
        for (Parser.Executable part : program.tokens()) {
            if (part instanceof Parser.Statement statement && !statement.tokens().isEmpty()) {
                List<Token> tokens = statement.tokens();
                boolean assigns = tokens.size() > 1 && Token.eq("=", tokens.get(1));
                Token last = tokens.get(tokens.size() - 1);
                if (!assigns && looking.contains(tokens.get(0).toString().replaceFirst("^vfio:", ""))) {
                    found.add(new int[] {tokens.get(0).start(), last.start() + last.length()});
                } else {
                    tokens.stream().filter(Parser.Closure.class::isInstance)
                        .forEach(token -> find(((Parser.Closure) token).program(), looking, found));
                }
            }
        }
    }

    private Failure failure(Exception e, CharSequence culprit, Function<String, List<String>> usage) {
        String command = "";
        String place = name;
        if (culprit instanceof Token statement) {
            // Gogo counts from 0.
            place += ":" + (statement.line() + 1);
        }
        if (culprit instanceof Parser.Statement statement && !statement.tokens().isEmpty()) {
            command = command(statement);
        }
        return new Failure(place + ": " + reason(e, command), usage.apply(command), e);
    }

    /** The command of a statement, behind what it is assigned to. */
    private static String command(Parser.Statement statement) {
        List<Token> tokens = statement.tokens();
        return tokens.get(tokens.size() > 3 && Token.eq("=", tokens.get(1)) ? 2 : 0).toString();
    }

    private static String reason(Exception e, String command) {
        Throwable cause = e;
        while (cause.getCause() != null && !(cause instanceof ErrnoException)) {
            cause = cause.getCause();
        }
        if (e instanceof CommandNotFoundException missing) {
            return String.format("there is no command %s; 'help' in ./gantry shell lists them", missing.getCommand());
        }
        if (cause instanceof SyntaxError syntax) {
            return syntax.getMessage();
        }
        String message = String.valueOf(cause.getMessage());
        Matcher misfit = MISFIT.matcher(message);
        if (misfit.matches()) {
            int given = misfit.group(2).isEmpty() ? 0 : misfit.group(2).split(", ").length;
            return misfit.group(3).isEmpty() ? String.format("there is nothing called %s there", misfit.group(1))
                : String.format("%s %s", command.isEmpty() ? misfit.group(1) : command, given == 0 ? "needs arguments"
                    : given == 1 ? "does not take this one argument" : "does not take these " + given + " arguments");
        }
        return cause.getMessage() == null ? cause.toString() : message;
    }

    /** A statement that failed: where, why, and how its command is called. */
    static final class Failure extends Exception {
        private static final long serialVersionUID = 1L;

        private final transient List<String> usage;

        Failure(String message, List<String> usage, Exception cause) {
            super(message, cause);
            this.usage = usage;
        }

        List<String> usage() {
            return usage;
        }
    }
}
