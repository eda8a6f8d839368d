// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import machine.api.ErrnoException;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.LogEntry;
import org.osgi.service.log.LogLevel;
import org.osgi.service.log.LogListener;
import org.osgi.service.log.LogReaderService;

/**
 * Warnings and errors of all bundles on standard error: a component that cannot start does not go unnoticed. While a
 * machine comes up they are held back, because what a user needs then is one line, {@link #failure}.
 */
@Component(immediate = true, service = Log.class)
public final class Log implements LogListener {
    private final LogReaderService reader;
    // Guarded by this; null when nothing is held back.
    private List<LogEntry> held = new ArrayList<>();

    /** Built by Declarative Services. */
    @Activate
    public Log(@Reference(name = "reader") LogReaderService reader) {
        this.reader = reader;
        reader.addLogListener(this);
        List<LogEntry> past = Collections.list(reader.getLog());
        Collections.reverse(past);
        past.forEach(this::logged);
    }

    @Deactivate
    void close() {
        reader.removeLogListener(this);
    }

    @Override
    public synchronized void logged(LogEntry entry) {
        // Framework and service events come as log entries, too; they are not what is meant here.
        if (entry.getLogLevel().ordinal() > LogLevel.WARN.ordinal() || entry.getLoggerName().startsWith("Events.")) {
            return;
        }
        if (held != null) {
            held.add(entry);
        } else {
            print(entry);
        }
    }

    /** Everything is up: prints what was held back, and from now on at once. */
    synchronized void release() {
        held.forEach(Log::print);
        held = null;
    }

    /** {@return why a component could not start, in the words of the code that refused; empty if none has said so} */
    synchronized Optional<String> failure() {
        return held.stream().map(LogEntry::getException).map(Log::refusal).flatMap(Optional::stream).findFirst();
    }

    /** The log wraps exceptions, and prints the class of the one it wraps in front of its message. */
    private static Optional<String> refusal(Throwable exception) {
        String wrapped = ErrnoException.class.getName() + ": ";
        for (Throwable cause = exception; cause != null; cause = cause.getCause()) {
            String text = String.valueOf(cause.getMessage());
            if (cause instanceof ErrnoException) {
                return Optional.of(text);
            }
            if (text.startsWith(wrapped)) {
                return Optional.of(text.substring(wrapped.length()));
            }
        }
        return Optional.empty();
    }

    private static void print(LogEntry entry) {
        System.err.println(entry.getLogLevel() + " " + entry.getLoggerName() + ": " + entry.getMessage());
        for (Throwable cause = entry.getException(); cause != null; cause = cause.getCause()) {
            System.err.println("  " + cause);
        }
    }
}
