// SPDX-License-Identifier: Apache-2.0
package launcher;

import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.Optional;
import machine.api.ErrnoException;
import machine.api.OutputFile;

/**
 * Standard output as what it is: a file that can be full, or have nobody who reads it, or a terminal of some width. A
 * {@link PrintStream} keeps the first to itself; this remembers it, so that a report that nobody can have read is not
 * taken for one. On a terminal, lines that are longer than it is wide are folded at blanks, and the words that say how
 * it went have colours.
 */
final class Console extends OutputStream {
    /** The width of the terminal, as the script knows it; absent or 0 if standard output is none. */
    private static final String COLUMNS = "gantry.columns";
    /** The beginnings of lines that are verdicts, and their colours; the words say the same. */
    private static final Map<String, String> COLOURS = Map.of("OK:", "32", "NOT OK:", "1;31", "Warning:", "33", "Note:",
        "36");
    private static final String REWRITES = "\r";
    private static final int INDENT = 4;

    private final OutputStream out;
    private final int columns;
    private final boolean colours;
    /** The printed part of an unfinished line; of no use without a terminal. Guarded by this. */
    private final ByteArrayOutputStream line = new ByteArrayOutputStream();
    private volatile IOException failure;

    Console(OutputStream out) {
        this(out, Integer.getInteger(COLUMNS, 0), colours(System.getenv()));
    }

    /**
     * @param columns 0 if it is no terminal: everything passes as it is
     * @param colours whether a terminal is to have colours
     */
    Console(OutputStream out, int columns, boolean colours) {
        this.out = out;
        this.columns = Math.max(0, columns);
        this.colours = colours;
    }

    /** {@return whether to use colours: not if NO_COLOR has any value (no-color.org), and not on a dumb terminal} */
    static boolean colours(Map<String, String> environment) {
        return environment.getOrDefault("NO_COLOR", "").isEmpty()
            && !environment.getOrDefault("TERM", "dumb").equals("dumb");
    }

    int columns() {
        return columns;
    }

    /** {@return where to print; each line is out when it ends} */
    PrintStream stream() {
        return new PrintStream(this, true, StandardCharsets.UTF_8);
    }

    /** {@return why something that was printed so far is lost; empty if nothing is} */
    Optional<ErrnoException> failure() {
        return Optional.ofNullable(failure).map(e -> OutputFile.refusal("standard output", e));
    }

    @Override
    public void write(int b) throws IOException {
        write(new byte[] {(byte) b}, 0, 1);
    }

    @Override
    public synchronized void write(byte[] bytes, int offset, int length) throws IOException {
        if (columns == 0) {
            pass(bytes, offset, length);
            return;
        }
        int begin = offset;
        for (int i = offset; i < offset + length; i++) {
            if (bytes[i] == '\n') {
                line.write(bytes, begin, i - begin);
                begin = i + 1;
                end("\n");
            }
        }
        line.write(bytes, begin, offset + length - begin);
    }

    /** A line that has not ended waits, unless it is one that is written anew again and again. */
    @Override
    public synchronized void flush() throws IOException {
        if (line.toString(StandardCharsets.UTF_8).startsWith(REWRITES)) {
            byte[] bytes = line.toByteArray();
            line.reset();
            pass(bytes, 0, bytes.length);
        }
        try {
            out.flush();
        } catch (IOException e) {
            remember(e);
            throw e;
        }
    }

    /** Prints the rest of an unfinished line. */
    synchronized void finish() {
        try {
            if (line.size() > 0) {
                end("");
            }
            flush();
        } catch (IOException e) {
            remember(e);
        }
    }

    private void end(String after) throws IOException {
        byte[] bytes = (shown(line.toString(StandardCharsets.UTF_8)) + after).getBytes(StandardCharsets.UTF_8);
        line.reset();
        pass(bytes, 0, bytes.length);
    }

    /** {@return a line as it looks here} */
    private String shown(String text) {
        String folded = folded(text);
        if (colours) {
            for (Map.Entry<String, String> colour : COLOURS.entrySet()) {
                if (folded.startsWith(colour.getKey())) {
                    return "\033[" + colour.getValue() + "m" + colour.getKey() + "\033[0m"
                        + folded.substring(colour.getKey().length());
                }
            }
        }
        return folded;
    }

    private String folded(String text) {
        if (text.startsWith(REWRITES)) {
            return text;
        }
        StringBuilder folded = new StringBuilder();
        String rest = text;
        int own = text.length() - text.stripLeading().length();
        String indent = " ".repeat(Math.min(own + INDENT, columns / 2));
        while (rest.length() > columns) {
            int least = rest.length() - rest.stripLeading().length();
            int blank = rest.lastIndexOf(' ', columns);
            int end = blank > least ? blank : columns;
            folded.append(rest.substring(0, end).stripTrailing()).append('\n');
            rest = indent + rest.substring(end).stripLeading();
        }
        return folded.append(rest).toString();
    }

    private void pass(byte[] bytes, int offset, int length) throws IOException {
        try {
            out.write(bytes, offset, length);
        } catch (IOException e) {
            remember(e);
            throw e;
        }
    }

    private void remember(IOException e) {
        if (failure == null) {
            failure = e;
        }
    }
}
