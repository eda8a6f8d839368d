// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.function.UnaryOperator;
import org.apache.felix.service.command.CommandSession;
import org.apache.felix.service.command.Function;
import org.jline.reader.Completer;
import org.jline.reader.History;
import org.jline.reader.impl.LineReaderImpl;

/**
 * The set-up of an interactive session, in addition to Gogo's own profile: Gantry's commands come first among those of
 * one name (the component runtime has a {@code config}, too), their arguments complete, and lines of earlier sessions
 * are there.
 *
 * <p>Gogo's profile sets up scopes and completions when a session begins, over whatever was there. The last that it
 * does is to ask whether it is to greet; that question is answered here, and the answer does the rest.
 */
final class Profile {
    /** Gogo calls what a variable of this name holds for the value of {@code .gosh_quiet}. */
    private static final String QUESTION = "#.gosh_quiet";

    private Profile() {
    }

    /**
     * Prepares a session that is about to begin.
     *
     * @param scopes where commands are looked for, with colons between
     * @param completion what completes, made of what Gogo has for it
     * @param history what keeps lines; null for nothing but the session itself
     */
    static void prepare(CommandSession session, String scopes, UnaryOperator<Completer> completion, History history) {
        session.put(QUESTION, (Function) (its, none) -> {
            its.put("SCOPE", scopes);
            if (org.apache.felix.gogo.jline.Shell.getReader(its) instanceof LineReaderImpl reader) {
                reader.setCompleter(completion.apply(reader.getCompleter()));
                if (history != null) {
                    reader.setHistory(history);
                }
            }
            return true;
        });
    }
}
