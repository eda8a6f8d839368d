// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.jline.utils.Signals;

/**
 * The handler of Ctrl-C and SIGTERM for a command that can end early: the first signal asks it to, the second ends the
 * program at once.
 */
final class Interruption implements AutoCloseable {
    /**
     * Signals by name, with the exit status that a shell expects of whom they have ended: 128 and the signal's number.
     */
    private static final Map<String, Integer> STATUS = Map.of("INT", 130, "TERM", 143);

    private final Map<String, Object> before = new LinkedHashMap<>();
    private final Callable<?> end;
    /** The status of the first that came, 0 before. */
    private volatile int status;

    /** @param end tells it; called at the first signal, on a thread of the JVM's */
    Interruption(Callable<?> end) {
        this.end = end;
        STATUS.keySet().forEach(name -> before.put(name, Signals.register(name, () -> arrived(name))));
    }

    private void arrived(String name) {
        close();
        status = STATUS.get(name);
        System.err.println("gantry: ending early; once more ends it at once");
        try {
            end.call();
        } catch (Exception e) {
            System.err.println("gantry: it does not end early: " + e.getMessage());
        }
    }

    /** {@return the exit status of a command that went well: that of the signal that has ended it early, or 0} */
    int status() {
        return status;
    }

    /** From now on signals do what they did before. */
    @Override
    public synchronized void close() {
        before.forEach(Signals::unregister);
        before.clear();
    }
}
