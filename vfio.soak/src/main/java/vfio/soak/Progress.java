// SPDX-License-Identifier: Apache-2.0
package vfio.soak;

import java.io.PrintStream;
import java.util.Locale;

/** How it goes: one line that is written anew on a terminal, a line every few seconds elsewhere. */
final class Progress {
    private static final int PLAIN_SECONDS = 5;
    private static final String REWRITE = "\r\033[K";

    private final PrintStream out;
    private final boolean terminal;
    private final Settings settings;
    private int last;

    Progress(PrintStream out, boolean terminal, Settings settings) {
        this.out = out;
        this.terminal = terminal;
        this.settings = settings;
    }

    /** To be called a few times a second. */
    void show(Referee referee, int second) {
        if (terminal) {
            out.print(REWRITE + line(referee, second));
            out.flush();
        } else if (second >= last + PLAIN_SECONDS) {
            last = second;
            out.println(line(referee, second));
        }
    }

    /** What is done after the swaps. */
    void say(String what) {
        out.print(terminal ? REWRITE + "  " + what : "  " + what + "\n");
        out.flush();
    }

    /** Leaves the line to others. */
    void end() {
        if (terminal) {
            out.print(REWRITE);
            out.flush();
        }
    }

    private String line(Referee referee, int second) {
        return String.format(Locale.ROOT, "  %d/%d s  %d swaps  %.1f MB verified, %d wrong  %d MSIs, %d lost  %d maps  blocked %d µs%s", second,
            settings.seconds(), referee.swaps(), referee.bytesVerified.sum() / 1e6, referee.mismatches.sum() + referee.strayWrites.sum(),
            referee.delivered.sum(), referee.lost.sum(), referee.maps.sum(), Verdict.quantile(referee.reports.blockedMicros(), 0.5),
            referee.failed() == 0 ? "" : "  " + referee.failed() + " FAILED");
    }
}
