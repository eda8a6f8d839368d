// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import machine.api.Errno;
import machine.api.ErrnoException;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Descriptor;

/**
 * The command {@code help}: lists Gantry's commands by group, one line each; {@code help all} adds those of Gogo and
 * others. On a terminal no line is longer than it is wide. Public, or Gogo would not find its methods.
 */
public final class Help {
    /** The width of the terminal; absent or 0 for as wide as it likes. */
    private static final String COLUMNS = "gantry.columns";
    private static final String ALL = "all";
    private static final String GOGO = "gogo";
    private static final String UNGROUPED = "more";
    private static final int INDENT = 2;
    /** Words that are folded to less than this cannot be read. */
    private static final int NARROWEST = 20;

    private final Commands commands;
    private final org.apache.felix.gogo.jline.Shell gosh;

    Help(Commands commands, org.apache.felix.gogo.jline.Shell gosh) {
        this.commands = commands;
        this.gosh = gosh;
    }

    /** Lists ours. */
    @Descriptor("list the commands")
    public void help(CommandSession session) {
        print(ours(commands.ours(), columns()));
        print(folded("",
            "'help COMMAND' says how one is called; 'help all' lists the others, of Gogo and the framework, too.",
            columns()));
    }

    /**
     * Tells of one; or of all, or of a scope's.
     *
     * @throws ErrnoException ENOENT if there is no such command
     */
    @Descriptor("say how a command is called; or list all commands, or those of a scope")
    public void help(CommandSession session, @Descriptor("command, scope, or all") String name) {
        Map<String, TreeSet<String>> others = others(session);
        var one = commands.find(name).filter(command -> Commands.SCOPES.contains(command.scope()));
        if (name.equals(ALL)) {
            print(ours(commands.ours(), columns()));
            others.keySet().removeAll(Commands.SCOPES);
            others.forEach((scope, names) -> print(folded(scope + ": ", String.join(" ", names), columns())));
        } else if (one.isPresent()) {
            print(usage(one.get(), columns()));
        } else if (others.entrySet().stream().anyMatch(scope -> is(name, scope.getKey(), scope.getValue()))) {
            gosh.help(session, name);
            if (others.getOrDefault(GOGO, new TreeSet<>()).contains(name.substring(name.indexOf(':') + 1))) {
                // Most of Gogo's own describe themselves only when they are asked.
                print(folded("", "'" + name + " --help' says what one of Gogo's own takes.", columns()));
            }
        } else if (others.containsKey(name)) {
            print(folded(name + ": ", String.join(" ", others.get(name)), columns()));
        } else {
            throw new ErrnoException(Errno.ENOENT, "there is no command %s; 'help' lists ours, 'help all' all", name);
        }
    }

    /** For completion: the names of ours, and what else {@code help} takes. */
    public List<String> __commands(String... before) {
        return Stream.concat(commands.ours().stream().map(Commands.Command::name), Stream.of(ALL)).toList();
    }

    private static boolean is(String name, String scope, Collection<String> names) {
        int colon = name.indexOf(':');
        return (colon < 0 || scope.equals(name.substring(0, colon))) && names.contains(name.substring(colon + 1));
    }

    /** {@return the names of all commands that a session knows, by scope} */
    private static Map<String, TreeSet<String>> others(CommandSession session) {
        return org.apache.felix.gogo.jline.Shell.getCommands(session).stream().map(one -> one.split(":", 2))
            .filter(parts -> parts.length > 1 && !parts[1].startsWith("_"))
            .collect(Collectors.groupingBy(parts -> parts[0], TreeMap::new,
                Collectors.mapping(parts -> parts[1], Collectors.toCollection(TreeSet::new))));
    }

    /** {@return one line for each command: its name, and what it does} */
    static List<String> ours(List<Commands.Command> all, int columns) {
        Map<String, List<Commands.Command>> groups = all.stream().collect(
            Collectors.groupingBy(one -> one.group().isEmpty() ? UNGROUPED : one.group(), TreeMap::new,
                Collectors.toList()));
        int width = all.stream().mapToInt(one -> one.name().length()).max().orElse(0);
        List<String> lines = new ArrayList<>();
        groups.forEach((group, its) -> {
            lines.add(group + ":");
            its.forEach(one -> lines.addAll(folded(padded(one.name(), width), one.description(), columns)));
        });
        return lines;
    }

    /** {@return each way to call a command, what it does then, and what it takes} */
    static List<String> usage(Commands.Command command, int columns) {
        List<String> lines = new ArrayList<>();
        command.methods().forEach(method -> {
            lines.addAll(folded("", Usage.line(command.name(), method), columns));
            Descriptor descriptor = method.getAnnotation(Descriptor.class);
            if (descriptor != null) {
                lines.addAll(folded(" ".repeat(2 * INDENT), descriptor.value(), columns));
            }
            List<Usage.Argument> arguments = Usage.arguments(method);
            int width = arguments.stream().mapToInt(one -> left(one).length()).max().orElse(0);
            // One whose name says it all is not said again.
            arguments.stream().filter(one -> one.isOption() || !one.description().equalsIgnoreCase(one.value()))
                .forEach(one -> lines.addAll(folded(padded(left(one), width), right(one), columns)));
        });
        return lines;
    }

    private static String left(Usage.Argument one) {
        return one.isOption() ? String.join(", ", one.names()) + (one.value().isEmpty() ? "" : " " + one.value())
            : one.value();
    }

    private static String right(Usage.Argument one) {
        return one.description() + (one.absent().isEmpty() ? "" : "; by default " + one.absent());
    }

    private static String padded(String word, int width) {
        return " ".repeat(INDENT) + word + " ".repeat(width - word.length() + INDENT);
    }

    /**
     * {@return the text behind what is in front of it, or below, in lines no longer than so many columns; 0 for one
     * line}
     */
    static List<String> folded(String front, String text, int columns) {
        if (columns > 0 && !front.isBlank() && columns - front.length() < NARROWEST) {
            return Stream
                .concat(Stream.of(front.stripTrailing()), folded(" ".repeat(2 * INDENT), text, columns).stream())
                .toList();
        }
        int width = columns - front.length();
        List<String> lines = new ArrayList<>();
        StringBuilder line = new StringBuilder();
        for (String word : text.split(" ")) {
            if (columns > 0 && line.length() > 0 && line.length() + 1 + word.length() > width) {
                lines.add(line.toString());
                line.setLength(0);
            }
            line.append(line.length() == 0 ? "" : " ").append(word);
        }
        lines.add(line.toString());
        List<String> all = new ArrayList<>();
        lines.forEach(one -> all.add((all.isEmpty() ? front : " ".repeat(front.length())) + one));
        return all.stream().map(String::stripTrailing).toList();
    }

    private static int columns() {
        return Integer.getInteger(COLUMNS, 0);
    }

    /** The destination of the session's output, also through a pipe. */
    private static void print(List<String> lines) {
        lines.forEach(System.out::println);
    }
}
