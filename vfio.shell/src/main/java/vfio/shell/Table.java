// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.ArrayList;
import java.util.List;

/** A table of text. A column is set flush right if all its cells look like numbers. */
final class Table {
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
        StringBuilder text = new StringBuilder();
        int[] widths = new int[header.length];
        boolean[] right = new boolean[header.length];
        for (int i = 0; i < header.length; i++) {
            int column = i;
            widths[i] = Math.max(header[i].length(), rows.stream().mapToInt(row -> row[column].length()).max().orElse(0));
            right[i] = !rows.isEmpty() && rows.stream().allMatch(row -> row[column].matches("-?(0x[0-9a-f]+|[0-9]+([–.][0-9]+)?)?"));
        }
        line(text, header, widths, right);
        for (int i = 0; i < header.length; i++) {
            text.append("  ").append("─".repeat(widths[i]));
        }
        text.append('\n');
        rows.forEach(row -> line(text, row, widths, right));
        return text.toString();
    }

    private static void line(StringBuilder text, String[] cells, int[] widths, boolean[] right) {
        int start = text.length();
        for (int i = 0; i < cells.length; i++) {
            String padding = " ".repeat(widths[i] - cells[i].length());
            text.append("  ").append(right[i] ? padding + cells[i] : cells[i] + padding);
        }
        int end = text.length();
        while (end > start && text.charAt(end - 1) == ' ') {
            end--;
        }
        text.setLength(end);
        text.append('\n');
    }
}
