// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.lang.reflect.Array;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.FutureTask;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Function;
import org.jline.builtins.Completers;
import org.jline.reader.Candidate;
import org.jline.reader.Completer;
import org.jline.reader.LineReader;
import org.jline.reader.ParsedLine;

/**
 * What TAB offers: the options that a command's methods have, and for each of its arguments what its provider says it
 * can be, in {@link Commands#COMPLETES}: the command's name, then a word for each argument in order, and
 * {@code --option=} with a word for an option that has a value. Such a word is {@code -} for what nobody knows
 * beforehand, or some of these with {@code |} between:
 * <ul>
 * <li>{@code R}: just that
 * <li>{@code (__containers)}: what the function of that name gives, which may be in another scope,
 *     {@code (vfio:__containers)}; it is called with the arguments before this one
 * <li>{@code *.jar}: files of such a name, and directories; a function may give that, too
 * </ul>
 * The last may end in {@code ...}: all further arguments are like it.
 *
 * <p>Functions ask what is there now, and that may take its time, as in a swap: they have a thread of their own and a
 * moment, and a function that fails or is late offers nothing.
 */
final class Completion implements Completer {
    private static final long PATIENCE_MILLIS = 1_000;
    private static final String UNKNOWN = "-";
    private static final String REPEATED = "...";
    /** In a word it stands for files. */
    private static final String FILES = "*";
    private static final String VARIABLE = "$";

    private final CommandSession session;
    private final Commands commands;
    private final Completer others;
    private final long patienceMillis;
    /** The latest request. Used by the reader's thread alone. */
    private FutureTask<Optional<List<Candidate>>> asked = new FutureTask<>(Optional::empty);

    /** @param others completes what our commands' providers do not speak of */
    Completion(CommandSession session, Commands commands, Completer others) {
        this(session, commands, others, PATIENCE_MILLIS);
    }

    Completion(CommandSession session, Commands commands, Completer others, long patienceMillis) {
        this.session = session;
        this.commands = commands;
        this.others = others;
        this.patienceMillis = patienceMillis;
        asked.run();
    }

    @Override
    public void complete(LineReader reader, ParsedLine line, List<Candidate> candidates) {
        Optional<List<Candidate>> found = asked(() -> candidates(reader, line));
        if (found.isPresent()) {
            candidates.addAll(found.get());
        } else {
            others.complete(reader, line, candidates);
        }
    }

    /**
     * {@return what is found in time; nothing from who fails or is late, and meanwhile from anybody; empty if it is for
     * others to say}
     */
    private Optional<List<Candidate>> asked(Callable<Optional<List<Candidate>>> question) {
        if (!asked.isDone()) {
            return Optional.of(List.of());
        }
        asked = new FutureTask<>(question);
        Thread thread = new Thread(asked, "launcher: completion");
        thread.setDaemon(true);
        thread.start();
        try {
            return asked.get(patienceMillis, TimeUnit.MILLISECONDS);
        } catch (ExecutionException | TimeoutException e) {
            // Not interrupted: it may be in the middle of starting a component.
            return Optional.of(List.of());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            return Optional.of(List.of());
        }
    }

    private Optional<List<Candidate>> candidates(LineReader reader, ParsedLine line) throws Exception {
        List<String> words = line.words().subList(0, line.wordIndex());
        // x = command …
        boolean assigns = words.size() > 1 && words.get(1).equals("=");
        if (assigns) {
            words = words.subList(2, words.size());
        }
        String word = line.word();
        if (word.startsWith(VARIABLE) && !words.isEmpty()) {
            return Optional.of(variables());
        }
        if (words.isEmpty()) {
            // Without a letter Gantry's commands alone; a user who wants others knows how they begin.
            return word.isEmpty() || assigns ? Optional.of(commands.ours().stream()
                .map(one -> candidate(one.name(), null)).toList()) : Optional.empty();
        }
        Optional<Commands.Command> command = commands.find(words.get(0));
        if (command.isEmpty()) {
            return Optional.empty();
        }
        return Optional.of(arguments(reader, line, command.get(), words.subList(1, words.size())));
    }

    /** {@return what can be behind a command and the words that follow it} */
    private List<Candidate> arguments(LineReader reader, ParsedLine line, Commands.Command command, List<String> words)
        throws Exception {
        List<Usage.Argument> options = command.methods().stream().flatMap(method -> Usage.arguments(method).stream())
            .filter(Usage.Argument::isOption).toList();
        List<Object> before = new ArrayList<>();
        Usage.Argument open = null;
        Set<String> given = words.stream().filter(word -> word.startsWith("-")).collect(Collectors.toSet());
        for (String word : words) {
            Optional<Usage.Argument> option = open != null ? Optional.empty()
                : options.stream().filter(one -> one.names().contains(word)).findFirst();
            if (open != null) {
                open = null;
            } else if (option.isEmpty()) {
                before.add(word);
            } else if (!option.get().value().isEmpty()) {
                open = option.get();
            }
        }
        if (open != null) {
            String can = open.names().stream()
                .flatMap(name -> command.arguments().stream().filter(one -> one.startsWith(name + "="))
                .map(one -> one.substring(name.length() + 1))).findFirst().orElse(UNKNOWN);
            return candidates(reader, line, command, can, before);
        }
        if (line.word().startsWith("-")) {
            return options.stream().filter(one -> one.names().stream().noneMatch(given::contains))
                .map(one -> candidate(one.name(), one.description().isEmpty() ? null : one.description())).toList();
        }
        List<String> positions = command.arguments().stream().filter(one -> !one.startsWith("--")).toList();
        int last = positions.size() - 1;
        String position = before.size() <= last ? positions.get(before.size())
            : last >= 0 && positions.get(last).endsWith(REPEATED) ? positions.get(last) : UNKNOWN;
        return candidates(reader, line, command, position.endsWith(REPEATED)
            ? position.substring(0, position.length() - REPEATED.length()) : position, before);
    }

    private List<Candidate> candidates(LineReader reader, ParsedLine line, Commands.Command command, String can,
        List<Object> before)
            throws Exception {
        List<Candidate> found = new ArrayList<>();
        for (String one : can.equals(UNKNOWN) ? new String[0] : can.split("\\|")) {
            for (Object word : one.startsWith("(") ? called(command, one.substring(1, one.length() - 1), before)
                : List.of(one)) {
                String text = String.valueOf(word);
                if (text.contains(FILES)) {
                    // Where the JVM began, as the commands themselves have it, wherever the session says it is.
                    new Completers.FilesCompleter(Path.of("").toAbsolutePath(), text).complete(reader, line, found);
                } else {
                    found.add(candidate(text, null));
                }
            }
        }
        return found;
    }

    private List<?> called(Commands.Command command, String name, List<Object> before) throws Exception {
        Object function = session.get(name.contains(":") ? name : command.scope() + ":" + name);
        // Called as it is, and not as a job, which the session would wait for.
        Object result = function instanceof Function one ? one.execute(session, before) : null;
        return result instanceof Collection<?> several ? List.copyOf(several)
            : result != null && result.getClass().isArray() ? IntStream.range(0, Array.getLength(result))
                .mapToObj(i -> Array.get(result, i)).toList() : List.of();
    }

    /** {@return a word that a blank may follow} */
    private static Candidate candidate(String word, String description) {
        return new Candidate(word, word, null, description, null, null, true);
    }

    /** {@return the session's variables, but for those that are its own} */
    private List<Candidate> variables() {
        return session.get(".variables") instanceof Collection<?> names ? names.stream().map(String::valueOf)
            .filter(name -> name.matches("[A-Za-z]\\w*")).map(name -> candidate(VARIABLE + name, null)).toList()
            : List.of();
    }
}
