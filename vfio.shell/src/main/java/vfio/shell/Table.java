// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/**
 * A table of text. A column is set flush right if all its cells look like numbers. On a terminal that is narrower than
 * the table, columns of words are folded; if that is not enough, each row is written below the other as lines of name
 * and value.
 */
final class Table {
    /**
     * The width of the terminal, as who starts the JVM has it; absent or 0 where there is none, in a pipe, where
     * nothing is folded.
     */
    private static final String COLUMNS = "gantry.columns";
    private static final String NUMBER = "-?(0x[0-9a-f]+|[0-9]+([–.][0-9]+)?)?";
    /** A column of words that is folded to less than this cannot be read. */
    private static final int NARROWEST = 8;
    private static final int GAP = 2;

    private final String[] header;
    private final List<String[]> rows = new ArrayList<>();

    Table(String... header) {
        this.header = header;
    }

    Table row(Object... cells) {
        String[] row = new String[header.length];
        for (int i = 0; i < row.length; i++) {
            row[i] = i < cells.length ? String.valueOf(cells[i]) : "";
        }
        rows.add(row);
        return this;
    }

    boolean isEmpty() {
        return rows.isEmpty();
    }

    @Override
    public String toString() {
        return fitting(Integer.getInteger(COLUMNS, 0));
    }

    /** {@return the table, no line longer than so many columns; 0 for as wide as it is} */
    String fitting(int columns) {
        int[] widths = new int[header.length];
        boolean[] right = new boolean[header.length];
        for (int i = 0; i < header.length; i++) {
            int column = i;
            widths[i] = Math.max(header[i].length(),
                rows.stream().mapToInt(row -> row[column].length()).max().orElse(0));
            right[i] = !rows.isEmpty() && rows.stream().allMatch(row -> row[column].matches(NUMBER));
        }
        if (columns > 0 && width(widths) > columns && !shrink(widths, right, columns)) {
            return stacked(columns);
        }
        StringBuilder text = new StringBuilder();
        line(text, header, widths, right);
        for (int width : widths) {
            text.append(" ".repeat(GAP)).append("─".repeat(width));
        }
        text.append('\n');
        rows.forEach(row -> line(text, row, widths, right));
        return text.toString();
    }

    private static int width(int[] widths) {
        return Arrays.stream(widths).map(width -> GAP + width).sum();
    }

    /** Takes from the widest column of words until all fit. {@return whether they do} */
    private boolean shrink(int[] widths, boolean[] right, int columns) {
        int[] least = new int[widths.length];
        for (int i = 0; i < least.length; i++) {
            // Numbers, addresses and names stay whole.
            int column = i;
            least[i] = right[i]
                ? Math.max(longest(header[i]), rows.stream().mapToInt(row -> row[column].length()).max().orElse(0))
                : Math.max(NARROWEST,
                    Math.max(longest(header[i]), rows.stream().mapToInt(row -> longest(row[column])).max().orElse(0)));
        }
        while (width(widths) > columns) {
            int widest = -1;
            for (int i = 0; i < widths.length; i++) {
                if (widths[i] > least[i] && (widest < 0 || widths[i] > widths[widest])) {
                    widest = i;
                }
            }
            if (widest < 0) {
                return false;
            }
            widths[widest]--;
        }
        return true;
    }

    private static int longest(String text) {
        return Arrays.stream(text.split(" ")).mapToInt(String::length).max().orElse(0);
    }

    /** One line for each cell that says something, names in front. */
    private String stacked(int columns) {
        int names = Arrays.stream(header).mapToInt(String::length).max().orElse(0);
        int values = Math.max(NARROWEST, columns - 2 * GAP - names);
        StringBuilder text = new StringBuilder();
        for (String[] row : rows) {
            text.append(text.length() == 0 ? "" : "\n");
            for (int i = 0; i < header.length; i++) {
                if (!row[i].isEmpty()) {
                    line(text, new String[] {header[i], row[i]}, new int[] {names, values}, new boolean[2]);
                }
            }
        }
        return text.toString();
    }

    /** One row, of as many lines as its most folded cell has. */
    private static void line(StringBuilder text, String[] cells, int[] widths, boolean[] right) {
        List<List<String>> folded = new ArrayList<>();
        for (int i = 0; i < cells.length; i++) {
            folded.add(fold(cells[i], widths[i]));
        }
        int lines = folded.stream().mapToInt(List::size).max().orElse(0);
        for (int line = 0; line < lines; line++) {
            int start = text.length();
            for (int i = 0; i < cells.length; i++) {
                String cell = line < folded.get(i).size() ? folded.get(i).get(line) : "";
                String padding = " ".repeat(widths[i] - cell.length());
                text.append(" ".repeat(GAP)).append(right[i] ? padding + cell : cell + padding);
            }
            int end = text.length();
            while (end > start && text.charAt(end - 1) == ' ') {
                end--;
            }
            text.setLength(end);
            text.append('\n');
        }
    }

    /** At blanks; a word that is longer than a line is cut. */
    private static List<String> fold(String text, int width) {
        List<String> lines = new ArrayList<>();
        String rest = text;
        while (rest.length() > width) {
            int blank = rest.lastIndexOf(' ', width);
            int end = blank > 0 ? blank : width;
            lines.add(rest.substring(0, end));
            rest = rest.substring(end).stripLeading();
        }
        lines.add(rest);
        return lines;
    }
}
