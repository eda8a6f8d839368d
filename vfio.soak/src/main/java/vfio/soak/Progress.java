// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.io.PrintStream;
import java.util.Locale;

/** The progress display: one line that is rewritten on a terminal, a line every few seconds elsewhere. */
final class Progress {
    private static final int PLAIN_SECONDS = 5;
    /** The width of the terminal, as who starts the JVM has it. */
    private static final String COLUMNS = "gantry.columns";
    private static final String REWRITE = "\r\033[K";

    private final PrintStream out;
    private final boolean terminal;
    private final Settings settings;
    private final int columns;
    private int last;

    Progress(PrintStream out, boolean terminal, Settings settings) {
        this(out, terminal, settings, Integer.getInteger(COLUMNS, 0));
    }

    /** @param columns how wide the terminal is; 0 if nobody knows */
    Progress(PrintStream out, boolean terminal, Settings settings, int columns) {
        this.out = out;
        this.terminal = terminal;
        this.settings = settings;
        this.columns = columns;
    }

    /** To be called a few times a second. */
    void show(Referee referee, int second) {
        if (terminal) {
            out.print(REWRITE + fitting(line(referee, second)));
            out.flush();
        } else if (second >= last + PLAIN_SECONDS) {
            last = second;
            out.println(line(referee, second));
        }
    }

    /** The phases after the swaps. */
    void say(String what) {
        out.print(terminal ? REWRITE + fitting("  " + what) : "  " + what + "\n");
        out.flush();
    }

    /** Leaves the line to others. */
    void end() {
        if (terminal) {
            out.print(REWRITE);
            out.flush();
        }
    }

    /**
     * {@return as many figures as fit into one line of the terminal, from the left: a folded line cannot be rewritten}
     */
    private String fitting(String line) {
        String fitting = line;
        while (columns > 0 && fitting.length() >= columns) {
            int last = fitting.lastIndexOf("  ");
            fitting = last > 0 ? fitting.substring(0, last) : fitting.substring(0, columns - 1);
        }
        return fitting;
    }

    private String line(Referee referee, int second) {
        return String.format(Locale.ROOT,
            "  %d/%d s  %d swaps  %.1f MB verified, %d wrong  %d MSIs, %d lost  %d maps  blocked %d µs%s", second,
            settings.seconds(), referee.swaps(), referee.bytesVerified.sum() / 1e6,
            referee.mismatches.sum() + referee.strayWrites.sum(), referee.delivered.sum(), referee.lost.sum(),
            referee.maps.sum(), Verdict.quantile(referee.reports.blockedMicros(), 0.5),
            referee.failed() == 0 ? "" : "  " + referee.failed() + " FAILED");
    }
}
