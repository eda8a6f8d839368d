// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.util.Collections;
import java.util.List;
import org.osgi.service.component.annotations.Activate;
import org.osgi.service.component.annotations.Component;
import org.osgi.service.component.annotations.Deactivate;
import org.osgi.service.component.annotations.Reference;
import org.osgi.service.log.LogEntry;
import org.osgi.service.log.LogLevel;
import org.osgi.service.log.LogListener;
import org.osgi.service.log.LogReaderService;

/** Warnings and errors of all bundles on standard error: a component that cannot start does not go unnoticed. */
@Component(immediate = true, service = Log.class)
public final class Log implements LogListener {
    private final LogReaderService reader;

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
    public void logged(LogEntry entry) {
        // Framework and service events come as log entries, too; they are not what is meant here.
        if (entry.getLogLevel().ordinal() > LogLevel.WARN.ordinal() || entry.getLoggerName().startsWith("Events.")) {
            return;
        }
        System.err.println(entry.getLogLevel() + " " + entry.getLoggerName() + ": " + entry.getMessage());
        for (Throwable cause = entry.getException(); cause != null; cause = cause.getCause()) {
            System.err.println("  " + cause);
        }
    }
}
