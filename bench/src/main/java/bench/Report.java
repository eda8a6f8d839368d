// SPDX-License-Identifier: Apache-2.0
package bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;

/** The figures as text: a table, JSON, a plot. */
final class Report {
    private static final String[] COLOURS = {"#0072b2", "#d55e00", "#333333", "#cc79a7", "#e69f00"};
    /** Lines differ by their dashes as well as by colour. */
    private static final String[] DASHES = {"none", "7 3", "2 3", "9 3 2 3", "12 4"};
    private static final int WIDTH = 460;
    private static final int HEIGHT = 320;
    private static final int LEFT = 60;
    private static final int TOP = 40;

    /** A curve: nanoseconds against number of mappings, both positive. */
    record Series(String name, double[] mappings, double[] nanos) {
    }

    private Report() {
    }

    static String table(List<Row> rows) {
        List<String[]> cells = new ArrayList<>();
        cells.add(new String[] {"what", "ns/op", "yardstick", "ratio", "limit", "", "B/op"});
        for (Row row : rows) {
            cells.add(new String[] {row.name(), number(row.nanos()), row.yardstick() == null ? "" : row.yardstick(),
                number(row.ratio()), number(row.limit()), row.verdict(), number(row.bytesPerOp())});
        }
        int[] widths = new int[7];
        for (String[] line : cells) {
            for (int i = 0; i < line.length; i++) {
                widths[i] = Math.max(widths[i], line[i].length());
            }
        }
        StringBuilder text = new StringBuilder();
        for (String[] line : cells) {
            StringBuilder one = new StringBuilder();
            for (int i = 0; i < line.length; i++) {
                boolean left = i == 0 || i == 2 || i == 5;
                String blanks = " ".repeat(widths[i] - line[i].length());
                one.append(i == 0 ? "" : "  ").append(left ? line[i] + blanks : blanks + line[i]);
            }
            text.append(one.toString().stripTrailing()).append('\n');
        }
        return text.toString();
    }

    /** @param about how it was measured: names and values in turn */
    static String json(List<Row> rows, String... about) {
        StringBuilder text = new StringBuilder("{\n  \"version\": 1,\n");
        for (int i = 0; i < about.length; i += 2) {
            text.append("  ").append(quoted(about[i])).append(": ").append(quoted(about[i + 1])).append(",\n");
        }
        text.append("  \"rows\": [");
        String comma = "\n";
        for (Row row : rows) {
            text.append(comma).append("    {\"name\": ").append(quoted(row.name())).append(", \"nanos\": ")
                .append(plain(row.nanos()))
                .append(", \"yardstick\": ").append(quoted(row.yardstick())).append(", \"ratio\": ")
                .append(plain(row.ratio()))
                .append(", \"limit\": ").append(plain(row.limit())).append(", \"bytesPerOp\": ")
                .append(plain(row.bytesPerOp()))
                .append('}');
            comma = ",\n";
        }
        return text.append("\n  ]\n}\n").toString();
    }

    /** Two panels beside each other, both axes logarithmic. */
    static String svg(List<Series> translate, List<Series> map) {
        StringBuilder text = new StringBuilder(String.format(Locale.ROOT,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
            + "font-family=\"sans-serif\" font-size=\"11\">%n"
            + "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>%n", 2 * (WIDTH + 2 * LEFT), HEIGHT + 3 * TOP));
        panel(text, 0, "translate, ns per access", translate);
        panel(text, WIDTH + 2 * LEFT, "map + unmap of 4 KiB, ns", map);
        return text.append("</svg>\n").toString();
    }

    private static void panel(StringBuilder text, int x0, String title, List<Series> all) {
        double most = 1;
        double least = Double.MAX_VALUE;
        for (Series series : all) {
            for (double nanos : series.nanos()) {
                most = Math.max(most, nanos);
                least = Math.min(least, nanos);
            }
        }
        int low = (int) Math.floor(Math.log10(Math.min(least, most)));
        int high = Math.max(low + 1, (int) Math.ceil(Math.log10(most)));
        line(text, "<text x=\"%d\" y=\"%d\" font-size=\"13\">%s</text>", x0 + LEFT, TOP - 14, escaped(title));
        for (int decade = 0; decade <= 6; decade++) {
            double x = x0 + LEFT + WIDTH * decade / 6.0;
            line(text, "<line x1=\"%1$.1f\" y1=\"%2$d\" x2=\"%1$.1f\" y2=\"%3$d\" stroke=\"#ddd\"/>", x, TOP,
                TOP + HEIGHT);
            line(text, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%,d</text>", x, TOP + HEIGHT + 16,
                (long) Math.pow(10, decade));
        }
        line(text, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\">mappings</text>", x0 + LEFT + WIDTH / 2,
            TOP + HEIGHT + 34);
        for (int decade = low; decade <= high; decade++) {
            double y = y(Math.pow(10, decade), low, high);
            line(text, "<line x1=\"%d\" y1=\"%2$.1f\" x2=\"%3$d\" y2=\"%2$.1f\" stroke=\"#ddd\"/>", x0 + LEFT, y,
                x0 + LEFT + WIDTH);
            line(text, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%s</text>", x0 + LEFT - 6, y + 4,
                number(Math.pow(10, decade)));
        }
        for (int i = 0; i < all.size(); i++) {
            Series series = all.get(i);
            String colour = COLOURS[i % COLOURS.length];
            StringBuilder points = new StringBuilder();
            for (int p = 0; p < series.nanos().length; p++) {
                double x = x0 + LEFT + WIDTH * Math.log10(Math.max(1, series.mappings()[p])) / 6;
                double y = y(series.nanos()[p], low, high);
                points.append(String.format(Locale.ROOT, "%.1f,%.1f ", x, y));
                line(text, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>", x, y, colour);
            }
            line(text,
                "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" stroke-dasharray=\"%s\"/>",
                points.toString().trim(), colour, DASHES[i % DASHES.length]);
            int y = TOP + 16 + 15 * i;
            line(text,
                "<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%2$d\" stroke=\"%4$s\" stroke-width=\"1.5\" "
                    + "stroke-dasharray=\"%5$s\"/>",
                x0 + LEFT + 10, y - 4, x0 + LEFT + 38, colour, DASHES[i % DASHES.length]);
            line(text, "<text x=\"%d\" y=\"%d\" fill=\"%s\">%s</text>", x0 + LEFT + 44, y, colour,
                escaped(series.name()));
        }
    }

    private static double y(double nanos, int low, int high) {
        return TOP + HEIGHT - HEIGHT * (Math.log10(nanos) - low) / (high - low);
    }

    private static void line(StringBuilder text, String format, Object... arguments) {
        text.append(String.format(Locale.ROOT, format, arguments)).append('\n');
    }

    /** Three digits that mean something; empty for none. */
    static String number(double value) {
        if (Double.isNaN(value)) {
            return "";
        }
        if (value == Math.rint(value) || value >= 100) {
            return String.format(Locale.ROOT, "%,d", Math.round(value));
        }
        return String.format(Locale.ROOT, value >= 10 ? "%.1f" : "%.2f", value);
    }

    private static String plain(double value) {
        return Double.isNaN(value) ? "null" : String.format(Locale.ROOT, "%.3f", value);
    }

    private static String quoted(String text) {
        if (text == null) {
            return "null";
        }
        StringBuilder quoted = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            if (c == '"' || c == '\\') {
                quoted.append('\\').append(c);
            } else if (c < ' ') {
                quoted.append(String.format("\\u%04x", (int) c));
            } else {
                quoted.append(c);
            }
        }
        return quoted.append('"').toString();
    }

    private static String escaped(String text) {
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;");
    }
}
