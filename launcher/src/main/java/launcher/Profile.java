// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.List;
import machine.api.ErrnoException;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Function;
import org.jline.reader.ParsedLine;

/**
 * What a person's session has beside what Gogo's own profile gives it: our commands come first among those of one name (the component runtime
 * has a {@code config}, too), and what stands behind {@code config} completes.
 *
 * <p>Gogo's profile sets up scopes and completions when a session begins, over whatever was there. The last that it does is to ask
 * whether it is to greet; that question is answered here, and the answer does the rest.
 */
final class Profile {
    /** Gogo calls what a variable of this name holds for the value of {@code .gosh_quiet}. */
    private static final String QUESTION = "#.gosh_quiet";
    private static final String CANDIDATES = "__configurable";
    private static final String COMPLETIONS = """
        complete -c vfio:config -e
        complete -c vfio:config -d "Show what can be configured, or set it"
        complete -c vfio:config -a %s
        """.formatted(CANDIDATES);

    private Profile() {
    }

    /**
     * Prepares a session that is about to begin.
     *
     * @param scopes where commands are looked for, with colons between
     */
    static void prepare(CommandSession session, String scopes) {
        session.put(CANDIDATES, (Function) (its, none) -> candidates(its, org.apache.felix.gogo.jline.Shell.getParsedLine(its)));
        session.put(QUESTION, (Function) (its, none) -> {
            its.put("SCOPE", "gogo:*");
            its.execute(COMPLETIONS);
            its.put("SCOPE", scopes);
            return true;
        });
    }

    /** {@return what can be the word that is being typed behind {@code config}: a PID, a key, a value} */
    private static Object candidates(CommandSession session, ParsedLine line) throws Exception {
        StringBuilder command = new StringBuilder("vfio:configurable");
        if (line.wordIndex() > 3) {
            return List.of();
        }
        for (int i = 1; i < line.wordIndex(); i++) {
            // By way of a variable, whatever characters are in it.
            session.put("typed" + i, line.words().get(i));
            command.append(" $typed").append(i);
        }
        try {
            return session.execute(command);
        } catch (ErrnoException e) {
            return List.of(); // Nothing can follow a PID or a key that is none; whoever runs the line is told.
        }
    }
}
