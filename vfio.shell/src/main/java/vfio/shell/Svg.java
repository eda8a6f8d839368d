// SPDX-License-Identifier: Apache-2.0
package vfio.shell;

import java.util.ArrayList;
import java.util.EnumSet;
import java.util.List;
import java.util.Locale;
import java.util.Set;
import machine.api.Access;
import vfio.api.Container;
import vfio.api.ContainerState;
import vfio.api.msi.Msis;

/** Apertures as one SVG picture, a column each, addresses growing upwards. */
final class Svg {
    private static final int COLUMN = 440;
    private static final int BAR = 110;
    private static final int LEFT = 130;
    private static final int TOP = 90;
    private static final int HEIGHT = 480;
    /** Between the foot of one row of columns and the head of the next. */
    private static final int BETWEEN = 90;
    /** So many columns are as wide as a screen. */
    private static final int ABREAST = 4;
    /** Read-only areas are hatched one way, write-only areas another, so that they differ without colours. */
    private static final String PATTERNS = "<defs>"
        + "<pattern id=\"reads\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" "
        + "height=\"6\" fill=\"#dce8f4\"/>"
        + "<path d=\"M0 3h6\" stroke=\"#4c78a8\" stroke-width=\"1.5\"/></pattern>"
        + "<pattern id=\"writes\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\"><rect width=\"6\" "
        + "height=\"6\" fill=\"#dce8f4\"/>"
        + "<path d=\"M-1 1l2 -2M0 6l6 -6M5 7l2 -2\" stroke=\"#4c78a8\" stroke-width=\"1.5\"/></pattern></defs>";

    /** The drawing styles, in the order of the legend. */
    private enum Look {
        READ_WRITE("#4c78a8", "memory, RW"), READ("url(#reads)", "memory, R"), WRITE("url(#writes)", "memory, W"),
        DOORBELL("#f58518", "MSI bank, 4 KiB, W"), REFUSED("#f4f4f4", "refused");

        private final String fill;
        private final String words;

        Look(String fill, String words) {
            this.fill = fill;
            this.words = words;
        }

        static Look of(Layout.Row row) {
            return switch (row.use()) {
                case DISABLED -> REFUSED;
                case DOORBELL -> DOORBELL;
                case MEMORY -> row.access() == Access.READ ? READ : row.access() == Access.WRITE ? WRITE : READ_WRITE;
            };
        }
    }

    /** One column. */
    record Aperture(String name, String caption, Layout layout) {
    }

    private final Workbench bench;

    Svg(Workbench bench) {
        this.bench = bench;
    }

    String apertures() {
        return draw("Apertures of " + bench.machine().model(),
            bench.vfio().containers().stream().map(Svg::aperture).toList());
    }

    private static Aperture aperture(Container container) {
        return new Aperture(container.name(), container.iommu().orElse("no IOMMU")
            + container.extension(Msis.class).flatMap(Msis::strategy).map(strategy -> ", MSI: " + strategy).orElse("")
            + (container.state() == ContainerState.ACTIVE ? "" : ", " + container.state()), Layout.of(container));
    }

    /** {@return a picture of them, side by side and in as many rows as it takes} */
    static String draw(String title, List<Aperture> apertures) {
        int rows = Math.max(1, (apertures.size() + ABREAST - 1) / ABREAST);
        int width = Math.max(Math.max(1, Math.min(ABREAST, apertures.size())) * COLUMN, 9 * title.length()) + 40;
        int height = TOP + rows * (HEIGHT + BETWEEN) + 20;
        StringBuilder svg = new StringBuilder();
        svg.append(String.format("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            + "viewBox=\"0 0 %d %d\" "
            + "font-family=\"Helvetica, Arial, sans-serif\" font-size=\"12\">%n", width, height, width, height));
        svg.append(PATTERNS).append('\n');
        svg.append(String.format("<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>%n", width, height));
        text(svg, 20, 30, "start", 17, "#1a1a1a", title);
        Set<Look> looks = EnumSet.noneOf(Look.class);
        for (int i = 0; i < apertures.size(); i++) {
            column(svg, 20 + i % ABREAST * COLUMN, TOP + i / ABREAST * (HEIGHT + BETWEEN), apertures.get(i), looks);
        }
        legend(svg, width, height - 50, looks);
        return svg.append("</svg>\n").toString();
    }

    private static void column(StringBuilder svg, int x, int top, Aperture aperture, Set<Look> looks) {
        Layout layout = aperture.layout();
        text(svg, x + LEFT + BAR / 2, top - 30, "middle", 14, "#1a1a1a", aperture.name());
        text(svg, x + LEFT + BAR / 2, top - 13, "middle", 11, "#555555", aperture.caption());
        List<Layout.Row> drawn = layout.windows() == 0 ? withGaps(layout.rows()) : layout.rows();
        int rows = drawn.size();
        if (rows == 0) {
            text(svg, x + LEFT + BAR / 2, top + HEIGHT / 2, "middle", 12, "#555555", "nothing is mapped");
            return;
        }
        double step = (double) HEIGHT / rows;
        for (int i = 0; i < rows; i++) {
            Layout.Row row = drawn.get(i);
            double y = top + HEIGHT - (i + 1) * step;
            Look look = Look.of(row);
            looks.add(look);
            if (look == Look.DOORBELL) {
                // A doorbell answers in the first 4 KiB of its window only: a strip, or it could not be seen at all.
                looks.add(Look.REFUSED);
                rectangle(svg, x + LEFT, y, BAR, step, Look.REFUSED.fill);
                double strip = Math.max(3, Math.min(step / 3, 8));
                rectangle(svg, x + LEFT, y + step - strip, BAR, strip, look.fill);
            } else {
                rectangle(svg, x + LEFT, y, BAR, step, look.fill);
            }
            if (step >= 13 || i == 0 || i == rows - 1) {
                text(svg, x + LEFT - 8, (int) (y + step - 3), "end", 11, "#1a1a1a", Amount.hex(row.iova()));
                String label = row.physical() < 0 ? row.text()
                    : String.format("%s %s %s → 0x%x", row.text(), Access.name(row.access()), Amount.size(row.size()),
                        row.physical());
                text(svg, x + LEFT + BAR + 8, (int) (y + step / 2 + 4), "start", 11, "#1a1a1a", label);
            }
        }
        String foot = layout.windows() == 0 ? layout.rows().size() + " mappings, not to scale"
            : layout.windows() + " windows of " + Amount.size(layout.geometry().size() / layout.windows());
        text(svg, x + LEFT + BAR / 2, top + HEIGHT + 20, "middle", 11, "#555555", foot);
    }

    /** Without windows, the gaps between mappings are drawn, too, though not to scale. */
    private static List<Layout.Row> withGaps(List<Layout.Row> rows) {
        List<Layout.Row> drawn = new ArrayList<>();
        long next = 0;
        for (Layout.Row row : rows) {
            if (row.iova() != next) {
                drawn.add(new Layout.Row(-1, next, row.iova() - next, -1, 0, 0, Layout.Use.DISABLED, "nothing"));
            }
            drawn.add(row);
            next = row.iova() + row.span();
        }
        return drawn;
    }

    /** The legend, of the styles in the picture only. */
    private static void legend(StringBuilder svg, int width, int top, Set<Look> looks) {
        int x = 20;
        int y = top;
        for (Look look : looks) {
            if (x + 30 + 7 * look.words.length() > width) {
                x = 20;
                y += 24;
            }
            rectangle(svg, x, y - 11, 14, 14, look.fill);
            text(svg, x + 20, y, "start", 12, "#1a1a1a", look.words);
            x += 50 + 7 * look.words.length();
        }
    }

    private static void rectangle(StringBuilder svg, double x, double y, double width, double height, String fill) {
        svg.append(String.format(Locale.ROOT,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" stroke=\"#333333\" "
                + "stroke-width=\"0.8\"/>%n",
            x, y, width, height, fill));
    }

    private static void text(StringBuilder svg, int x, int y, String anchor, int size, String fill, String content) {
        svg.append(String.format("<text x=\"%d\" y=\"%d\" text-anchor=\"%s\" font-size=\"%d\" fill=\"%s\">%s</text>%n",
            x, y, anchor, size, fill, content.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")));
    }
}
